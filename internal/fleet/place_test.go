package fleet

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/agent"
	"lifeboat/internal/fleet/api"
	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/secret"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/runbook"
)

// place is a server that runs, with what a test needs of it.
type place struct {
	*Server
	url           string
	administrator *client.Client
	log           *lockedBuffer
	stop          func()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start serves a new fleet, in SQLite.
func start(t *testing.T, change func(*Options)) *place {
	t.Helper()
	return newFleet(t).serve(t, "sqlite:"+filepath.Join(t.TempDir(), "fleet.db"), change)
}

// fleet is keys with a first administrator.
type fleet struct {
	keys       *keys.Keys
	token, dir string
}

func newFleet(t *testing.T) fleet {
	t.Helper()
	settings, err := keys.NewSettings("https://127.0.0.1:8444", nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "keys")
	k, err := keys.Create(dir, settings, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	token, err := secret.ReadToken(filepath.Join(dir, keys.AdministratorFile))
	if err != nil {
		t.Fatal(err)
	}
	return fleet{k, token, dir}
}

// serve serves it from a database, beside others.
func (f fleet) serve(t *testing.T, database string, change func(*Options)) *place {
	t.Helper()
	ctx := context.Background()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(ctx, database, store.Signed(f.keys.Signing))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	desk := action.New(db, f.keys)
	if err := desk.TakeAdministrator(ctx, f.token); err != nil {
		t.Fatal(err)
	}
	p := &place{url: "https://" + listener.Addr().String(), log: &lockedBuffer{}}
	o := Options{Desk: desk, Log: slog.New(slog.NewJSONHandler(p.log, nil)), Version: "test", Limits: api.Limits{Failures: 1000, FailureBurst: 1000}}
	if change != nil {
		change(&o)
	}
	p.Server = New(o)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(running, listener) }()
	p.stop = sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil && (o.Cut == nil || o.Cut.Err() == nil) {
			t.Errorf("the server ended with %v", err)
		}
	})
	t.Cleanup(p.stop)
	p.administrator = p.as(t, f.token)
	return p
}

func (p *place) as(t *testing.T, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{URL: p.url, Token: token, Roots: p.Desk.Keys.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ask must succeed.
func ask[T any](t *testing.T, c *client.Client, method, path string, in any) (out T) {
	t.Helper()
	if err := c.Do(context.Background(), method, path, in, &out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return out
}

func do(t *testing.T, c *client.Client, method, path string, in any) {
	t.Helper()
	if err := c.Do(context.Background(), method, path, in, nil); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

func refused(t *testing.T, status int, c *client.Client, method, path string, in any) {
	t.Helper()
	var p *client.Problem
	if err := c.Do(context.Background(), method, path, in, nil); !errors.As(err, &p) || p.Status != status {
		t.Errorf("%s %s: %v, not %d", method, path, err, status)
	}
}

// join adds a host and lets it in.
func (p *place) join(t *testing.T, n wire.NewHost) *agent.Agent {
	t.Helper()
	invitation := ask[wire.Invitation](t, p.administrator, http.MethodPost, "/hosts", n)
	a, err := agent.Join(context.Background(), filepath.Join(t.TempDir(), "agent"), p.url, invitation.Token, "test", record.Identity{Hostname: n.Name, Serial: "serial-" + n.Name, MACs: n.MACs})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// sealed is a recovery configuration with a password in it.
func sealed(t *testing.T, a *agent.Agent, password string) *wire.Configuration {
	t.Helper()
	c, err := a.Seal(&configuration.Open{
		Systems:      []configuration.System{{Name: "smt", Profile: "smt", Repositories: []string{"main"}}},
		Repositories: []configuration.Repository{{Name: "main", Location: "/backup"}},
	}, &configuration.Secret{Passwords: map[string]string{"main": password}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func report(run string, ended time.Time) agent.Report {
	return agent.Report{Run: run, RunReport: wire.RunReport{
		System: "smt", Kind: "backup", State: string(runbook.StateDone), Started: ended.Add(-time.Minute), Ended: ended,
		Profile: "smt", Point: "0123", PointAt: ended.Add(-time.Minute), Bytes: 12,
	}}
}

func send(t *testing.T, a *agent.Agent, s agent.Spool, reports ...agent.Report) agent.Sent {
	t.Helper()
	for _, r := range reports {
		if err := s.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	sent, err := a.Send(context.Background(), s)
	if err != nil || len(sent.Refused) > 0 || sent.Waiting > 0 {
		t.Fatalf("%+v %v", sent, err)
	}
	return sent
}
