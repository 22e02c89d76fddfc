package cli

import "github.com/pmezard/go-difflib/difflib"

// difference shows what changed from one text to another.
func difference(from, to string) string {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: difflib.SplitLines(from), B: difflib.SplitLines(to), FromFile: "recovery point", ToFile: "installed", Context: 2,
	})
	if err != nil {
		return err.Error() + "\n"
	}
	return text
}
