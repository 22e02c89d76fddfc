package routine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/repository"
	"lifeboat/internal/storage"
	"lifeboat/internal/vault"
)

const monthConf = `
repositories:
  - {name: main, url: /main, password: {file: /etc/lifeboat/password}}
  - {name: away, url: /away, password: {file: /etc/lifeboat/password}}
systems:
  - name: smt
    profile: smt
    repositories: [main, away]
    retention: {daily: 7, weekly: 4, monthly: 2}
    objectives: {verify: 8d}
    schedule:
      backup: daily 02:22
      copy: daily 12:00
      verify: {at: Sat 05:00, read_data: 1/7}
      prune: Sun 06:00
`

const monthPassword = "secret"

// month is a machine with a small tree, two real repositories and a clock of its own,
// on which cron calls what is due.
type month struct {
	t      *testing.T
	now    time.Time
	dir    string
	conf   *config.Config
	system config.System
	tasks  []Task
	book   Book
	vaults map[string]*vault.Vault
	made   int // points
	done   []string
}

func newMonth(t *testing.T, begin time.Time) *month {
	t.Helper()
	m := &month{t: t, now: begin, dir: t.TempDir(), conf: parse(t, monthConf), vaults: map[string]*vault.Vault{}}
	m.system, _ = m.conf.System("smt")
	m.tasks, m.book = tasksOf(t, m.conf, "smt"), NewBook(filepath.Join(m.dir, "state"))
	for _, task := range m.tasks {
		m.must(m.book.SetRun("smt", task.Name, Record{Since: begin}))
	}
	for _, r := range m.conf.Repositories {
		store, err := storage.Open(t.Context(), filepath.Join(m.dir, r.Name), storage.Options{})
		m.must(err)
		repo, err := repository.Create(t.Context(), store, []byte(monthPassword), repository.Options{Scrypt: repository.ScryptParams{N: 2, R: 8, P: 1}})
		m.must(err)
		t.Cleanup(func() { repo.Close() })
		m.vaults[r.Name] = vault.New(repo)
	}
	m.must(os.MkdirAll(m.tree(), 0o755))
	m.must(os.WriteFile(filepath.Join(m.tree(), "same"), []byte("every day"), 0o644))
	return m
}

func (m *month) tree() string { return filepath.Join(m.dir, "tree") }

func (m *month) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("%s: %v", m.now.Format("02 15:04"), err)
	}
}

// until has cron look again and again, up to and with end.
func (m *month) until(end string) {
	m.t.Helper()
	last, err := time.Parse("2006-01-02 15:04", end)
	m.must(err)
	for ; !m.now.After(last); m.now = m.now.Add(Grid) {
		for _, task := range m.tasks {
			record, err := m.book.Run("smt", task.Name)
			m.must(err)
			if task.Due(record, m.now, "machine").After(m.now) {
				continue
			}
			for _, words := range task.Commands {
				m.call(words)
			}
			record.Started, record.Finished = m.now, m.now
			m.must(m.book.SetRun("smt", task.Name, record))
			m.done = append(m.done, task.Name+" "+m.now.Format("02 15:04"))
		}
	}
}

