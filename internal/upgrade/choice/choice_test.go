package choice

import (
	"encoding/xml"
	"strings"
	"testing"
)

func told(q Choices) string {
	var out []string
	for _, one := range q {
		out = append(out, one.ID+"="+one.Answer+" ("+string(one.From)+")")
	}
	return strings.Join(out, "; ")
}

func TestFor(t *testing.T) {
	kde := Host{RootDevice: "/dev/sda2", WindowManager: "kde4", DisplayManager: "kdm4"}
	for _, test := range []struct {
		host     Host
		from, to string
		want     string
	}{
		{kde, "11", "12", "root=/dev/sda2 (machine); license= (nobody); registration=register (vendor); mode=features (vendor); patterns= (vendor); desktop=gnome gdm (vendor)"},
		{kde, "11", "11", "root=/dev/sda2 (machine); license= (nobody); registration=register (vendor); mode=update (vendor); patterns= (vendor); desktop=kde4 kdm4 (machine)"},
		{Host{WindowManager: "gnome"}, "12", "15", "root= (nobody); license= (nobody); registration=register (vendor); mode=features (vendor); patterns= (vendor); desktop=gnome (machine)"},
	} {
		if got := told(For(test.host, test.from, test.to)); got != test.want {
			t.Errorf("%s to %s:\n got %s\nwant %s", test.from, test.to, got, test.want)
		}
	}
	if open := For(Host{}, "11", "12").Open(); len(open) != 2 || open[0].ID != Root || open[1].ID != License {
		t.Errorf("open: %+v", open)
	}
}

func TestAnswer(t *testing.T) {
	q := For(Host{RootDevice: "/dev/sda2"}, "11", "12")
	for _, a := range [][2]string{{Mode, Update}, {Patterns, "gnome-basic  sap_server"}, {License, Accept}, {Root, "/dev/sdb1"}} {
		if err := q.Answer(a[0], a[1]); err != nil {
			t.Error(err)
		}
	}
	if got := told(q); !strings.Contains(got, "mode=update (person); patterns=gnome-basic sap_server (person)") || len(q.Open()) != 0 {
		t.Error(got)
	}
	for _, a := range [][2]string{{"colour", "red"}, {Mode, "all"}, {License, "no"}, {Patterns, "a;b"}, {Patterns, "<x>"}, {Desktop, "kde"}, {Root, "$(reboot)"}} {
		if err := q.Answer(a[0], a[1]); err == nil {
			t.Errorf("%s=%s was taken", a[0], a[1])
		}
	}
}

func TestControl(t *testing.T) {
	q := For(Host{RootDevice: "/dev/sda2"}, "11", "12")
	if _, err := q.Control("12"); err == nil || !strings.Contains(err.Error(), "license=accept") {
		t.Errorf("without a licence: %v", err)
	}
	for _, a := range [][2]string{{License, Accept}, {Mode, Update}, {Patterns, "base gnome-basic"}, {Registration, Skip}} {
		if err := q.Answer(a[0], a[1]); err != nil {
			t.Fatal(err)
		}
	}
	text, err := q.Control("12")
	if err != nil {
		t.Fatal(err)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE profile>
<profile xmlns="http://www.suse.com/1.0/yast2ns" xmlns:config="http://www.suse.com/1.0/configns">
  <upgrade>
    <only_installed_packages config:type="boolean">true</only_installed_packages>
    <stop_on_solver_conflict config:type="boolean">true</stop_on_solver_conflict>
  </upgrade>
  <software>
    <patterns config:type="list">
      <pattern>base</pattern>
      <pattern>gnome-basic</pattern>
    </patterns>
  </software>
  <suse_register>
    <do_registration config:type="boolean">false</do_registration>
  </suse_register>
</profile>
`
	if string(text) != want {
		t.Errorf("got\n%s", text)
	}
	later, err := q.Control("15")
	if err != nil || strings.Contains(string(later), "only_installed") {
		t.Errorf("for 15: %s, %v", later, err)
	}
	if err := xml.Unmarshal(later, new(struct{})); err != nil {
		t.Error(err)
	}
}
