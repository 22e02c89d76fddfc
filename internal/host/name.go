package host

import "strings"

// SameName tells whether two names are of one machine, as far as they tell: some
// systems keep the full name and some the short one, which is its first label.
func SameName(a, b string) bool {
	a, b = strings.ToLower(strings.TrimSuffix(a, ".")), strings.ToLower(strings.TrimSuffix(b, "."))
	if a == "" || b == "" || a == b {
		return a == b
	}
	first, domainA, _ := strings.Cut(a, ".")
	other, domainB, _ := strings.Cut(b, ".")
	return first == other && (domainA == "" || domainB == "")
}
