package console

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/fleet/account"
	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/runbook"
)

// The tests' fleet lives at one moment.
var now = time.Date(2026, 3, 14, 9, 30, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

const day = 24 * time.Hour

// fleet is a console on a real database, served over TLS.
type fleet struct {
	*Console
	t        *testing.T
	server   *httptest.Server
	accounts *people
	keys     *keys.Keys
}

func newFleet(t *testing.T, change ...func(*Options)) *fleet {
	t.Helper()
	k, err := keys.Create(filepath.Join(t.TempDir(), "keys"), keys.Settings{URL: "https://fleet.example.com:8444", Names: []string{"fleet.example.com"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "fleet.db"), store.Signed(k.Signing))
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, accounts: newPeople(), keys: k}
	f.accounts.Accounts = account.New(db, k.Age, account.WithClock(func() time.Time { return now }))
	f.accounts.store(t, db)
	desk := action.New(db, k)
	desk.Now = func() time.Time { return now }
	o := Options{
		Store: db, Accounts: f.accounts, Actions: desk, Name: "Example fleet", URL: k.URL,
		AuditKeys: []ed25519.PublicKey{k.Signing.Public().(ed25519.PublicKey)},
		Now:       func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Poll: 20 * time.Millisecond,
	}
	for _, c := range change {
		c(&o)
	}
	f.Console = New(o)
	f.server = httptest.NewUnstartedServer(f.Console)
	f.server.Config.RegisterOnShutdown(f.Close)
	f.server.EnableHTTP2 = true
	f.server.StartTLS()
	t.Cleanup(func() {
		f.Close()
		f.server.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *fleet) change(do func(record.Tx) error) {
	f.t.Helper()
	err := f.Store.Change(context.Background(), func(tx record.Tx) ([]record.Entry, error) { return nil, do(tx) })
	if err != nil {
		f.t.Fatal(err)
	}
	f.forget()
}

func hostID(n int) record.HostID { return record.HostID(fmt.Sprintf("%032x", n)) }

// add puts a host into the fleet, with systems.
func (f *fleet) add(n int, name, group string, systems ...record.Protection) record.HostID {
	f.t.Helper()
	id := hostID(n)
	h := record.Host{
		ID: id, Name: name, Group: group, Created: ago(400 * day), Key: fmt.Sprintf("key%d", n), Joined: ago(399 * day), Seen: ago(time.Hour),
		Identity: record.Identity{Hostname: "h" + fmt.Sprint(n), Serial: fmt.Sprintf("sn-%04d", n), UUID: fmt.Sprintf("4c4c4544-0000-1000-8000-%012x", n), MACs: []string{fmt.Sprintf("52:54:00:00:%02x:%02x", n/256, n%256)}},
	}
	f.change(func(tx record.Tx) error {
		if err := tx.PutHost(h); err != nil {
			return err
		}
		for i, p := range systems {
			p.Host = id
			r := record.Report{
				ID: fmt.Sprintf("20260313T2300-%d-%d", n, i), Host: id, System: p.System, Kind: "backup", State: p.LastState,
				Started: p.LastAt.Add(-4 * time.Minute), Ended: p.LastAt, Received: p.LastAt, Point: p.Point, Bytes: 37 << 30,
			}
			if _, err := tx.AddReport(r, p); err != nil {
				return err
			}
			if err := tx.PutRun(record.Run{ID: r.ID, Host: id, System: p.System, Kind: r.Kind, State: r.State, Started: r.Started, Updated: r.Ended}); err != nil {
				return err
			}
		}
		return nil
	})
	return id
}

// good is a system that nothing is wrong with.
func good(name string) record.Protection {
	return record.Protection{
		System: name, Profile: name, Point: "8f31c2d04b7ae5916623aa01", PointAt: ago(10 * time.Hour), VerifyAt: ago(6 * day), DrillAt: ago(20 * day),
		LastState: "done", LastAt: ago(10 * time.Hour), Objectives: record.Objectives{RPO: 26 * time.Hour, RTO: 45 * time.Minute},
	}
}

func with(p record.Protection, change func(*record.Protection)) record.Protection {
	change(&p)
	return p
}

// event appends to a run.
func (f *fleet) event(host record.HostID, run string, seq int64, e runbook.Event) {
	f.t.Helper()
	if e.Time.IsZero() {
		e.Time = now
	}
	data, err := json.Marshal(e)
	if err != nil {
		f.t.Fatal(err)
	}
	f.change(func(tx record.Tx) error {
		return tx.AddEvents([]record.Event{{Run: run, Host: host, Seq: seq, Time: e.Time, Data: data}})
	})
}

// browser is one person's.
type browser struct {
	*http.Client
	f *fleet
}

func (f *fleet) browser(name string) *browser {
	f.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	c := *f.server.Client()
	c.Jar = jar
	b := &browser{&c, f}
	if name != "" {
		if status, page := b.post("/signin", url.Values{"name": {name}, "password": {"right"}}); status != http.StatusOK || !strings.Contains(page, "Sign out") {
			f.t.Fatalf("signing in as %s: %d\n%s", name, status, page)
		}
	}
	return b
}

func (b *browser) get(path string) (int, string) {
	b.f.t.Helper()
	r, err := http.NewRequestWithContext(b.f.t.Context(), http.MethodGet, b.f.server.URL+path, nil)
	if err != nil {
		b.f.t.Fatal(err)
	}
	return b.do(r)
}

var token = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// post sends a form as a page of the console would.
func (b *browser) post(path string, form url.Values) (int, string) {
	b.f.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	if !form.Has("csrf") && path != "/signin" {
		_, page := b.get("/")
		m := token.FindStringSubmatch(page)
		if m == nil {
			b.f.t.Fatalf("no token in\n%s", page)
		}
		form.Set("csrf", m[1])
	}
	return b.do(b.request(path, form))
}

func (b *browser) request(path string, form url.Values) *http.Request {
	b.f.t.Helper()
	r, err := http.NewRequestWithContext(b.f.t.Context(), http.MethodPost, b.f.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.f.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.f.server.URL)
	return r
}

func (b *browser) do(r *http.Request) (int, string) {
	b.f.t.Helper()
	a, err := b.Do(r)
	if err != nil {
		b.f.t.Fatal(err)
	}
	defer a.Body.Close()
	page, err := io.ReadAll(a.Body)
	if err != nil {
		b.f.t.Fatal(err)
	}
	return a.StatusCode, string(page)
}

// version gives a host its next recovery configuration, sealed for the fleet.
func (f *fleet) version(host record.HostID, n int64, open configuration.Open) {
	f.t.Helper()
	open.Format = configuration.Format
	text, err := open.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	secret := configuration.Secret{Format: configuration.Format, Host: host, Passwords: map[string]string{"main": "sesame"}}
	sealed, err := secret.Seal(f.keys.Age.Recipient())
	if err != nil {
		f.t.Fatal(err)
	}
	f.change(func(tx record.Tx) error {
		_, err := tx.AddVersion(record.Version{Host: host, Number: n, Created: ago(time.Duration(40-n) * day), Digest: fmt.Sprintf("%064x", 0xabcdef+n), Open: text, Secret: sealed})
		return err
	})
}

// people are accounts without passwords of their own: each is "right".
type people struct {
	*account.Accounts
	mu       sync.Mutex
	users    map[string]record.User
	sessions map[string]string
	touched  map[string]int
	provider string
}

func newPeople() *people {
	p := &people{users: map[string]record.User{}, sessions: map[string]string{}, touched: map[string]int{}}
	for name, role := range map[string]record.Role{"vera": record.Viewer, "otto": record.Operator, "anna": record.Administrator} {
		p.users[name] = record.User{Name: name, Role: role, Password: "$argon2id$unused"}
	}
	return p
}

func (p *people) SignIn(_ context.Context, name, password, _, _ string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if password == "slow" {
		return "", account.ErrBusy
	}
	if _, ok := p.users[name]; !ok || password != "right" {
		return "", account.ErrWrong
	}
	key := rand.Text()
	p.sessions[key] = name
	return key, nil
}

func (p *people) Session(_ context.Context, cookie string, touch bool) (record.Session, record.User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name, ok := p.sessions[cookie]
	if !ok {
		return record.Session{}, record.User{}, account.ErrSignedOut
	}
	if touch {
		p.touched[name]++
	}
	return record.Session{User: name, CSRF: "csrf-" + cookie}, p.users[name], nil
}

func (p *people) SignOut(_ context.Context, cookie string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sessions, cookie)
	return nil
}

func (p *people) Provider() string { return p.provider }

func (p *people) ToProvider(context.Context) (string, string, error) {
	return "https://sso.example.com/authorize?state=s", "kept", nil
}

func (p *people) FromProvider(_ context.Context, query url.Values, keep, _ string) (string, error) {
	if keep != "kept" || query.Get("code") != "good" {
		return "", account.ErrWrong
	}
	return p.SignIn(context.Background(), "otto", "right", "", "")
}

// read is a host as the database has it.
func (f *fleet) read(id record.HostID) (h record.Host, err error) {
	err = f.Store.Read(context.Background(), func(r record.Reader) error { h, err = r.Host(id); return err })
	return h, err
}

func quoted(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// store puts them where lists of them are read.
func (p *people) store(t *testing.T, db record.Store) {
	t.Helper()
	err := db.Change(t.Context(), func(tx record.Tx) ([]record.Entry, error) {
		for _, u := range p.users {
			u.Created = ago(90 * day)
			if err := tx.PutUser(u); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
