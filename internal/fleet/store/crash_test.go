package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"lifeboat/internal/fleet/audit"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/fleet/store/postgrestest"
	"lifeboat/internal/fleet/store/storetest"
)

// writerEnv makes this test's program a server that takes reports until it is killed:
// "NAME URL".
const writerEnv = "LIFEBOAT_TEST_STORE_WRITER"

func TestMain(m *testing.M) {
	if spec := os.Getenv(writerEnv); spec != "" {
		name, url, _ := strings.Cut(spec, " ")
		if err := takeReports(name, url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// takeReports says of each report when it is accepted.
func takeReports(name, url string) error {
	s, err := store.Open(context.Background(), url)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for w := range 4 {
		go func() {
			for n := 0; ; n++ {
				r := storetest.Report(storetest.Host(w).ID, n)
				r.ID = fmt.Sprintf("%s-%d-%d", name, w, n)
				if err := s.Change(context.Background(), func(tx record.Tx) ([]record.Entry, error) {
					added, err := tx.AddReport(r, storetest.Protection(r.Host, n))
					if err == nil && !added {
						err = fmt.Errorf("report %s is there already", r.ID)
					}
					return []record.Entry{{Actor: "host:" + name, Action: "report", Object: r.ID}}, err
				}); err != nil {
					failed <- err
					return
				}
				fmt.Printf("%d %s\n", w, r.ID) // one write
			}
		}()
	}
	return <-failed
}

// writer is a server that takes reports.
type writer struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	// accepted are the reports it has answered, by host.
	accepted map[string]record.HostID
}

func startWriter(t *testing.T, name, url string) *writer {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerEnv+"="+name+" "+url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := &writer{cmd: cmd, lines: bufio.NewScanner(out), accepted: map[string]record.HostID{}}
	t.Cleanup(w.kill)
	return w
}

// read takes so many answers; -1 all there are.
func (w *writer) read(n int) {
	for ; n != 0 && w.lines.Scan(); n-- {
		var host int
		var id string
		if _, err := fmt.Sscan(w.lines.Text(), &host, &id); err == nil {
			w.accepted[id] = storetest.Host(host).ID
		}
	}
}

// kill ends it in the middle, and reads what it has answered until then.
func (w *writer) kill() {
	_ = w.cmd.Process.Kill()
	w.read(-1)
	_ = w.cmd.Wait()
}

// there checks that everything accepted is there, once, and the audit log whole.
func there(t *testing.T, s *store.Store, writers ...*writer) {
	t.Helper()
	if err := s.Read(t.Context(), func(r record.Reader) error {
		for _, w := range writers {
			if len(w.accepted) == 0 {
				t.Error("nothing was accepted")
			}
			for id, host := range w.accepted {
				if _, err := r.Report(host, id); err != nil {
					t.Errorf("the accepted report %s: %v", id, err)
				}
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if _, err := audit.Verify(t.Context(), s, audit.Witness{}); err != nil {
		t.Error(err)
	}
	logged, stored := map[string]int{}, 0
	for after := int64(0); ; {
		page := storetest.Get(t, s, func(r record.Reader) ([]record.Entry, error) { return r.Audit(after, 1000) })
		for _, e := range page {
			logged[e.Object]++
			after = e.Number
		}
		if len(page) < 1000 {
			break
		}
	}
	for host := range 4 {
		for after := ""; ; {
			page := storetest.Get(t, s, func(r record.Reader) ([]record.Report, error) {
				return r.Reports(storetest.Host(host).ID, record.Page{After: after, Limit: 1000})
			})
			for _, r := range page {
				stored++
				after = r.ID
				if logged[r.ID] != 1 {
					t.Errorf("report %s has %d lines in the audit log", r.ID, logged[r.ID])
				}
			}
			if len(page) < 1000 {
				break
			}
		}
	}
	if stored != len(logged) {
		t.Errorf("%d reports and %d lines about them", stored, len(logged))
	}
}

func prepare(t *testing.T, url string) *store.Store {
	s := storetest.Open(t, url)
	storetest.Change(t, s, func(tx record.Tx) error {
		for n := range 4 {
			if err := tx.PutHost(storetest.Host(n)); err != nil {
				return err
			}
		}
		return nil
	})
	return s
}

func TestSQLiteKilled(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	if err := prepare(t, url).Close(); err != nil {
		t.Fatal(err)
	}
	var writers []*writer
	for n := range 3 {
		w := startWriter(t, fmt.Sprint("w", n), url)
		w.read(20 + 17*n)
		w.kill()
		writers = append(writers, w)
		s := storetest.Open(t, url)
		there(t, s, writers...)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Two servers, one killed in the middle: the other goes on.
func postgresServerKilled(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	s := prepare(t, url)
	first, second := startWriter(t, "first", url), startWriter(t, "second", url)
	first.read(20)
	second.read(20)
	var wg sync.WaitGroup
	wg.Go(func() { first.kill() })
	wg.Go(func() { second.read(40) })
	wg.Wait()
	if len(second.accepted) != 60 {
		t.Errorf("the other server accepted %d reports", len(second.accepted))
	}
	second.kill()
	there(t, s, first, second)
}

// The database crashes and comes back: what was accepted is there, and servers go on.
func TestPostgreSQLCrashes(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t)
	url := server.Database(t)
	s := prepare(t, url)
	w := startWriter(t, "w", url)
	w.read(30)
	server.Kill()
	server.Run()
	w.kill() // it may have given up meanwhile
	there(t, s, w)
	storetest.Change(t, s, func(tx record.Tx) error { return tx.PutSetting("after", nil) })
}
