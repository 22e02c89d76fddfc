package wayback

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/wayback/subvolume"
)

// btrfsRoot is a root as a distribution lays it out: subvolumes for the root and
// others, one inside the root, and the directory of journals.
func btrfsRoot(t testing.TB) (target Target, top string) {
	t.Helper()
	top = disk(t, "btrfs", 300)
	for _, name := range []string{"/@", "/@home"} {
		must(t, subvolume.Create(top+name))
	}
	populate(t, top+"/@")
	must(t, subvolume.Create(top+"/@/var/lib/machines"))
	put(t, top+"/@/var/lib/machines/one/disk", "a machine")
	must(t, subvolume.Create(top+"/@/.snapshots"))
	must(t, subvolume.Snapshot(top+"/@", top+"/@/.snapshots/1"))
	must(t, os.Mkdir(top+"/@/home", 0o755))
	put(t, top+"/@/etc/fstab", "UUID=x / btrfs subvol=@ 0 0\nUUID=x /home btrfs subvol=@home 0 0\nserver:/x /net nfs defaults 0 0\n")
	put(t, top+"/@/var/lib/lifeboat/lifeboat.key", "kept")
	root := filepath.Join(t.TempDir(), "root")
	must(t, os.Mkdir(root, 0o700))
	program(t, "mount", "-o", "noatime,subvol=@", mountedFrom(t, top), root)
	t.Cleanup(func() { program(t, "umount", "--recursive", root) })
	return Target{Root: root, State: root + "/var/lib/lifeboat"}, top
}

func mountedFrom(t testing.TB, at string) string {
	t.Helper()
	return strings.TrimSpace(program(t, "findmnt", "-n", "-o", "SOURCE", "--nofsroot", at))
}

// kept is what does not go back.
var kept = []string{"/var/lib/lifeboat", "/.snapshots"}

func TestAcceptance11Btrfs(t *testing.T) {
	target, top := btrfsRoot(t)
	m := NewBtrfs(target)
	fit, err := m.Suits(t.Context())
	if err != nil || fit.OK || !strings.Contains(fit.Why, "/var/lib/lifeboat would go back") {
		t.Fatalf("%+v %v", fit, err)
	}
	must(t, Separate(t.Context(), target))
	fit, err = m.Suits(t.Context())
	if err != nil || !fit.OK || !slices.EqualFunc(fit.Left, []string{"/home", "/.snapshots", "/var/lib/lifeboat"}, func(l Left, p string) bool { return l.Path == p }) {
		t.Fatalf("%+v %v", fit, err)
	}
	must(t, subvolume.SetDefault(target.Root))

	k := newTask(t, target.State, "run-1")
	before := state(t, target.Root, kept...)
	b, err := m.Prepare(t.Context(), k)
	must(t, err)
	b = journaled(t, b)
	must(t, m.Verify(t.Context(), k, b))
	upgraded(t, target.Root)
	put(t, target.Root+"/var/lib/machines/one/disk", "an upgraded machine")
	put(t, k.dir+"/journal.jsonl", "what has happened\n")
	if state(t, target.Root, kept...) == before {
		t.Fatal("the upgrade did nothing")
	}
	must(t, m.Back(t.Context(), k, b))
	same(t, before, state(t, target.Root, kept...))
	for path, want := range map[string]string{
		"/var/lib/lifeboat/runs/run-1/journal.jsonl": "what has happened\n", "/var/lib/lifeboat/lifeboat.key": "kept",
		"/.snapshots/1/etc/config": "edited by the administrator\n", "/var/lib/machines/one/disk": "a machine",
	} {
		if text, err := os.ReadFile(target.Root + path); err != nil || string(text) != want {
			t.Errorf("%s is %q (%v)", path, text, err)
		}
	}
	if id, err := subvolume.Default(top); err != nil || id != mounted(t, target.Root) {
		t.Errorf("the default is %d (%v), the root %d", id, err, mounted(t, target.Root))
	}
	must(t, m.Back(t.Context(), k, b)) // once more changes nothing
	same(t, before, state(t, target.Root, kept...))
	must(t, m.Drop(t.Context(), k, b))
	must(t, m.Drop(t.Context(), k, b))
	if _, err := os.Stat(top + places); !os.IsNotExist(err) {
		t.Errorf("something is left: %v", err)
	}
	same(t, before, state(t, target.Root, kept...))
}

