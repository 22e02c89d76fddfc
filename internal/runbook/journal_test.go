package runbook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func sample(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	j, err := createJournal(dir, func(f *os.File) journalFile { return f })
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []Event{
		{Version: 1, Type: RunStarted, Run: "r", System: "smt", Outline: []Outline{{Name: "s", Steps: []OutlineStep{{ID: "a"}}}}},
		{Version: 1, Type: StepStarted, Step: "a"},
		{Version: 1, Type: StepLog, Step: "a", Text: "line\nwith end \xff"},
		{Version: 1, Type: StepFinished, Step: "a"},
	} {
		if err := j.append(&e, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestJournalTornAnywhere(t *testing.T) {
	data := sample(t)
	for cut := range len(data) + 1 {
		whole := bytes.Count(data[:cut], []byte("\n"))
		for _, tail := range []string{"", "\x00\x00", "garbage\n", "\x00\x00\n"} {
			if tail == "garbage\n" && cut > 0 && data[cut-1] != '\n' && cut < len(data) && tail[0] == data[cut] {
				continue
			}
			n := 0
			seq, size, err := readJournal(bytes.NewReader(append(bytes.Clone(data[:cut]), tail...)), func(Event) { n++ })
			if err != nil || n != whole || seq != int64(whole) {
				t.Fatalf("cut at %d, tail %q: %d records, want %d: %v", cut, tail, n, whole, err)
			}
			if want := bytes.LastIndexByte(data[:cut], '\n') + 1; size != int64(want) {
				t.Fatalf("cut at %d: whole records end at %d, want %d", cut, size, want)
			}
		}
	}
}

func TestJournalDamaged(t *testing.T) {
	lines := strings.SplitAfter(strings.TrimSuffix(string(sample(t)), "\n"), "\n")
	for name, c := range map[string]struct{ text, want string }{
		"middle line":   {lines[0] + "{oops\n" + lines[2], "line 2 is damaged"},
		"line missing":  {lines[0] + lines[2], "line 2: record 3 follows 1"},
		"line twice":    {lines[0] + lines[0], "line 2: record 1 follows 1"},
		"newer version": {strings.Replace(lines[0], `"v":1`, `"v":9`, 1), "newer program"},
		"endless line":  {lines[0] + strings.Repeat("x", maxLine+1) + "\n", "too long"},
	} {
		_, _, err := readJournal(strings.NewReader(c.text), func(Event) {})
		if !errors.Is(err, ErrJournal) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func FuzzJournal(f *testing.F) {
	data := sample(f)
	f.Add(data)
	f.Add(data[:len(data)-3])
	f.Add([]byte("{}\nnull\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		run := newRun(Meta{}, "")
		n := int64(0)
		seq, size, _ := readJournal(bytes.NewReader(data), func(e Event) { n++; run.apply(e) })
		if seq != n || size < 0 || size > int64(len(data)) {
			t.Fatalf("%d records, last %d, end at %d of %d", n, seq, size, len(data))
		}
		again, _, err := readJournal(bytes.NewReader(data[:size]), func(Event) {})
		if err != nil || again != seq {
			t.Fatalf("what was whole is not: %d of %d: %v", again, seq, err)
		}
		run.Resumable()
		run.Checks()
	})
}

// full is a journal file on a disk that is full while on.
type full struct {
	*os.File
	on      func() bool
	noSync  bool // the disk fails when it is synced
	noTrunc bool // and cannot be cleaned up
}

func (f *full) Write(p []byte) (int, error) {
	if f.on() && !f.noSync {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, unix.ENOSPC
	}
	return f.File.Write(p)
}

func (f *full) Sync() error {
	if f.on() && f.noSync {
		return unix.EIO
	}
	return f.File.Sync()
}

func (f *full) Truncate(size int64) error {
	if f.on() && f.noTrunc {
		return unix.EIO
	}
	return f.File.Truncate(size)
}

func TestJournalOnAFullDisk(t *testing.T) {
	for name, f := range map[string]full{"space": {}, "sync": {noSync: true}, "truncate": {noTrunc: true}} {
		t.Run(name, func(t *testing.T) {
			var l ledger
			on := false
			f.on = func() bool { return on }
			o := Options{wrap: func(file *os.File) journalFile { f.File = file; g := f; return &g }}
			fill := l.does("fill")
			fill.Repeat = RepeatSafe
			run := fill.Run
			fill.Run = func(ctx context.Context, task Task) error {
				if !l.has("fill") {
					on = true
				}
				return errors.Join(run(ctx, task), nil)
			}
			rb := book(steps(fill, l.does("next", "fill")), always(l.does("start")), steps(l.does("seal")))
			e := engine(t, o)
			got, err := e.Start(t.Context(), rb, Meta{})
			if !errors.Is(err, ErrJournal) || ExitCode(got, err) != ExitFailed {
				t.Fatalf("%v", err)
			}
			if !f.noSync && !strings.Contains(err.Error(), "free space") {
				t.Errorf("no hint in %v", err)
			}
			wantSteps(t, l.list(), "fill", "start") // services start all the same
			on = false
			e = engine(t, Options{Dir: e.o.Dir})
			got, err = e.Resume(t.Context(), got.ID, rb)
			wantState(t, got, err, StateDone, ExitDone)
			wantSteps(t, l.list(), "fill", "start", "fill", "next", "start", "seal")
		})
	}
}

func TestStartOnAFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skip("needs a mount of its own: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	var l ledger
	rb := book(steps(l.does("a"), Step{ID: "fill", Needs: []string{"a"}, Run: func(_ context.Context, task Task) error {
		// Space for the journal was reserved, so it goes on when the disk is full.
		if err := fillUp(filepath.Join(dir, "filler")); err != nil {
			return err
		}
		for i := range 100 {
			task.Logf("still writing, line %d", i)
		}
		return task.Keep("key", "value")
	}}))
	e := New(Options{Dir: dir})
	run, err := e.Start(t.Context(), rb, Meta{})
	wantState(t, run, err, StateDone, ExitDone)

	again, err := e.Start(t.Context(), rb, Meta{})
	if again != nil || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("start on a full disk: %v", err)
	}
	wantSteps(t, l.list(), "a")
	if runs, err := List(dir); err != nil {
		t.Errorf("%v %v", runs, err)
	}
}

func fillUp(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for size := 64 << 10; size > 0; size /= 2 {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			return fmt.Errorf("fill the disk: %w", err)
		}
		err = nil
	}
	return f.Close()
}

// A run of which not even the head can be read says what to do about it.
func TestDamagedHead(t *testing.T) {
	dir, id := t.TempDir(), "20261121-120000-smt-backup"
	if err := os.MkdirAll(RunDir(dir, id), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(RunDir(dir, id), "run.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir, id); err == nil || !strings.Contains(err.Error(), "run.json is damaged") || !strings.Contains(err.Error(), "move "+RunDir(dir, id)+" away") {
		t.Error(err)
	}
}
