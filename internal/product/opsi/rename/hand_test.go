package rename

import (
	"fmt"
	"slices"
	"testing"
)

// What may be a name of the old server, and is no host name as Rewrite knows them,
// is told by its place, and nothing else is.
func TestHand(t *testing.T) {
	n := Names{Old: "opsi.old.example", New: "depot2.new.example"}
	const id, alone, nothing = "id", "short", ""
	for text, want := range map[string]string{
		`["opsi\u002eold\u002eexample"]`:                      id,
		`["\u006Fpsi.old.example"]`:                           id,
		`"\/srv\/opsi.old.example\/x"`:                        id,
		"/srv/opsi.old.example/x":                             id,
		"//opsi.old.example/share":                            id,
		"http://proxy/?to=http%3a%2f%2fopsi%2eold.example%2f": id,
		"opsi":                             alone,
		"host = OPSI":                      alone,
		`["opsi"]`:                         alone,
		`["\u006fpsi"]`:                    alone,
		"opsi:4447":                        alone,
		"ask opsi.":                        alone,
		"opsi.old.example":                 nothing,
		"https://opsi:4447/":               nothing,
		"/var/lib/opsi/depot":              nothing,
		"linux/opsi":                       nothing,
		`C:\opsi\x`:                        nothing,
		`["C:\\opsi\\x"]`:                  nothing,
		"opsi-script opsiconfd opsi_depot": nothing,
		"opsi.old.example.org":             nothing,
		`100% \u00zz \`:                    nothing,
	} {
		h := hand{names: n}
		h.look("place", n.Rewrite(text))
		got := nothing
		switch {
		case h.nIDs > 0:
			got = id
		case h.nShorts > 0:
			got = alone
		}
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	same := hand{names: Names{Old: "opsi.old.example", New: "opsi.new.example"}}
	same.look("place", "opsi")
	if same.nShorts != 0 {
		t.Error("a short name that stays is told")
	}
	many := hand{names: n}
	for i := range 12 {
		many.look(fmt.Sprint(i), "opsi")
	}
	if want := []string{"“opsi” alone, which may be the server's short name: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more places"}; !slices.Equal(many.lines(), want) {
		t.Errorf("%q", many.lines())
	}
}
