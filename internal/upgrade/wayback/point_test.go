package wayback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component"
	"lifeboat/internal/component/boundary"
	"lifeboat/internal/component/files"
	"lifeboat/internal/product"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/storage"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/vault"
	"lifeboat/profiles"
)

const (
	victimEnv = "LIFEBOAT_TEST_WAYBACK" // what to do, as JSON
	password  = "secret"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(victimEnv); text != "" {
		os.Exit(victim(text))
	}
	os.Exit(m.Run())
}

// order is what a process of its own is to do, until it is killed.
type orders struct {
	Verb     string
	Target   Target
	Store    string
	Baseline Baseline
	Dir      string
	Kill     int64 // at which boundary; 0 for none
}

// loudly is a task for a process without a test.
type loudly struct{ dir string }

func (loudly) Logf(string, ...any)            {}
func (loudly) Warnf(string, ...any)           {}
func (loudly) Progress(int64, int64)          {}
func (loudly) Check(runbook.Check)            {}
func (loudly) Keep(string, any) error         { return nil }
func (loudly) Kept(string, any) (bool, error) { return false, nil }
func (l loudly) Dir() string                  { return l.dir }
func (l loudly) RunID() string                { return filepath.Base(l.dir) }

// victim carries out orders and kills itself at a boundary, with nothing deferred.
// Exit code 7 says that there was no such boundary.
func victim(text string) int {
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var count atomic.Int64
	ctx := boundary.Observe(context.Background(), func(string) {
		if count.Add(1) == o.Kill {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	var err error
	if o.Verb == "complete" {
		_, err = Complete(ctx, o.Dir, func(string) {})
	} else {
		var v *vault.Vault
		if v, err = openVault(ctx, o.Store); err == nil {
			m := NewPoint(options(o.Target, v))
			err = m.Back(ctx, loudly{o.Dir}, o.Baseline)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 7
}

// killedAway runs orders in a process of its own; false when it came to its end.
func killedAway(t testing.TB, o orders) bool {
	t.Helper()
	text, err := json.Marshal(o)
	must(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+string(text))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("%v: %s", err, out)
	}
	switch {
	case exit.ExitCode() == 7:
		return false
	case exit.ExitCode() == -1:
		return true
	}
	t.Fatalf("exit code %d: %s", exit.ExitCode(), out)
	return false
}

func catalog() *recovery.Catalog {
	kinds := map[string]component.Kind{"files": files.Kind()}
	registry := profile.NewRegistry()
	for name, kind := range kinds {
		registry.Kinds[name] = kind.Definition
	}
	steps := recovery.Steps()
	for name, step := range steps {
		registry.Steps[name] = step.Definition
	}
	registry.Upgrade = path.Definition()
	return &recovery.Catalog{Profile: registry, Kinds: kinds, Steps: steps, Products: product.Registry{}}
}

// sles is the profile that is shipped.
func options(target Target, v *vault.Vault) PointOptions {
	c := catalog()
	p, err := profile.Catalogue{Registry: c.Profile, Shipped: profiles.FS}.Load("sles")
	if err != nil {
		panic(err)
	}
	return PointOptions{Target: target, System: "host", Profile: p, Catalog: c, Vault: v, Version: "test"}
}

func openVault(ctx context.Context, url string) (*vault.Vault, error) {
	store, err := storage.Open(ctx, url, storage.Options{})
	if err != nil {
		return nil, err
	}
	repo, err := repository.Open(ctx, store, []byte(password), repository.Options{})
	if err != nil {
		return nil, err
	}
	return vault.New(repo), nil
}

// newVault makes a repository and opens it.
func newVault(t testing.TB) (string, *vault.Vault) {
	t.Helper()
	url := filepath.Join(t.TempDir(), "repository")
	store, err := storage.Open(t.Context(), url, storage.Options{})
	must(t, err)
	repo, err := repository.Create(t.Context(), store, []byte(password), repository.Options{Scrypt: repository.ScryptParams{N: 2, R: 8, P: 1}})
	must(t, err)
	t.Cleanup(func() { repo.Close() })
	return url, vault.New(repo)
}

func TestAcceptance11Ext4(t *testing.T) {
	root := disk(t, "ext4", 64)
	populate(t, root)
	put(t, root+"/srv/letter", "old text")
	must(t, os.MkdirAll(root+"/var/log", 0o755))
	url, v := newVault(t)
	target := Target{Root: root, State: t.TempDir()}
	m := NewPoint(options(target, v))
	if fit, err := NewBtrfs(target).Suits(t.Context()); err != nil || fit.OK {
		t.Errorf("btrfs: %+v %v", fit, err)
	}
	all := []Means{NewBtrfs(target), m}
	if _, _, err := Choose(t.Context(), all, "cp -al"); !errors.Is(err, runbook.ErrRefused) {
		t.Errorf("a copy made of hard links: %v", err)
	}
	chosen, fit, err := Choose(t.Context(), all, Auto)
	if err != nil || chosen.Name() != "point" || len(fit.Left) == 0 {
		t.Fatal(chosen, fit, err)
	}
	k := newTask(t, target.State, "run-1")
	before := state(t, root)
	b, err := m.Prepare(t.Context(), k)
	must(t, err)
	b = journaled(t, b)
	same(t, before, state(t, root))
	must(t, m.Verify(t.Context(), k, b))
	if p, err := v.Find(t.Context(), b.Point, vault.Filter{}); err != nil || p.Pin == nil || p.Trigger() != vault.BeforeUpgrade {
		t.Errorf("the point %+v %v", p, err)
	}
	upgraded(t, root)
	put(t, root+"/srv/order", "came in since") // /srv does not go back
	must(t, os.WriteFile(root+"/srv/letter", []byte("edited since"), 0o644))
	srv := state(t, root+"/srv")
	put(t, root+"/var/log/messages", "what has happened")
	must(t, m.Back(t.Context(), k, b))
	must(t, os.Remove(root+"/var/log/messages"))
	same(t, without(before, "/srv", "/var/log"), without(state(t, root), "/srv", "/var/log"))
	same(t, srv, state(t, root+"/srv"))
	must(t, m.Back(t.Context(), k, b)) // once more changes nothing
	same(t, without(before, "/srv", "/var/log"), without(state(t, root), "/srv", "/var/log"))
	must(t, m.Drop(t.Context(), k, b))
	if p, err := v.Find(t.Context(), b.Point, vault.Filter{}); err != nil || p.Pin != nil {
		t.Errorf("after the drop: %+v %v", p, err)
	}
	if _, err := exec.LookPath("restic"); err != nil {
		t.Skip("needs restic: judges the repository")
	}
	cmd := exec.Command("restic", "--no-cache", "--repo", url, "check", "--read-data")
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+password)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// without drops lines about paths from an inventory.
func without(list string, paths ...string) string {
	var kept strings.Builder
	for line := range strings.Lines(list) {
		var e struct{ Path string }
		if json.Unmarshal([]byte(line), &e) != nil || !below(e.Path, paths) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// A copy made of hard links is what acceptance 11 refuses, for this.
func TestACopyOfHardLinksIsNoWayBack(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: a root has devices")
	}
	dir := t.TempDir()
	populate(t, dir+"/root")
	program(t, "cp", "-al", dir+"/root", dir+"/copy")
	before := state(t, dir+"/copy")
	upgraded(t, dir+"/root")
	if state(t, dir+"/copy") == before {
		t.Error("the copy is what it was: then it need not be refused")
	}
	if text, err := os.ReadFile(dir + "/copy/var/lib/rpm/rpmdb.sqlite"); err != nil || !strings.HasPrefix(string(text), "release 12") {
		t.Errorf("the copy's package database is %q (%v)", text, err)
	}
}

// Killed anywhere, in the middle of what is written too, going back is repeated and
// ends with exactly what was.
func TestPointGoesBackAfterAKillAnywhere(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: a root has devices")
	}
	root := filepath.Join(t.TempDir(), "root")
	populate(t, root)
	url, v := newVault(t)
	target := Target{Root: root, State: root + "/var/lib/lifeboat"}
	must(t, os.MkdirAll(target.State, 0o700))
	m := NewPoint(options(target, v))
	k := newTask(t, target.State, "run-1")
	before := state(t, root, "/srv", "/var/lib/lifeboat")
	b, err := m.Prepare(t.Context(), k)
	must(t, err)
	for n := int64(1); ; n += 1 + n/4 { // densely where it begins, and every part of it in the end
		upgraded(t, root)
		must(t, os.Link(root+"/srv/tree/sub/one", root+"/srv/tree/sub/two"))
		went := killedAway(t, orders{Verb: "back", Target: target, Store: url, Baseline: b, Dir: k.dir, Kill: n})
		if went {
			must(t, m.Back(t.Context(), k, b))
		}
		same(t, before, state(t, root, "/srv", "/var/lib/lifeboat"))
		if t.Failed() {
			t.Fatalf("after a kill at boundary %d", n)
		}
		if !went {
			t.Logf("%d boundaries at most", n-1)
			break
		}
	}
}

func TestADiskWithoutRoomChangesNothing(t *testing.T) {
	root := disk(t, "ext4", 64)
	populate(t, root)
	put(t, root+"/usr/lib/large", strings.Repeat("large ", 3<<20)) // 18 MiB
	_, v := newVault(t)
	target := Target{Root: root, State: t.TempDir()}
	m, k := NewPoint(options(target, v)), newTask(t, target.State, "run")
	before := state(t, root)
	b, err := m.Prepare(t.Context(), k)
	must(t, err)
	must(t, os.Remove(root+"/usr/lib/large"))
	must(t, os.MkdirAll(root+"/var/cache/zypp", 0o755))
	fill := root + "/var/cache/zypp/packages"
	must(t, os.WriteFile(fill, nil, 0o600))
	var st unix.Statfs_t
	must(t, unix.Statfs(root, &st))
	f, err := os.OpenFile(fill, os.O_WRONLY, 0)
	must(t, err)
	must(t, unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-8<<20))
	must(t, f.Close())
	after := state(t, root)
	if err := m.Back(t.Context(), k, b); !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "nothing was changed") {
		t.Error(err)
	}
	same(t, after, state(t, root))
	must(t, os.Remove(fill))
	must(t, m.Back(t.Context(), k, b))
	same(t, without(before, "/var/cache"), without(state(t, root), "/var/cache"))
}

// A point that cannot be read, or is not what was written down, changes nothing.
func TestABrokenPointIsNoted(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: a root has devices")
	}
	root := filepath.Join(t.TempDir(), "root")
	populate(t, root)
	url, v := newVault(t)
	target := Target{Root: root, State: t.TempDir()}
	m, k := NewPoint(options(target, v)), newTask(t, target.State, "run")
	b, err := m.Prepare(t.Context(), k)
	must(t, err)
	upgraded(t, root)
	list, err := os.ReadFile(b.List)
	must(t, err)
	must(t, os.WriteFile(b.List, append(list, '\n'), 0o600))
	after := state(t, root)
	if err := m.Back(t.Context(), k, b); err == nil {
		t.Error("it goes back to what nobody has written down")
	}
	must(t, os.WriteFile(b.List, list, 0o600))
	packs, err := filepath.Glob(url + "/data/*/*")
	must(t, err)
	for _, p := range packs {
		must(t, os.Chmod(p, 0o600))
		must(t, os.Truncate(p, 10))
	}
	if err := m.Verify(t.Context(), k, b); err == nil {
		t.Error("a damaged repository is verified")
	}
	if err := m.Back(t.Context(), k, b); err == nil {
		t.Error("it goes back from a damaged repository")
	}
	same(t, after, state(t, root))
}

// What the next boot does, done here: the root stands below a directory.
func TestTheNextBootGoesBack(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: a root has devices")
	}
	root := filepath.Join(t.TempDir(), "root")
	populate(t, root)
	must(t, os.MkdirAll(root+"/etc/systemd/system", 0o755))
	must(t, os.MkdirAll(root+"/usr/lib/systemd", 0o755))
	put(t, root+"/usr/lib/systemd/systemd", "the program")
	url, v := newVault(t)
	target := Target{Root: root, State: root + "/var/lib/lifeboat"}
	must(t, os.MkdirAll(target.State, 0o700))
	o := options(target, v)
	o.NextBoot = true
	m, k := NewPoint(o), newTask(t, target.State, "run-1")
	before := state(t, root, "/srv", "/var/lib/lifeboat")
	b, err := m.Prepare(t.Context(), k)
	must(t, err)
	must(t, m.Verify(t.Context(), k, b))
	must(t, os.RemoveAll(url)) // the copy is enough
	dir := filepath.Join(k.dir, dirName)
	for n := int64(1); ; n += 2 + n/2 {
		upgraded(t, root)
		must(t, os.Link(root+"/srv/tree/sub/one", root+"/srv/tree/sub/two"))
		var restart *RestartError
		must(t, os.RemoveAll(filepath.Join(dir, resultName))) // each time as if it were the first
		if err := m.Back(t.Context(), k, b); !errors.As(err, &restart) || !errors.Is(err, runbook.ErrWaiting) {
			t.Fatal(err)
		}
		text, err := os.ReadFile(root + unitPath)
		if err != nil || !strings.Contains(string(text), "ExecStart=/var/lib/lifeboat/runs/run-1/wayback/lifeboat complete-rollback /var/lib/lifeboat/runs/run-1/wayback\n") {
			t.Fatalf("the unit is %s (%v)", text, err)
		}
		if to, err := os.Readlink(root + linkPath); err != nil || to != unitPath {
			t.Fatal(to, err)
		}
		bootFrom(t, dir, root)
		went := killedAway(t, orders{Verb: "complete", Dir: dir, Kill: n})
		if went {
			_, err := Complete(t.Context(), dir, func(text string) { t.Log(text) })
			must(t, err)
		}
		same(t, before, state(t, root, "/srv", "/var/lib/lifeboat"))
		must(t, m.Back(t.Context(), k, b)) // tells that it is done
		if t.Failed() {
			t.Fatalf("after a kill at boundary %d", n)
		}
		if !went {
			t.Logf("%d boundaries at most", n-1)
			break
		}
	}
	m.Vault = nil
	must(t, m.Drop(t.Context(), k, b))
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// bootFrom has the job act on a root below a directory, which a boot finds at /.
func bootFrom(t testing.TB, dir, root string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, jobName))
	must(t, err)
	var j job
	must(t, json.Unmarshal(text, &j))
	if j.Baseline.Root != "/" || j.Baseline.List != "/var/lib/lifeboat/runs/run-1/"+listName {
		t.Fatalf("the job is %+v", j)
	}
	j.Baseline.Root, j.Baseline.List = root, root+j.Baseline.List
	must(t, writeJSON(filepath.Join(dir, jobName), j))
}

