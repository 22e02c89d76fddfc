package routine

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/config"
)

// What is not there does not call anything, and is told.
func TestStanding(t *testing.T) {
	tasks := tasksOf(t, parse(t, conf), "smt")
	for name, test := range map[string]struct {
		systemd bool
		gone    string // of the machine
		idle    int
	}{
		"file for cron": {false, cronDir + "lifeboat-smt", len(tasks)},
		"timer":         {true, unitDir + "lifeboat-smt.backup.timer", 1},
		"service":       {true, unitDir + "lifeboat-smt.backup.service", 1},
		"not enabled":   {true, wantsDir + "lifeboat-smt.backup.timer", 1},
	} {
		t.Run(name, func(t *testing.T) {
			i, root := machineBelow(t, test.systemd, config.DefaultFile)
			if _, err := i.On(t.Context(), "smt", tasks); err != nil {
				t.Fatal(err)
			}
			if s, err := i.State(t.Context(), "smt", tasks); err != nil || !s.Current || len(s.Problems("smt"))+len(s.Idle) != 0 {
				t.Fatalf("%+v, %v", s, err)
			}
			if err := os.Remove(filepath.Join(root, test.gone)); err != nil {
				t.Fatal(err)
			}
			s, err := i.State(t.Context(), "smt", tasks)
			if err != nil || s.Form == "" || s.Current || !slices.Equal(s.Missing, []string{test.gone}) || len(s.Idle) != test.idle || !slices.Contains(s.Idle, "backup") {
				t.Errorf("%+v, %v", s, err)
			}
			if texts := s.Problems("smt"); len(texts) != 1 || !strings.Contains(texts[0], test.gone+" is not there") {
				t.Errorf("%q", texts)
			}
			if changes, err := i.On(t.Context(), "smt", tasks); err != nil || !slices.Equal(changes.Written, []string{test.gone}) {
				t.Errorf("%+v, %v", changes, err)
			}
		})
	}
}

// A schedule that systemd did not take calls nothing.
func TestStandingWaits(t *testing.T) {
	i, _ := machineBelow(t, true, config.DefaultFile)
	tasks := tasksOf(t, parse(t, conf), "a")
	if _, err := i.On(t.Context(), "a", tasks); err != nil {
		t.Fatal(err)
	}
	known, err := i.known()
	if err != nil {
		t.Fatal(err)
	}
	for n := range known {
		known[n].Waiting = true
	}
	if err := i.Book.write(ledger, known); err != nil {
		t.Fatal(err)
	}
	if s, err := i.State(t.Context(), "a", tasks); err != nil || s.Current || len(s.Idle) != len(tasks) || len(s.Problems("a")) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := i.On(t.Context(), "a", tasks); err != nil {
		t.Fatal(err)
	}
	if s, err := i.State(t.Context(), "a", tasks); err != nil || !s.Current {
		t.Errorf("%+v, %v", s, err)
	}
}

// A changed file that off has left is known until it is gone, and on knows whose it is,
// even without the ledger.
func TestLeft(t *testing.T) {
	i, root := machineBelow(t, false, config.DefaultFile)
	tasks := tasksOf(t, parse(t, conf), "a")
	if _, err := i.On(t.Context(), "a", tasks); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, cronDir, "lifeboat-a")
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, append(text, "# mine\n"...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s, err := i.State(t.Context(), "a", tasks); err != nil || s.Form != ByCron || len(s.Changed) != 1 || len(s.Problems("a")) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	for range 2 {
		if changes, err := i.Off(t.Context(), "a"); err != nil || len(changes.Kept) != 1 {
			t.Errorf("%+v, %v", changes, err)
		}
		if s, err := i.State(t.Context(), "a", tasks); err != nil || !s.IsOff() || len(s.Problems("a")) != 1 {
			t.Errorf("%+v, %v", s, err)
		}
	}
	if _, err := i.On(t.Context(), "a", tasks); !errors.Is(err, ErrChanged) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(filepath.Join(i.Book.dir, ledger)); err != nil {
		t.Fatal(err)
	}
	if _, err := i.On(t.Context(), "a", tasks); !errors.Is(err, ErrChanged) {
		t.Errorf("without the ledger: %v", err)
	}
	i.Force = true
	if changes, err := i.On(t.Context(), "a", tasks); err != nil || len(changes.Aside) != 1 {
		t.Errorf("%+v, %v", changes, err)
	}
	if s, err := i.State(t.Context(), "a", tasks); err != nil || !s.Current || len(s.Left) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// What cannot be read says what mends it.
func TestLedgerUnread(t *testing.T) {
	for name, test := range map[string]struct {
		plant func(dir string) error
		text  string
	}{
		"damaged": {func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, ledger), []byte("[{"), 0o600))
		}, "remove it, then lifeboat schedule on"},
		"no directory": {func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, "move it away"},
	} {
		i, _ := machineBelow(t, false, config.DefaultFile)
		if err := test.plant(i.Book.dir); err != nil {
			t.Fatal(err)
		}
		_, err := i.State(t.Context(), "a", nil)
		if !errors.Is(err, ErrLedger) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := i.Off(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