// call does what the command line of a job says, at the time of the machine's clock.
func (m *month) call(words []string) {
	m.t.Helper()
	ctx, flags := m.t.Context(), map[string]string{}
	for _, word := range words[2:] {
		name, value, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		flags[name] = value
	}
	v := m.vaults[flags["repository"]]
	switch words[0] {
	case "backup":
		m.backup(vault.Trigger(flags["trigger"]))
	case "copy":
		from, to := m.vaults["main"], m.vaults[flags["to"]]
		lacking := vault.Missing(m.points("main"), m.points(flags["to"]), m.rules(), m.now)
		report, err := from.Copy(ctx, to, lacking, nil)
		m.must(err)
		if len(report.Damaged) > 0 {
			m.t.Fatalf("damaged: %+v", report.Damaged)
		}
		if here, there := m.list("main"), m.list(flags["to"]); here != there {
			m.t.Errorf("%s: after a copy there are\n%s and\n%s", m.now, here, there)
		}
	case "verify":
		found, err := v.Verify(ctx, vault.VerifyOptions{Filter: vault.Filter{System: words[1]}, Check: repository.CheckOptions{Subset: flags["read-data-subset"]}})
		m.must(err)
		if !found.OK() || len(found.Points) == 0 {
			m.t.Fatalf("%s: verify: %+v", m.now, found)
		}
		m.must(m.book.SetVerified(words[1], flags["repository"], Verified{Time: m.now, Points: len(found.Points), Bytes: found.Bytes, Read: found.BytesRead}))
	case "forget":
		m.must(v.Forget(ctx, func(s *vault.Survey) (going []*vault.Point, err error) {
			verdicts, err := vault.Retain(s.Points, m.rules(), m.now)
			for _, verdict := range verdicts {
				if !verdict.Keep {
					going = append(going, verdict.Point)
				}
			}
			return going, err
		}))
		_, err := v.Repository().Prune(ctx, repository.PruneOptions{})
		m.must(err)
	default:
		m.t.Fatalf("no job is %q", words)
	}
}

func (m *month) rules() config.Retention { return m.conf.Retention(m.system, "") }

// backup makes a point of the tree, in which one file is of the day.
func (m *month) backup(trigger vault.Trigger) {
	m.t.Helper()
	ctx := m.t.Context()
	m.made++
	// Each of another size, for two may have one time stamp.
	m.must(os.WriteFile(filepath.Join(m.tree(), "day"), []byte(m.now.Format(time.DateTime)+strings.Repeat("\n", m.made)), 0o644))
	draft, err := m.vaults["main"].Begin(ctx, vault.DraftOptions{System: "smt", Host: host.Local()})
	m.must(err)
	stats, err := draft.Sink("documents", nil).AddPath(ctx, m.tree(), repository.PathOptions{})
	m.must(err)
	facts, err := host.Local().Facts(ctx)
	m.must(err)
	_, err = draft.Seal(ctx, &vault.Manifest{
		Version: "test", System: "smt", Profile: "smt", Trigger: trigger, Started: m.now, Moment: m.now, Finished: m.now, Host: facts,
		Components: []component.Record{{
			Name: "documents", Kind: "files", Importance: profile.Critical, Status: component.StatusCaptured,
			Paths: []string{m.tree()}, Items: stats.Files, Bytes: stats.Bytes, Started: m.now, Finished: m.now,
		}},
	}, []byte("# Runbook\n"), []byte("profile: smt\n"))
	m.must(err)
}

func (m *month) points(name string) []*vault.Point {
	m.t.Helper()
	points, err := m.vaults[name].Points(m.t.Context(), vault.Filter{System: "smt"})
	m.must(err)
	return points
}

// list names the points of a repository by their days; manual and pinned ones are marked.
func (m *month) list(name string) string {
	m.t.Helper()
	var days []string
	for _, p := range m.points(name) {
		day := p.Time().UTC().Format("02")
		if p.Trigger() != vault.Scheduled {
			day += string(p.Trigger())
		}
		if p.Pin != nil {
			day += "pinned"
		}
		days = append(days, day)
	}
	return strings.Join(days, " ")
}

// judged is what status tells now.
func (m *month) judged() string {
	m.t.Helper()
	status := Status{System: "smt"}
	first := m.points("main")
	for _, r := range m.conf.Repositories {
		state := vault.StateOf(m.points(r.Name), first, m.rules(), m.now)
		verified, err := m.book.Verified("smt", r.Name)
		m.must(err)
		store := Store{Name: r.Name, Points: state.Points, Lacks: state.Lacks, Verified: verified}
		if state.Newest != nil {
			store.Newest, store.Time = state.Newest.ID(), state.Newest.Time()
		}
		status.Stores = append(status.Stores, store)
	}
	findings, _ := Judge(status, m.system.Objectives, m.now)
	var lines []string
	for _, f := range findings {
		text, _, _ := strings.Cut(f.Text, ";")
		lines = append(lines, f.Word+" "+strings.TrimPrefix(text, "smt: "))
	}
	return strings.Join(lines, "\n")
}