// Of two upgrades, one after the other, the later one goes back first; then the earlier
// one does, from what has taken the root's place meanwhile, and wherever it is killed.
func TestBtrfsGoesBackTwoUpgrades(t *testing.T) {
	target, top := btrfsRoot(t)
	must(t, Separate(t.Context(), target))
	m := NewBtrfs(target)
	first := state(t, target.Root, kept...)
	one, two := newTask(t, target.State, "run-1"), newTask(t, target.State, "run-2")
	prepare := func(k *task) Baseline {
		t.Helper()
		b, err := m.Prepare(t.Context(), k)
		must(t, err)
		return journaled(t, b)
	}
	b1 := prepare(one)
	upgraded(t, target.Root)
	second := state(t, target.Root, kept...)
	b2 := prepare(two)
	put(t, target.Root+"/etc/config", "of the second upgrade\n")
	put(t, one.dir+"/journal.jsonl", "what has happened\n")

	must(t, m.Back(t.Context(), two, b2))
	same(t, second, state(t, target.Root, kept...))
	must(t, m.Drop(t.Context(), two, b2))
	for n := 1; ; n++ {
		at, err := killed(t.Context(), n, func(ctx context.Context) error { return m.Back(ctx, one, b1) })
		if err != nil {
			t.Fatalf("going back until %q: %v", at, err)
		}
		if at == "" {
			break
		}
	}
	must(t, m.Back(t.Context(), one, b1))
	same(t, first, state(t, target.Root, kept...))
	if text, err := os.ReadFile(target.Root + "/var/lib/lifeboat/runs/run-1/journal.jsonl"); err != nil || string(text) != "what has happened\n" {
		t.Errorf("the journal is %q (%v)", text, err)
	}
	must(t, m.Drop(t.Context(), one, b1))
	if _, err := os.Stat(top + places); !os.IsNotExist(err) {
		t.Errorf("something is left: %v", err)
	}
	same(t, first, state(t, target.Root, kept...))
}

func mounted(t testing.TB, root string) uint64 {
	t.Helper()
	id, err := subvolume.ID(root)
	must(t, err)
	return id
}

// Killed at any boundary, going back is repeated and ends with exactly what was; and
// whoever looks in between finds the journal.
func TestBtrfsGoesBackAfterAKillAnywhere(t *testing.T) {
	target, _ := btrfsRoot(t)
	must(t, Separate(t.Context(), target))
	m := NewBtrfs(target)
	before := state(t, target.Root, kept...)
	for n := 1; ; n++ {
		k := newTask(t, target.State, fmt.Sprintf("run-%d", n))
		prepare := func(ctx context.Context) error { _, err := m.Prepare(ctx, k); return err }
		if at, err := killed(t.Context(), n, prepare); err != nil {
			t.Fatalf("prepared until %q: %v", at, err)
		}
		b, err := m.Prepare(t.Context(), k)
		must(t, err)
		put(t, k.dir+"/journal.jsonl", "going back\n")
		upgraded(t, target.Root)
		at, err := killed(t.Context(), n, func(ctx context.Context) error { return m.Back(ctx, k, b) })
		must(t, err)
		// As after a restart: what stands in the root's place is mounted.
		device := mountedFrom(t, target.Root)
		program(t, "umount", target.Root)
		program(t, "mount", "-o", "noatime,subvol=@", device, target.Root)
		if text, err := os.ReadFile(k.dir + "/journal.jsonl"); err != nil || string(text) != "going back\n" {
			t.Errorf("killed at %q the journal is %q (%v)", at, text, err)
		}
		must(t, m.Back(t.Context(), k, journaled(t, b)))
		same(t, before, state(t, target.Root, kept...))
		if _, err := os.Stat(target.Root + "/.snapshots/1/etc"); err != nil {
			t.Error(err)
		}
		drop, err := killed(t.Context(), n, func(ctx context.Context) error { return m.Drop(ctx, k, b) })
		must(t, err)
		must(t, m.Drop(t.Context(), k, b))
		same(t, before, state(t, target.Root, kept...))
		if t.Failed() {
			t.Fatalf("after kills at %q and %q", at, drop)
		}
		if at == "" {
			t.Logf("%d boundaries", n-1)
			return
		}
	}
}

func TestAnUpgradeThatStaysDropsTheSnapshot(t *testing.T) {
	target, top := btrfsRoot(t)
	must(t, Separate(t.Context(), target))
	m, k := NewBtrfs(target), newTask(t, target.State, "run")
	b, err := m.Prepare(t.Context(), k)
	must(t, err)
	upgraded(t, target.Root)
	after := state(t, target.Root)
	must(t, m.Drop(t.Context(), k, b))
	same(t, after, state(t, target.Root))
	if list := program(t, "btrfs", "subvolume", "list", top); strings.Contains(list, "wayback") {
		t.Error(list)
	}
	if err := m.Back(t.Context(), k, b); err == nil {
		t.Error("it goes back to what was dropped")
	}
	same(t, after, state(t, target.Root))
}

