package drill

import (
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/component"
)

func TestStrayed(t *testing.T) {
	here := component.Link{Path: "/etc/app/key", Target: "/root/key"}
	record := component.Record{Name: "keys"}
	if _, told := strayed(record, nil); told {
		t.Error("no link is told")
	}
	check, told := strayed(record, []component.Link{here})
	if !told || check.OK || check.Warning || !strings.Contains(check.Found, "/etc/app/key leads to /root/key") {
		t.Errorf("check is %+v", check)
	}
	// Known from the backup alone: this machine has no such file.
	record.Astray = []component.Link{here, {Path: "/etc/app/other", Target: "/root/other"}}
	check, _ = strayed(record, []component.Link{here})
	if strings.Count(check.Found, "/etc/app/key") != 1 || !strings.Contains(check.Found, "/etc/app/other led to /root/other") {
		t.Errorf("found %s", check.Found)
	}
	if check, _ = strayed(record, make([]component.Link, 30)); !strings.HasSuffix(check.Found, "and 22 more") {
		t.Errorf("check is %+v", check)
	}
}

// A link to what is saved elsewhere is not exercised, and fails nothing while it leads
// where it was said to.
func TestStrayedOnPurpose(t *testing.T) {
	share := component.Link{Path: "/etc/app/share", Target: "/mnt/share"}
	record := component.Record{Name: "keys", Elsewhere: []component.Link{share}}
	if check, told := strayed(record, []component.Link{share}); told {
		t.Errorf("check is %+v", check)
	}
	if check, told := strayed(record, []component.Link{{Path: share.Path, Target: "/root"}}); !told || check.OK {
		t.Errorf("check is %+v", check)
	}
	if list := leads(record); len(list) != 1 || list[0].What != "The symbolic link /etc/app/share" || !strings.Contains(list[0].Why, "/mnt/share, is saved elsewhere") {
		t.Errorf("%+v", list)
	}
	record.Elsewhere = make([]component.Link, 30)
	if list := leads(record); len(list) != 11 || list[10].What != "20 more symbolic links of keys" {
		t.Errorf("%+v", list)
	}
}

// What is saved elsewhere starts empty in the sandbox, as far as it is on this machine.
func TestElsewhereStartsEmpty(t *testing.T) {
	dir := t.TempDir()
	records := []component.Record{{Elsewhere: []component.Link{{Path: "/etc/app/key", Target: dir}, {Path: "/etc/app/gone", Target: dir + "/gone"}}}}
	if got := elsewhere(records); !slices.Equal(got, []string{dir}) {
		t.Errorf("%v", got)
	}
	if link, ok := records[0].LeadsElsewhere("/etc/app/key/ca.key"); !ok || link.Target != dir {
		t.Errorf("below a link: %v", link)
	}
	if link, ok := records[0].LeadsElsewhere("/etc/app/keys"); ok {
		t.Errorf("beside it: %v", link)
	}
}
