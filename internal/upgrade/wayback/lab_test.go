package wayback

import (
	"os"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/lab/sles"
	"lifeboat/internal/upgrade/wayback/subvolume"
)

// An upgrade by the real zypper, of a root with a real package database, goes back by
// either means.
func TestAcceptance11RealPackages(t *testing.T) {
	for kind, left := range map[string][]string{
		"btrfs": nil,
		// What profile sles leaves out.
		"ext4": {"/home", "/srv", "/var/log", "/var/cache/zypp", "/tmp", "/var/tmp", "/run"},
	} {
		t.Run(kind, func(t *testing.T) {
			l, err := sles.Build(t.Context(), disk(t, kind, 600)+"/lab", sles.Options{Big: 1 << 20})
			must(t, err)
			target := Target{Root: l.Root, State: t.TempDir()}
			var m Means = NewBtrfs(target)
			if kind == "btrfs" { // as a distribution has it
				must(t, os.Rename(l.Root, l.Root+".was"))
				must(t, subvolume.Create(l.Root))
				program(t, "cp", "-a", l.Root+".was/.", l.Root)
			} else {
				_, v := newVault(t)
				m = NewPoint(options(target, v))
			}
			packages, err := l.Packages(t.Context()) // which writes to the database's shared memory
			must(t, err)
			before := state(t, l.Root, left...)
			k := newTask(t, target.State, "run")
			b, err := m.Prepare(t.Context(), k)
			must(t, err)

			for _, r := range append(l.Source, l.Acme) {
				zypper(t, l, "modifyrepo", "--disable", r.Alias)
			}
			for _, r := range l.Target {
				zypper(t, l, "addrepo", "--refresh", r.URL, r.Alias)
			}
			zypper(t, l, "refresh")
			zypper(t, l, "dist-upgrade", "--no-recommends")
			if now, err := l.Packages(t.Context()); err != nil || slices.Equal(now, packages) {
				t.Fatalf("nothing was upgraded: %v %v", now, err)
			}
			must(t, m.Back(t.Context(), k, journaled(t, b)))
			same(t, before, state(t, l.Root, left...))
			if now, err := l.Packages(t.Context()); err != nil || !slices.Equal(now, packages) {
				t.Errorf("the packages were %v and are %v (%v)", packages, now, err)
			}
			if out, err := l.RPM(t.Context(), "-Va", "--nofiles"); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			must(t, m.Drop(t.Context(), k, b))
		})
	}
}

func zypper(t *testing.T, l *sles.Lab, args ...string) {
	t.Helper()
	if out, err := l.Zypper(t.Context(), args...); err != nil {
		t.Fatalf("zypper %s: %v: %s", strings.Join(args, " "), err, out)
	}
}
