package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/lab/sles"
	"lifeboat/internal/runbook"
	"lifeboat/internal/sandbox"
	"lifeboat/internal/strict"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/upgrade/preflight"
	"lifeboat/internal/upgrade/wayback"
	"lifeboat/internal/upgrade/wayback/inventory"
	"lifeboat/internal/zypper"
	"lifeboat/profiles"
)

func TestMain(m *testing.M) {
	sandbox.Init()
	if plan := os.Getenv("UPGRADE_VICTIM"); plan != "" {
		victim(plan)
	}
	os.Exit(m.Run())
}

// site is a root of the lab that is to be upgraded.
type site struct {
	t     *testing.T
	lab   *sles.Lab
	state string
	copy  string // what the copying way back keeps
	req   Request
}

// catalogue is the section upgrade of the shipped profile, whatever else is in it.
func catalogue() (*path.Catalogue, error) {
	text, err := fs.ReadFile(profiles.FS, "sles.yaml")
	if err != nil {
		return nil, err
	}
	doc, err := strict.Parse("sles.yaml", text)
	if err != nil {
		return nil, err
	}
	c := new(path.Catalogue)
	for _, e := range doc.Entries(doc.Root) {
		if e.Key == "upgrade" {
			doc.Fill(e.Value, c)
		}
	}
	return c, doc.Err()
}

