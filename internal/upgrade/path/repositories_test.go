package path

import (
	"fmt"
	"strings"
	"testing"
)

func listed(i Inventory) string {
	var out []string
	for _, e := range i.Entries {
		text := fmt.Sprintf("%s %s", e.Kind, e.Name)
		switch {
		case e.Missing && e.Present == nil:
			text += " missing"
		case e.Missing:
			text += " disabled"
		case e.Present == nil:
			text += " absent"
		}
		if e.Of != "" {
			text += " of " + e.Of
		}
		out = append(out, text)
	}
	return strings.Join(out, "\n")
}

// Machines write names otherwise than documents, and documents than each other.
func TestInventory(t *testing.T) {
	c := shipped(t, "sles")
	present := []Present{
		{Alias: "nu_novell_com:SLES11-SP3-Pool", Enabled: true},
		{Alias: "sles12", Name: "SLES12-Pool for x86_64", Enabled: true},
		{Alias: "SUSE_Linux_Enterprise_Server_12_x86_64:SLES12-Updates"},
		{Alias: "SLE11-SP2-Debuginfo-Pool"},
		{Alias: "SLES11-Extras"},
		{Alias: "SLE-Module-Web-Scripting12-Pool", Enabled: true},
		{Alias: "SLE-Module-Web-Scripting12-Updates", Enabled: true},
		{Alias: "SLE-Module-Web-Scripting15-SP1-Pool"},
		{Alias: "SLES12-GA-Debuginfo-Pool"},
		{Alias: "acme", URLs: []string{"https://acme.example/sles12"}, Enabled: true},
	}
	i, ok := c.Inventory(parse(t, c, "SLES 12 (x86_64)"), present)
	if !ok {
		t.Fatal("the repositories of SLES 12 are not known")
	}
	want := `required SLES12-GA-Pool
required SLES12-GA-Updates disabled
optional SLES12-GA-Debuginfo-Core
optional SLES12-GA-Debuginfo-Updates absent
module sle-module-web-scripting
module sle-module-web-scripting
module sle-module-adv-systems-management absent
module sle-module-public-cloud absent
module sle-module-legacy absent
superfluous nu_novell_com:SLES11-SP3-Pool of SLES 11 SP3
superfluous SLE11-SP2-Debuginfo-Pool of SLES 11 SP2
superfluous SLES11-Extras of SLES 11 SP4
superfluous SLE-Module-Web-Scripting15-SP1-Pool of SLES 15 SP1
foreign acme`
	if got := listed(i); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if m := i.Missing(); len(m) != 1 || m[0].Name != "SLES12-GA-Updates" {
		t.Errorf("missing: %+v", m)
	}
	if len(i.Of(Superfluous)) != 4 {
		t.Errorf("superfluous: %+v", i.Of(Superfluous))
	}
}

func TestInventoryOfTheDesktop(t *testing.T) {
	c := shipped(t, "sles")
	i, ok := c.Inventory(parse(t, c, "SLED 11 SP3"), []Present{{Alias: "SLED11-SP3-Pool", Enabled: true}, {Alias: "SLES11-SP3-Updates", Enabled: true}, {Alias: "SLE11-SP3-Debuginfo-Core"}})
	want := `required SLED11-SP3-Pool
required SLED11-SP3-Updates missing
optional SLED11-SP3-Debuginfo-Core
optional SLED11-SP3-Debuginfo-Updates absent
optional SLED11-SP3-Extension-Store absent
optional SLED11-Extra absent
superfluous SLES11-SP3-Updates of SLES 11 SP3`
	if got := listed(i); !ok || got != want {
		t.Errorf("got\n%s", got)
	}
	if _, ok := c.Inventory(parse(t, c, "SLES 10 SP4"), nil); ok {
		t.Error("repositories of SLES 10 SP4 were made up")
	}
}
