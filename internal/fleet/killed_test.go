package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/agent"
	"lifeboat/internal/fleet/api"
	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/secret"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/fleet/store/postgrestest"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/notice"
)

// processEnv makes this test's program a whole server: "KEYS DATABASE NOTICES".
const processEnv = "LIFEBOAT_TEST_FLEET_SERVER"

func TestMain(m *testing.M) {
	if spec := os.Getenv(processEnv); spec != "" {
		fmt.Fprintln(os.Stderr, serveProcess(strings.Fields(spec)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// serveProcess serves until it is killed, and says where.
func serveProcess(spec []string) error {
	ctx := context.Background()
	k, err := keys.Open(spec[0])
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, spec[1], store.Signed(k.Signing))
	if err != nil {
		return err
	}
	token, err := secret.ReadToken(filepath.Join(spec[0], keys.AdministratorFile))
	if err != nil {
		return err
	}
	desk := action.New(db, k)
	if err := desk.TakeAdministrator(ctx, token); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("https://" + listener.Addr().String())
	return New(Options{
		Desk: desk, Log: slog.New(slog.DiscardHandler), Version: "test", Every: time.Second,
		Limits:  api.Limits{Failures: 1000, FailureBurst: 1000},
		Notices: []config.Notice{{Name: "hook", On: config.OnWarning, Webhook: &config.Webhook{Address: config.Address{URL: spec[2]}}}},
	}).Serve(ctx, listener)
}

// spawn starts a server as a process of its own, and gives how it is killed.
func (f fleet) spawn(t *testing.T, database, notices string) (url string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), processEnv+"="+f.dir+" "+database+" "+notices)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the server did not say where it is")
	}
	return lines.Text(), kill
}

// Of two server processes with one database one is killed while hosts report to it: what
// it has thanked for is there, what it has not is taken by the other, nothing is there
// twice, and the other does the periodic work from then on.
func TestOneOfTwoIsKilled(t *testing.T) {
	var mu sync.Mutex
	told := map[string]int{} // by problem
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m notice.Message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, p := range m.Problems {
			told[strings.SplitN(p, ":", 2)[0]]++
		}
	}))
	defer hook.Close()
	toldOf := func(what string) int {
		mu.Lock()
		defer mu.Unlock()
		return told[what]
	}
	ctx := context.Background()
	f := newFleet(t)
	database := postgrestest.Start(t).Database(t)
	first, kill := f.spawn(t, database, hook.URL)
	second, _ := f.spawn(t, database, hook.URL)
	connect := func(url string, o client.Options) *client.Client {
		t.Helper()
		o.URL, o.Roots = url, f.keys.Pool()
		c, err := client.New(o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	administrator := connect(second, client.Options{Token: f.token})

	// A system that is late is told of by whichever server has the job.
	const reports = 25
	hosts := []string{"smt1", "smt2", "smt3"}
	agents := map[string]*agent.Agent{}
	for _, name := range hosts {
		invitation := ask[wire.Invitation](t, administrator, http.MethodPost, "/hosts", wire.NewHost{Name: name})
		a, err := agent.Join(ctx, filepath.Join(t.TempDir(), "agent"), first, invitation.Token, "test", record.Identity{Hostname: name})
		if err != nil {
			t.Fatal(err)
		}
		agents[name] = a
	}
	late := func(name string) {
		t.Helper()
		pair := agents[name].Certificate()
		r := report("late", time.Now().Add(-time.Hour))
		r.Kind, r.System, r.Objectives.RPO = "backup", "old", time.Minute
		ask[wire.Receipt](t, connect(second, client.Options{Certificate: &pair}), http.MethodPut, "/agent/reports/late", r.RunReport)
	}
	late("smt1")
	for toldOf("old of host smt1") == 0 {
		time.Sleep(50 * time.Millisecond)
	}

	var accepted atomic.Int64
	var senders sync.WaitGroup
	for _, name := range hosts {
		pair := agents[name].Certificate()
		clients := []*client.Client{connect(first, client.Options{Certificate: &pair}), connect(second, client.Options{Certificate: &pair})}
		senders.Add(1)
		go func() {
			defer senders.Done()
			for n := range reports {
				r := report(fmt.Sprint("run-", n), time.Now())
				r.Configuration = sealed(t, agents[name], fmt.Sprint("password ", n))
				for to := 0; ; to = 1 - to { // the first, as long as it answers
					var got wire.Receipt
					err := clients[to].Do(ctx, http.MethodPut, "/agent/reports/"+r.Run, r.RunReport, &got)
					if err == nil {
						break
					}
					var refusal *client.Problem
					if errors.As(err, &refusal) && refusal.Status != http.StatusTooManyRequests && refusal.Status < 500 {
						t.Errorf("%s of %s: %v", r.Run, name, err)
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
				accepted.Add(1)
			}
		}()
	}
	for accepted.Load() < reports && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	kill()
	senders.Wait()
	for _, name := range hosts {
		list := ask[wire.List[record.Report]](t, administrator, http.MethodGet, "/hosts/"+name+"/reports?limit=1000", nil)
		var ids []string
		for _, r := range list.Items {
			if r.ID != "late" {
				ids = append(ids, r.ID)
			}
		}
		slices.Sort(ids)
		if len(ids) != reports || len(slices.Compact(ids)) != reports {
			t.Errorf("%s has reports %v", name, ids)
		}
		if d := ask[wire.HostDetail](t, administrator, http.MethodGet, "/hosts/"+name, nil); d.Configuration != reports {
			t.Errorf("%s has %d configurations", name, d.Configuration)
		}
	}
	late("smt2")
	for toldOf("old of host smt2") == 0 {
		time.Sleep(50 * time.Millisecond)
	}
	if state := ask[wire.AuditState](t, administrator, http.MethodGet, "/audit/verification", nil); !state.Whole {
		t.Errorf("%+v", state)
	}
}