// at builds a root and what is asked of it: the service pack that follows by zypper.
func at(t *testing.T, from string, faults ...string) *site {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: installs and upgrades a root")
	}
	lab, err := sles.Build(t.Context(), filepath.Join(t.TempDir(), "lab"), sles.Options{From: from, Break: faults, Big: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalogue()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, lab: lab, state: t.TempDir(), copy: filepath.Join(t.TempDir(), "copy")}
	now, err := c.Parse("SLES "+from, path.Release{Arch: "x86_64"})
	if err != nil {
		t.Fatal(err)
	}
	s.req = Request{
		Format: Format, Root: lab.Root, From: now, To: c.Next(now)[0].To, Method: "online", Scripts: Stop, Accept: preflight.Accepted{},
	}
	if from == sles.SLES11SP3 {
		s.req.To, s.req.Method = release(t, c, "SLES 12"), "boot-entry"
	}
	for _, r := range lab.Target {
		s.req.Repositories = append(s.req.Repositories, zypper.Repository{Alias: r.Alias, URLs: []string{r.URL}, Enabled: true})
	}
	for _, accept := range []string{
		"release-notes=" + preflight.ReleaseWord(s.req.To), "path-needs", "repositories-unsigned=acme", "boot-loader-unknown", "facts-old", "desktop-changes",
		"third-party-removed=acme-backup", "packages-removed=" + removed,
	} {
		if err := s.req.Accept.Add(accept); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// removed is the word for the packages that the step from SLES 12 to its first service
// pack removes.
const removed = "1ab3f351"

func release(t *testing.T, c *path.Catalogue, name string) path.Release {
	t.Helper()
	r, err := c.Parse(name, path.Release{Arch: "x86_64"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// onBtrfs instead of a copy's place goes back by exchanging subvolumes.
const onBtrfs = "btrfs"

func setup(state, copy, root string) (Setup, error) {
	c, err := catalogue()
	ways := []wayback.Means{copies{root, copy}}
	if copy == onBtrfs {
		ways = []wayback.Means{wayback.NewBtrfs(wayback.Target{Root: root, State: state})}
	}
	return Setup{
		State: state, Catalogue: c, Ways: ways,
		Point: func(context.Context) preflight.Point {
			return preflight.Point{System: "host", Repository: "elsewhere", Planned: true}
		},
	}, err
}

func (s *site) upgrade() *Upgrade {
	s.t.Helper()
	set, err := setup(s.state, s.copy, s.lab.Root)
	if err != nil {
		s.t.Fatal(err)
	}
	u, err := New("lab", s.req, set)
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

func (s *site) engine() *runbook.Engine { return runbook.New(runbook.Options{Dir: s.state}) }

func (s *site) start() (*runbook.Run, error) {
	s.t.Helper()
	return s.upgrade().Start(s.t.Context(), s.engine())
}

// must starts an upgrade that has to succeed.
func (s *site) must() *runbook.Run {
	s.t.Helper()
	run, err := s.start()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, steps(run))
	}
	return run
}

func steps(run *runbook.Run) string {
	if run == nil {
		return "no run"
	}
	var b strings.Builder
	for _, s := range run.Steps {
		fmt.Fprintf(&b, "%s: %s %s %s\n", s.ID, s.State, s.Text, s.Error)
	}
	for _, w := range run.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w.Text)
	}
	return b.String()
}

func (s *site) packages() []string {
	s.t.Helper()
	list, err := s.lab.Packages(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

// unkept is what readers of a root may change: run, and the index that readers of the
// package database share.
func unkept(path string) bool {
	return path == "/run" || path == "/var/lib/lifeboat" || strings.HasSuffix(path, ".sqlite-shm") || strings.HasSuffix(path, ".sqlite-wal")
}

// fingerprint is everything of the root, hard links and times included.
func (s *site) fingerprint() string {
	s.t.Helper()
	var b bytes.Buffer
	if _, err := inventory.Take(s.t.Context(), s.lab.Root, inventory.Options{Skip: unkept}, &b); err != nil {
		s.t.Fatal(err)
	}
	return b.String()
}

// same says where two fingerprints differ.
func (s *site) same(before string) {
	s.t.Helper()
	var list []string
	_, err := inventory.Compare(s.t.Context(), strings.NewReader(before), s.lab.Root, inventory.Options{Skip: unkept}, func(d inventory.Difference) error {
		list = append(list, d.String())
		return nil
	})
	if err != nil || len(list) > 0 {
		s.t.Errorf("the root is not what it was: %v\n%s", err, strings.Join(list, "\n"))
	}
}

// copies is a way back for tests: a copy of the whole root.
type copies struct{ root, copy string }

func (copies) Name() string                               { return "copy" }
func (copies) Suits(context.Context) (wayback.Fit, error) { return wayback.Fit{OK: true}, nil }

func (c copies) Prepare(_ context.Context, task runbook.Task) (wayback.Baseline, error) {
	if err := os.RemoveAll(c.copy); err != nil {
		return wayback.Baseline{}, err
	}
	return wayback.Baseline{Format: wayback.Format, Means: "copy", Root: c.root}, shell(`cp -a "$1" "$2"`, c.root, c.copy)
}

func (c copies) Verify(context.Context, runbook.Task, wayback.Baseline) error {
	_, err := os.Stat(c.copy)
	return err
}

func (c copies) Back(context.Context, runbook.Task, wayback.Baseline) error {
	// The directory itself stays: it is what holds a mounted root.
	return shell(`find "$1" -mindepth 1 -maxdepth 1 -exec rm -rf {} + && cp -a "$2/." "$1/"`, c.root, c.copy)
}

func (copies) Written(context.Context, wayback.Baseline, time.Time, func(string, inventory.Difference) error) error {
	return nil
}
func (copies) Look(context.Context, runbook.Task, wayback.Baseline) error { return nil }

func (c copies) Drop(context.Context, runbook.Task, wayback.Baseline) error {
	return os.RemoveAll(c.copy)
}

func shell(line string, args ...string) error {
	out, err := exec.Command("sh", append([]string{"-ec", line, "sh"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// readJSON reads a file of a run.
func readJSON[T any](t *testing.T, run *runbook.Run, name string) T {
	t.Helper()
	var v T
	raw, err := os.ReadFile(filepath.Join(run.Dir, name))
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (s *site) enabled() string {
	s.t.Helper()
	z, err := zypper.New(zypper.Options{Root: s.lab.Root})
	if err != nil {
		s.t.Fatal(err)
	}
	list, err := z.Repositories()
	if err != nil {
		s.t.Fatal(err)
	}
	var on []string
	for _, r := range list {
		if r.Enabled {
			on = append(on, r.Alias)
		}
	}
	slices.Sort(on)
	return strings.Join(on, " ")
}