func TestABootThatCannotGoBackSaysWhy(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: a root has devices")
	}
	root := filepath.Join(t.TempDir(), "root")
	populate(t, root)
	must(t, os.MkdirAll(root+"/etc/systemd/system/sysinit.target.wants", 0o755))
	put(t, root+"/usr/lib/systemd/systemd", "the program")
	_, v := newVault(t)
	target := Target{Root: root, State: root + "/var/lib/lifeboat"}
	must(t, os.MkdirAll(target.State, 0o700))
	o := options(target, v)
	o.NextBoot = true
	m, k := NewPoint(o), newTask(t, target.State, "run-1")
	b, err := m.Prepare(t.Context(), k)
	must(t, err)
	upgraded(t, root)
	var restart *RestartError
	if err := m.Back(t.Context(), k, b); !errors.As(err, &restart) {
		t.Fatal(err)
	}
	dir := filepath.Join(k.dir, dirName)
	bootFrom(t, dir, root)
	must(t, os.Rename(filepath.Join(dir, passwordName), filepath.Join(dir, "away")))
	after := state(t, root, "/var/lib/lifeboat")
	if _, err := Complete(t.Context(), dir, func(string) {}); err == nil {
		t.Fatal("it goes back without a password")
	}
	same(t, after, state(t, root, "/var/lib/lifeboat"))
	must(t, os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, passwordName)))
	if err := m.Back(t.Context(), k, b); !errors.As(err, &restart) || !strings.Contains(err.Error(), passwordName) {
		t.Error(err)
	}
	must(t, m.Drop(t.Context(), k, b))
	for _, path := range hooks {
		if _, err := os.Lstat(root + path); !os.IsNotExist(err) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestMemoDecidesFromAbove(t *testing.T) {
	asked := 0
	m := newMemo(func(path string, above func(string) bool) bool {
		asked++
		return path == "/" || path != "/out" && above(filepath.Dir(path))
	})
	for path, want := range map[string]bool{"/a/b": true, "/out/x/y": false, "/a": true, "/out": false} {
		for range 2 {
			if m.get(path) != want {
				t.Errorf("%s is not %v", path, want)
			}
		}
	}
	if asked != 6 {
		t.Errorf("asked %s times", strconv.Itoa(asked))
	}
}