// A month with real repositories: what is kept, dropped, copied and verified is exactly
// what the configuration says, also after days on which the machine was off.
func TestMonthOfRepositories(t *testing.T) {
	m := newMonth(t, time.Date(2026, 10, 1, 12, 10, 0, 0, time.UTC)) // a Thursday
	kept := func(want string) {
		t.Helper()
		if got := m.list("main"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", m.now, got, want)
		}
	}
	m.until("2026-10-05 15:00")
	m.backup(vault.Manual)
	m.until("2026-10-06 15:00")
	points := m.points("main")
	_, err := m.vaults["main"].Pin(t.Context(), points[len(points)-1], "audit")
	m.must(err)
	m.until("2026-10-07 11:00")
	kept("02 03 04 05 05manual 06pinned 07")

	// Off until Sunday. One backup makes up for four, and all that was missed is done
	// in an order in which it makes sense.
	m.now = time.Date(2026, 10, 11, 9, 0, 0, 0, time.UTC)
	if got, want := m.judged(), `CRITICAL the newest recovery point is 4 days 6 h old
WARNING repository main was last verified 8 days 4 h ago
CRITICAL the newest copy in away is 5 days 6 h old
WARNING repository away was last verified 8 days 4 h ago`; got != want {
		t.Errorf("after four days:\n%s", got)
	}
	before := len(m.done)
	m.until("2026-10-11 11:50")
	if got := strings.Join(m.done[before:], ", "); got != "backup 11 09:00, copy 11 09:00, verify 11 09:00, prune 11 09:00" {
		t.Errorf("caught up: %s", got)
	}
	if got := m.judged(); got != "" {
		t.Errorf("caught up, and still:\n%s", got)
	}
	kept("02 03 04 05 05manual 06pinned 07 11")

	m.until("2026-10-18 11:50")
	kept("04 05manual 06pinned 11 12 13 14 15 16 17 18")
	m.until("2026-10-20 15:00")
	m.backup(vault.Manual)
	m.until("2026-10-25 11:50")
	kept("04 05manual 06pinned 11 18 19 20 20manual 21 22 23 24 25")
	m.until("2026-11-01 12:00")
	kept("05manual 06pinned 11 18 20manual 25 26 27 28 29 30 31 01")
	if got := m.judged(); got != "" {
		t.Errorf("at the end:\n%s", got)
	}
	counts := map[string]int{}
	for _, line := range m.done {
		name, _, _ := strings.Cut(line, " ")
		counts[name]++
	}
	// 31 days without four, the copy of the 7th made up for on the 11th.
	if want := "map[backup:28 copy:28 prune:5 verify:5]"; fmt.Sprint(counts) != want {
		t.Errorf("%v", counts)
	}
	m.stock()
}

// stock has stock restic judge what the month has left.
func (m *month) stock() {
	m.t.Helper()
	if _, err := exec.LookPath("restic"); err != nil {
		m.t.Skip("needs restic: it judges the repositories")
	}
	for name := range m.vaults {
		restic := func(args ...string) string {
			m.t.Helper()
			command := exec.Command("restic", append([]string{"--no-cache", "-r", filepath.Join(m.dir, name)}, args...)...)
			command.Env = append(os.Environ(), "RESTIC_PASSWORD="+monthPassword)
			out, err := command.CombinedOutput()
			if err != nil {
				m.t.Fatalf("restic %v: %v\n%s", args, err, out)
			}
			return string(out)
		}
		if out := restic("check", "--read-data"); !strings.Contains(out, "no errors were found") {
			m.t.Error(out)
		}
		if out := restic("snapshots"); !strings.Contains(out, "14 snapshots") { // 13 points and a pin
			m.t.Errorf("%s:\n%s", name, out)
		}
		points := m.points(name)
		for _, p := range slices.Concat(points[:3], points[len(points)-1:]) {
			if got, want := strings.TrimRight(restic("dump", p.ID(), filepath.Join(m.tree(), "day")), "\n"), p.Time().UTC().Format(time.DateTime); got != want {
				m.t.Errorf("%s: %s holds %q", name, want, got)
			}
		}
	}
}
