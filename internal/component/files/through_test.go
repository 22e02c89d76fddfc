package files_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/component/componenttest"
	"lifeboat/internal/component/files"
)

// TestLinkOfTheMachineStays: data go where the administrator's link leads, whether they
// are set aside or written over.
func TestLinkOfTheMachineStays(t *testing.T) {
	for name, inPlace := range map[string]bool{"set aside": false, "in place": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			depot, disk := dir+"/lib/depot", dir+"/disk/depot"
			write(t, depot+"/product/file", "saved")
			c := part(t, files.Options{Paths: []string{depot}, InPlace: inPlace})
			source, record := save(t, c)
			must(t, os.RemoveAll(depot))
			write(t, disk+"/product/file", "fresh")
			must(t, os.Symlink("../disk/depot", depot))
			componenttest.Age(t, dir)
			before := componenttest.Digest(t, dir)
			warned := ""
			must(t, c.Restore(t.Context(), source, component.RestoreOptions{Record: record, Warn: func(m string) { warned += m }}))
			if to, err := os.Readlink(depot); err != nil || to != "../disk/depot" || read(t, disk+"/product/file") != "saved" {
				t.Errorf("the link leads to %q (%v), behind it is %q", to, err, read(t, disk+"/product/file"))
			}
			if !strings.Contains(warned, "the link stays") || !strings.Contains(warned, disk) {
				t.Errorf("told: %q", warned)
			}
			passes(t, c, record)
			result, err := c.Compare(t.Context(), source, component.CompareOptions{Record: record, Report: func(d component.Difference) { t.Errorf("differs: %+v", d) }})
			if err != nil || result.Items == 0 {
				t.Errorf("compared: %+v, %v", result, err)
			}
			must(t, c.Rollback(t.Context()))
			if after := componenttest.Digest(t, dir); !inPlace && after != before {
				t.Errorf("rollback: got\n%s\nwant\n%s", after, before)
			}
		})
	}
}

// TestLinkToAFileStays: as for directories. Where it cannot be followed, a plain file
// takes its place, and that is told; what it led to stays as it was.
func TestLinkToAFileStays(t *testing.T) {
	for name, c := range map[string]struct {
		target string
		stays  bool
		told   string
	}{
		"a file":            {"../disk/keys", true, "the link stays, and the data are in "},
		"nothing":           {"../disk/none", false, "is a disk not mounted?); a plain file takes its place"},
		"a directory":       {"../disk", false, "which is no file that the data could be put into"},
		"of the system":     {"/usr/lib/os-release", false, "which the system itself fills"},
		"by way of another": {"../disk/way", true, "the link stays"},
		"of the point":      {"../conf/way", false, "the recovery point has a link of its own"},
	} {
		for _, inPlace := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in place %t", name, inPlace), func(t *testing.T) {
				dir := t.TempDir()
				keys, disk := dir+"/etc/keys", dir+"/disk/keys"
				write(t, keys, "saved")
				must(t, os.MkdirAll(dir+"/conf", 0o755))
				must(t, os.Symlink("../disk/keys", dir+"/conf/way"))
				source, record := save(t, part(t, files.Options{Paths: []string{keys, dir + "/conf"}}))
				record.Paths = []string{keys}
				must(t, os.Remove(keys))
				write(t, disk, "fresh")
				must(t, os.Symlink("keys", dir+"/disk/way"))
				must(t, os.Symlink(c.target, keys))
				componenttest.Age(t, dir)
				before := componenttest.Digest(t, dir)
				part := part(t, files.Options{Paths: []string{keys}, InPlace: inPlace})
				warned := ""
				opts := component.RestoreOptions{Record: record, Warn: func(m string) { warned += m }}
				for range 2 { // a resume does it again
					must(t, part.Restore(t.Context(), source, opts))
				}
				if !strings.Contains(warned, c.told) {
					t.Errorf("told: %q", warned)
				}
				to, _ := os.Readlink(keys)
				if (to == c.target) != c.stays || read(t, keys) != "saved" {
					t.Errorf("the link leads to %q, the data are %q", to, read(t, keys))
				}
				if want := map[bool]string{true: "saved", false: "fresh"}[c.stays]; read(t, disk) != want {
					t.Errorf("what it led to is %q", read(t, disk))
				}
				passes(t, part, record)
				result, err := part.Compare(t.Context(), source, component.CompareOptions{Record: record, Report: func(d component.Difference) { t.Errorf("differs: %+v", d) }})
				if err != nil || result.Items == 0 {
					t.Errorf("compared: %+v, %v", result, err)
				}
				must(t, part.Rollback(t.Context()))
				if after := componenttest.Digest(t, dir); !inPlace && after != before {
					t.Errorf("rollback: got\n%s\nwant\n%s", after, before)
				}
			})
		}
	}
}