func TestABrokenSnapshotChangesNothing(t *testing.T) {
	target, top := btrfsRoot(t)
	must(t, Separate(t.Context(), target))
	m, k := NewBtrfs(target), newTask(t, target.State, "run")
	b, err := m.Prepare(t.Context(), k)
	must(t, err)
	upgraded(t, target.Root)
	after := state(t, target.Root, kept...)
	base := top + places + "/run/base"
	must(t, subvolume.SetReadOnly(base, false))
	put(t, base+"/etc/config", "edited since")
	var unequal *UnequalError
	if err := m.Verify(t.Context(), k, b); !errors.As(err, &unequal) || unequal.First[0].Path != "/etc/config" {
		t.Error(err)
	}
	if err := m.Back(t.Context(), k, b); !errors.As(err, &unequal) || !strings.Contains(err.Error(), "nothing was changed") {
		t.Error(err)
	}
	same(t, after, state(t, target.Root, kept...))
	list, err := os.ReadFile(b.List)
	must(t, err)
	must(t, os.WriteFile(b.List, []byte(strings.Replace(string(list), "/etc/config", "/etc/confix", 1)), 0o600))
	if err := m.Back(t.Context(), k, b); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Error(err)
	}
	same(t, after, state(t, target.Root, kept...))
}

func TestBtrfsThatCannotBeExchanged(t *testing.T) {
	target, top := btrfsRoot(t)
	must(t, Separate(t.Context(), target))
	outside := Target{State: t.TempDir()}
	for name, c := range map[string]struct {
		root string
		do   func()
		want string
	}{
		"top level":   {top, func() {}, "top-level"},
		"a directory": {target.Root + "/etc", func() {}, "no subvolume by itself"},
		"by number":   {target.Root, func() { put(t, target.Root+"/etc/fstab", "UUID=x / btrfs subvolid=256 0 0\n") }, "by its number"},
		"torn":        {target.Root, func() { put(t, target.Root+"/etc/fstab", "UUID=x / btrfs subvol=@ 0 0\nLABEL=b /boot ext4 rw 0 0\n") }, "/boot lies on LABEL=b (ext4)"},
		"read-only":   {target.Root, func() { must(t, subvolume.SetReadOnly(top+"/@", true)) }, "read-only"},
		"not btrfs":   {"/proc", func() {}, "not on btrfs"},
	} {
		t.Run(name, func(t *testing.T) {
			c.do()
			defer func() {
				must(t, subvolume.SetReadOnly(top+"/@", false))
				put(t, target.Root+"/etc/fstab", "")
			}()
			m := NewBtrfs(Target{Root: c.root, State: outside.State})
			fit, err := m.Suits(t.Context())
			if err != nil || fit.OK || !strings.Contains(fit.Why, c.want) {
				t.Errorf("%+v %v", fit, err)
			}
			if _, err := m.Prepare(t.Context(), newTask(t, outside.State, "run")); !errors.Is(err, runbook.ErrRefused) {
				t.Error(err)
			}
		})
	}
}

func TestSeparateKeepsTheJournals(t *testing.T) {
	target, _ := btrfsRoot(t)
	k := newTask(t, target.State, "run")
	put(t, k.dir+"/journal.jsonl", "begun\n")
	must(t, os.Link(k.dir+"/journal.jsonl", k.dir+"/linked"))
	must(t, os.Symlink("run", filepath.Dir(k.dir)+"/last"))
	before := state(t, target.State)
	f, err := os.Open(k.dir + "/journal.jsonl")
	must(t, err)
	if err := Separate(t.Context(), target); !errors.Is(err, runbook.ErrRefused) {
		t.Error("a run that goes on:", err)
	}
	must(t, f.Close())
	for n := 1; ; n++ {
		at, err := killed(t.Context(), n, func(ctx context.Context) error { return Separate(ctx, target) })
		must(t, err)
		same(t, before, state(t, target.State))
		if at == "" {
			break
		}
	}
	if is, err := subvolume.Is(target.State); err != nil || !is {
		t.Error(is, err)
	}
	if _, err := os.Stat(target.State + ".separating"); !os.IsNotExist(err) {
		t.Error(err)
	}
	must(t, Separate(t.Context(), Target{Root: target.Root, State: t.TempDir()}))
}
