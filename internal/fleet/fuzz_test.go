package fleet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fleet/account"
	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/agent"
	"lifeboat/internal/fleet/api"
	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/secret"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/fleet/wire"
)

// answer is a response that ends what would go on for ever.
type answer struct {
	*httptest.ResponseRecorder
	end context.CancelFunc
}

func (a answer) Flush() { a.end() }

// methods that requests are made with.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodHead, http.MethodOptions, "PROPFIND"}

// FuzzRequests has every sort of caller send what it wants, wherever it wants: that is
// refused, or done, and never a fault of the server.
func FuzzRequests(f *testing.F) {
	settings, err := keys.NewSettings("https://127.0.0.1:8444", nil)
	if err != nil {
		f.Fatal(err)
	}
	dir := filepath.Join(f.TempDir(), "keys")
	k, err := keys.Create(dir, settings, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	db, err := store.Open(context.Background(), "sqlite:"+filepath.Join(f.TempDir(), "fleet.db"), store.Signed(k.Signing))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	token, err := secret.ReadToken(filepath.Join(dir, keys.AdministratorFile))
	if err != nil {
		f.Fatal(err)
	}
	desk := action.New(db, k)
	if err := desk.TakeAdministrator(context.Background(), token); err != nil {
		f.Fatal(err)
	}
	var log lockedBuffer
	many := float64(1e9)
	s := New(Options{Desk: desk, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})), Version: "test", People: account.New(db, k.Age), Limits: api.Limits{
		Calls: many, Burst: 1e9, Recoveries: many, RecoveryBurst: 1e9, Failures: many, FailureBurst: 1e9,
	}})
	listener, err := tls.Listen("tcp", "127.0.0.1:0", s.TLS())
	if err != nil {
		f.Fatal(err)
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	joined, err := join("https://"+listener.Addr().String(), k, token, f.TempDir())
	server.Close()
	if err != nil {
		f.Fatal(err)
	}
	leaf := joined.Certificate().Leaf
	host := &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf, k.Authority}}}

	run := report("run-1", time.Now())
	for _, seed := range []struct {
		caller, method byte
		target, body   string
	}{
		{1, 0, "/api/v1/hosts?limit=5&after=x&group=y", ""},
		{1, 1, "/api/v1/hosts", `{"name":"smt2","macs":["52:54:00:12:34:56"],"networks":["10.0.0.0/8"],"valid":"1h"}`},
		{1, 0, "/api/v1/hosts/smt1/runs/run-1/events?after=1&limit=-1", ""},
		{1, 1, "/api/v1/hosts/smt1/codes", `{}`},
		{1, 4, "/api/v1/hosts/smt1", `{"group":"\u0000","networks":["::/0"]}`},
		{1, 2, "/api/v1/hosts/smt1/rear", "\x1f\x8b"},
		{1, 1, "/api/v1/hosts/smt1/exports", `{"valid":"1d"}`},
		{1, 1, "/api/v1/users", `{"name":"x","role":"viewer","password":"correct horse battery"}`},
		{1, 2, "/api/v1/users/x/role", `{"role":"?"}`},
		{1, 1, "/api/v1/hosts/smt1/window", `{"valid":"10min"}`},
		{1, 3, "/api/v1/hosts/%00", ""},
		{1, 0, "/api/v1/hosts/smt1/configurations/99999999999999999999", ""},
		{1, 1, "/api/v1/tokens", `{"name":"x","role":"viewer","valid":"-1d"}`},
		{1, 0, "/api/v1/audit?after=-5", ""},
		{1, 0, "/api/v1/audit/verification?seen=9223372036854775807:ff", ""},
		{2, 2, "/api/v1/agent/reports/run-1", fmt.Sprintf(`{"system":"smt","kind":"backup","state":"done","started":%q,"ended":"9999-12-31T23:59:59Z","point":"0","identity":{"macs":["x"]},"objectives":{},"configuration":{"open":"e30="}}`, run.Started.Format(time.RFC3339Nano))},
		{2, 2, "/api/v1/agent/reports/run-2", `{"system":"smt","kind":"drill","state":"done","started":"0001-01-01T00:00:00Z","ended":"0001-01-01T00:00:00Z","rto":1e308,"identity":{},"objectives":{"rpo":-9223372036854775808}}`},
		{2, 1, "/api/v1/agent/runs/run-1/events", `{"system":"smt","kind":"backup","started":"2026-01-01T00:00:00Z","events":[{"seq":1,"time":"2026-01-01T00:00:00Z","data":{"type":"x"}}]}`},
		{0, 1, "/api/v1/join", `{"token":"\u0000","request":"AA==","identity":{}}`},
		{0, 0, "/recovery/v1/configuration?hostname=smt1&mac=x&serial=%ff&id=", ""},
		{0, 0, "/api/v1/openapi.json", ""},
		{0, 0, "/rear/smt1.rear_config.tgz", ""},
		{0, 2, "/clients/smt1/log/recover/20260101000000", "a log"},
		{0, 0, "/clients/smt1/config/../x", ""},
		{1, 0, "/metrics", ""},
	} {
		f.Add(seed.caller, seed.method, seed.target, seed.body)
	}
	f.Fuzz(func(t *testing.T, caller, method byte, target, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(u.Path, "/") {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		r := (&http.Request{
			Method: methods[int(method)%len(methods)], URL: u, Host: "127.0.0.1:8444", RequestURI: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{"Content-Type": {"application/json"}, "Lifeboat-Nonce": {strings.Repeat("ab", 16)}}, RemoteAddr: "192.0.2.9:1234",
			Body: http.NoBody, ContentLength: int64(len(body)), TLS: &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true},
		}).WithContext(ctx)
		if body != "" {
			r.Body = io.NopCloser(strings.NewReader(body))
		}
		switch caller % 4 {
		case 1:
			r.Header.Set("Authorization", "Bearer "+token)
		case 2:
			r.TLS = host
		case 3:
			r.Header.Set("Authorization", body)
			r.Header.Set("Lifeboat-Code", body)
		}
		w := answer{httptest.NewRecorder(), cancel}
		s.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable && ctx.Err() == nil {
			t.Errorf("%s %q with %q: %d %s\n%s", r.Method, target, body, w.Code, w.Body, log.String())
		}
	})
}

// join makes a host.
func join(at string, k *keys.Keys, token, dir string) (*agent.Agent, error) {
	c, err := client.New(client.Options{URL: at, Token: token, Roots: k.Pool()})
	if err != nil {
		return nil, err
	}
	var invitation wire.Invitation
	if err := c.Do(context.Background(), http.MethodPost, "/hosts", wire.NewHost{Name: "smt1"}, &invitation); err != nil {
		return nil, err
	}
	return agent.Join(context.Background(), filepath.Join(dir, "agent"), at, invitation.Token, "test", record.Identity{Hostname: "smt1"})
}