// TestLinkOfThePointComes: what the saved machine had as a link is one again, and the
// data are where it leads, also over a directory with something in it.
func TestLinkOfThePointComes(t *testing.T) {
	for name, inPlace := range map[string]bool{"set aside": false, "in place": true} {
		for _, fresh := range []string{"directory", "link"} {
			t.Run(name+", "+fresh, func(t *testing.T) {
				dir := t.TempDir()
				depot, disk := dir+"/lib/depot", dir+"/srv/depot"
				write(t, disk+"/file", "saved")
				must(t, os.MkdirAll(filepath.Dir(depot), 0o755))
				must(t, os.Symlink(disk, depot))
				c := part(t, files.Options{Paths: []string{depot}, InPlace: inPlace})
				source, record := save(t, c)
				must(t, os.Remove(depot))
				must(t, os.RemoveAll(dir+"/srv"))
				write(t, dir+"/other/fresh", "fresh")
				if fresh == "link" {
					must(t, os.Symlink(dir+"/other", depot))
				} else {
					write(t, depot+"/fresh", "fresh")
				}
				warned := ""
				opts := component.RestoreOptions{Record: record, Warn: func(m string) { warned += m }}
				for range 2 { // a resume does it again
					must(t, c.Restore(t.Context(), source, opts))
				}
				if to, err := os.Readlink(depot); err != nil || to != disk || read(t, disk+"/file") != "saved" {
					t.Errorf("the link leads to %q (%v), behind it is %q", to, err, read(t, disk+"/file"))
				}
				if fresh == "link" && !strings.Contains(warned, "was a symbolic link to "+dir+"/other") {
					t.Errorf("told: %q", warned)
				}
				passes(t, c, record)
				must(t, c.Rollback(t.Context()))
				if got := read(t, depot+"/fresh"); got != "fresh" {
					t.Errorf("rolled back: %q", got)
				}
			})
		}
	}
}

// TestLinksThatAreNotFollowed: nothing is changed through them, and they stay.
func TestLinksThatAreNotFollowed(t *testing.T) {
	for name, lay := range map[string]func(t *testing.T, dir string){
		"nothing is there": func(t *testing.T, dir string) { must(t, os.Symlink(dir+"/none", dir+"/lib/depot")) },
		"a loop": func(t *testing.T, dir string) {
			must(t, os.Symlink(dir+"/lib/depot", dir+"/lib/back"))
			must(t, os.Symlink(dir+"/lib/back", dir+"/lib/depot"))
		},
		"a file": func(t *testing.T, dir string) { must(t, os.Symlink(dir+"/victim/file", dir+"/lib/depot")) },
		// conf/way is a link of the point, which whoever has made it may have led anywhere.
		"over a link of the point": func(t *testing.T, dir string) { must(t, os.Symlink(dir+"/conf/way", dir+"/lib/depot")) },
		"where the other path is": func(t *testing.T, dir string) {
			must(t, os.MkdirAll(dir+"/plain/sub", 0o755))
			must(t, os.Symlink(dir+"/plain/sub", dir+"/lib/depot"))
		},
		"a directory above that leads nowhere": func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/lib"))
			must(t, os.Symlink(dir+"/none", dir+"/lib"))
		},
	} {
		for _, inPlace := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				write(t, dir+"/lib/depot/file", "saved")
				write(t, dir+"/plain/file", "saved")
				write(t, dir+"/victim/file", "victim")
				must(t, os.MkdirAll(dir+"/conf", 0o755))
				must(t, os.Symlink(dir+"/victim", dir+"/conf/way"))
				all := part(t, files.Options{Paths: []string{dir + "/lib/depot", dir + "/plain", dir + "/conf"}})
				source, record := save(t, all)
				record.Paths = []string{dir + "/lib/depot", dir + "/plain"}
				must(t, os.RemoveAll(dir+"/lib/depot"))
				lay(t, dir)
				c := part(t, files.Options{Paths: []string{dir + "/lib/depot", dir + "/plain"}, InPlace: inPlace})
				err := c.Restore(t.Context(), source, component.RestoreOptions{Record: record})
				if err == nil || !strings.Contains(err.Error(), "link") {
					t.Errorf("error %v", err)
				}
				if _, err := os.Lstat(dir + "/victim/file"); err != nil || read(t, dir+"/victim/file") != "victim" {
					t.Error("it was written through the link")
				}
				must(t, c.Rollback(t.Context()))
			})
		}
	}
}
