package fleet

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fleet/agent"
	"lifeboat/internal/fleet/api"
	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/kit/typed"
	"lifeboat/internal/rescue/configuration"
)

func TestHostReportsAndIsRecovered(t *testing.T) {
	p := start(t, nil)
	a := p.join(t, wire.NewHost{Name: "smt1", MACs: []string{"52:54:00:00:00:01"}})
	spool := agent.NewSpool(t.TempDir())
	now := time.Now()
	first := report("run-1", now)
	first.Configuration = sealed(t, a, "first password")
	if got := send(t, a, spool, first); got.Accepted.Configuration != 1 || !got.Accepted.New {
		t.Errorf("%+v", got)
	}
	// The same again, under another run: no new version, although it is sealed anew.
	second := report("run-2", now.Add(time.Second))
	second.Configuration = sealed(t, a, "first password")
	if got := send(t, a, spool, second, first); got.Accepted.New {
		t.Errorf("a report was taken twice: %+v", got)
	}
	detail := ask[wire.HostDetail](t, p.administrator, http.MethodGet, "/hosts/smt1", nil)
	if detail.Configuration != 1 || len(detail.Protections) != 1 || detail.Protections[0].LastState != "done" || detail.Seen.IsZero() {
		t.Errorf("%+v", detail)
	}
	if list := ask[wire.List[record.Report]](t, p.administrator, http.MethodGet, "/hosts/smt1/reports?limit=1", nil); len(list.Items) != 1 || list.Items[0].ID != "run-2" || list.Next == "" {
		t.Errorf("%+v", list)
	}
	third := report("run-3", now.Add(2*time.Second))
	third.Configuration = sealed(t, a, "second password")
	if got := send(t, a, spool, third); got.Accepted.Configuration != 2 {
		t.Errorf("%+v", got)
	}

	// A lost machine is found by its card; what it gets then holds no secret.
	nonce := strings.Repeat("ab", configuration.NonceSize)
	envelope, status := p.fetch(t, "mac=52:54:00:00:00:01&mac=52:54:00:ff:ff:ff", nonce, "")
	if status != http.StatusOK {
		t.Fatal(status)
	}
	key, err := configuration.ParseKey(p.Desk.Keys.SigningKey())
	if err != nil {
		t.Fatal(err)
	}
	verify := func(envelope []byte, nonce string) *configuration.Configuration {
		t.Helper()
		e := configuration.Expected{Nonce: nonce, Now: time.Now(), Static: nonce == ""}
		e.Keys = append(e.Keys, key)
		c, err := configuration.Verify(envelope, e)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := verify(envelope, nonce); c.HostName != "smt1" || c.Version != 2 || len(c.Sealed) > 0 {
		t.Errorf("%+v", c.Statement)
	}
	code := ask[wire.IssuedCode](t, p.administrator, http.MethodPost, "/hosts/smt1/codes", nil)
	typedCode, err := typed.ParseCode(code.Code)
	if err != nil {
		t.Fatal(err)
	}
	lookup := configuration.Lookup(typedCode)
	for range 2 { // the same request may be repeated
		envelope, status = p.fetch(t, "serial=unknown", nonce, lookup)
		if status != http.StatusOK {
			t.Fatal(status)
		}
	}
	secret, err := verify(envelope, nonce).Secret(typedCode)
	if err != nil || secret.Passwords["main"] != "second password" {
		t.Errorf("%v %v", secret, err)
	}
	if _, status := p.fetch(t, "", strings.Repeat("cd", configuration.NonceSize), lookup); status != http.StatusGone {
		t.Errorf("a code was good twice: %d", status)
	}
	if _, status := p.fetch(t, "", nonce, strings.Repeat("00", 16)); status != http.StatusGone {
		t.Errorf("an unknown code: %d", status)
	}
	if _, status := p.fetch(t, "hostname=other", nonce, ""); status != http.StatusNotFound {
		t.Errorf("an unknown host: %d", status)
	}
	if _, status := p.fetch(t, "hostname=smt1", "", ""); status != http.StatusUnprocessableEntity {
		t.Errorf("no nonce: %d", status)
	}
	static := ask[json.RawMessage](t, p.administrator, http.MethodPost, "/hosts/smt1/exports", wire.Export{})
	if c := verify(static, ""); !c.Static || c.Version != 2 {
		t.Errorf("%+v", c.Statement)
	}
	if state := ask[wire.AuditState](t, p.administrator, http.MethodGet, "/audit/verification", nil); !state.Whole || state.Entries < 8 {
		t.Errorf("%+v", state)
	}

	// Revoked, it is out at once, and nothing of it is given to anybody.
	do(t, p.administrator, http.MethodPost, "/hosts/smt1/revoke", nil)
	if err := spool.Add(report("run-4", now)); err != nil {
		t.Fatal(err)
	}
	var refusal *client.Problem
	if sent, err := a.Send(context.Background(), spool); !errors.As(err, &refusal) || refusal.Status != http.StatusUnauthorized || sent.Waiting != 1 {
		t.Errorf("%+v %v", sent, err)
	}
	if _, status := p.fetch(t, "mac=52:54:00:00:00:01", nonce, ""); status != http.StatusNotFound {
		t.Errorf("a revoked host: %d", status)
	}
	for _, secret := range []string{"second password", code.Code, lookup, "lfa_", "lfj_"} {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("%q stands in the log", secret)
		}
	}
}

func (p *place) http(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.Desk.Keys.Pool()}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (p *place) fetch(t *testing.T, query, nonce, lookup string) (body []byte, status int) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, p.url+api.RecoveryPath+"?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if nonce != "" {
		req.Header.Set(api.NonceHeader, nonce)
	}
	if lookup != "" {
		req.Header.Set(api.CodeHeader, lookup)
	}
	resp, err := p.http(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), resp.StatusCode
}

func TestSharedValuesDoNotDecide(t *testing.T) {
	p := start(t, nil)
	spool := agent.NewSpool(t.TempDir())
	for i, name := range []string{"a", "b"} {
		a := p.join(t, wire.NewHost{Name: name, MACs: []string{"52:54:00:00:00:aa", fmt.Sprintf("52:54:00:00:00:0%d", i)}})
		r := report("run-"+name, time.Now())
		r.Configuration = sealed(t, a, "password")
		send(t, a, spool, r)
	}
	nonce := strings.Repeat("ab", configuration.NonceSize)
	answer, status := p.fetch(t, "mac=52:54:00:00:00:aa", nonce, "")
	var choice wire.Candidates
	if err := json.Unmarshal(answer, &choice); status != http.StatusMultipleChoices || err != nil || len(choice.Candidates) != 2 {
		t.Fatalf("%d %s", status, answer)
	}
	for query, want := range map[string]int{
		"id=" + string(choice.Candidates[0].ID): 200,
		"id=a":                                  200,
		"mac=52:54:00:00:00:aa&mac=52:54:00:00:00:01":             200,
		"mac=52:54:00:00:00:00,52:54:00:00:00:01":                 300,
		"mac=52:54:00:00:00:00,52:54:00:00:00:01&serial=serial-b": 200,
		"mac=52:54:00:00:00:00,52:54:00:00:00:01&hostname=b":      200,
		"id=c":                                404,
		"":                                    404,
		"serial=" + strings.Repeat("x", 9000): http.StatusRequestURITooLong,
	} {
		if answer, status := p.fetch(t, query, nonce, ""); status != want {
			t.Errorf("%.60s: %d %.200s, not %d", query, status, answer, want)
		}
	}
}

func TestRoles(t *testing.T) {
	p := start(t, nil)
	a := p.join(t, wire.NewHost{Name: "smt1"})
	as := map[record.Role]*client.Client{}
	for _, role := range []record.Role{record.Viewer, record.Operator} {
		as[role] = p.as(t, ask[wire.MadeToken](t, p.administrator, http.MethodPost, "/tokens", wire.NewToken{Name: string(role), Role: role}).Text)
	}
	viewer, operator := as[record.Viewer], as[record.Operator]
	nobody, stranger := p.as(t, ""), p.as(t, "lft_unknown-unknown-unknown")
	ask[wire.List[record.Host]](t, viewer, http.MethodGet, "/hosts", nil)
	for _, c := range []*client.Client{nobody, stranger} {
		refused(t, 401, c, http.MethodGet, "/hosts", nil)
		refused(t, 401, c, http.MethodGet, "/hosts/unknown", nil)
		refused(t, 401, c, http.MethodPut, "/agent/reports/x", report("x", time.Now()).RunReport)
	}
	refused(t, 403, viewer, http.MethodPost, "/hosts", wire.NewHost{Name: "x"})
	refused(t, 403, viewer, http.MethodPost, "/hosts/smt1/codes", nil)
	refused(t, 403, viewer, http.MethodGet, "/tokens", nil)
	ask[wire.Invitation](t, operator, http.MethodPost, "/hosts", wire.NewHost{Name: "x"})
	refused(t, 409, operator, http.MethodPost, "/hosts", wire.NewHost{Name: "x"})
	refused(t, 403, operator, http.MethodPost, "/hosts/smt1/revoke", nil)
	refused(t, 403, operator, http.MethodDelete, "/hosts/smt1", nil)
	refused(t, 403, operator, http.MethodPost, "/tokens", wire.NewToken{Name: "y", Role: record.Administrator})
	refused(t, 403, p.administrator, http.MethodPut, "/agent/reports/x", report("x", time.Now()).RunReport)
	refused(t, 404, operator, http.MethodPost, "/hosts/smt1/codes", nil) // no configuration yet
	for _, name := range []string{"", "a b", "../x", "a\nb", strings.Repeat("a", 300), strings.Repeat("a", 32)} {
		refused(t, 422, operator, http.MethodPost, "/hosts", wire.NewHost{Name: name})
	}

	// A host may do nothing but its own.
	host := p.hostClient(t, a)
	refused(t, 403, host, http.MethodGet, "/hosts", nil)
	refused(t, 403, host, http.MethodPost, "/hosts/smt1/codes", nil)
	refused(t, 422, host, http.MethodPut, "/agent/reports/bad%20run", report("x", time.Now()).RunReport)
	refused(t, 422, host, http.MethodPut, "/agent/reports/x", wire.RunReport{System: "../x", Kind: "backup", State: "done"})
	refused(t, 413, host, http.MethodPost, "/agent/certificate", wire.Renew{Request: bytes.Repeat([]byte{0}, wire.MaxBody)})

	// Removed tokens are worthless at once, the first administrator's too.
	do(t, p.administrator, http.MethodDelete, "/tokens/viewer", nil)
	refused(t, 401, viewer, http.MethodGet, "/hosts", nil)
	token := ask[wire.MadeToken](t, p.administrator, http.MethodPost, "/tokens", wire.NewToken{Name: "mine", Role: record.Administrator, Valid: "1d"})
	do(t, p.as(t, token.Text), http.MethodDelete, "/tokens/first-administrator", nil)
	refused(t, 401, p.administrator, http.MethodGet, "/hosts", nil)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 401, "/": 404, "/api/v1/openapi.json": 200, "/api/v1/nothing": 404} {
		resp, err := p.http(t).Get(p.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, not %d", path, resp.StatusCode, want)
		}
	}
}

func (p *place) hostClient(t *testing.T, a *agent.Agent) *client.Client {
	t.Helper()
	pair := a.Certificate()
	c, err := client.New(client.Options{URL: p.url, Certificate: &pair, Roots: p.Desk.Keys.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestJoin(t *testing.T) {
	p, other := start(t, nil), start(t, nil)
	ctx := context.Background()
	join := func(url, token string) error {
		_, err := agent.Join(ctx, filepath.Join(t.TempDir(), "agent"), url, token, "test", record.Identity{Hostname: "x"})
		return err
	}
	invitation := ask[wire.Invitation](t, p.administrator, http.MethodPost, "/hosts", wire.NewHost{Name: "x"})
	if err := join(other.url, invitation.Token); err == nil || !strings.Contains(err.Error(), "another authority") {
		t.Errorf("another server was believed: %v", err)
	}
	if err := join(p.url, "lfj_wrong."+keys.Fingerprint(p.Desk.Keys.Authority)); err == nil || !strings.Contains(err.Error(), "used already") {
		t.Errorf("a wrong token: %v", err)
	}
	if err := join(p.url, invitation.Token); err != nil {
		t.Fatal(err)
	}
	if err := join(p.url, invitation.Token); err == nil {
		t.Error("a token was good twice")
	}
	// Another token: the former one of the host is worth nothing any more.
	first := ask[wire.Invitation](t, p.administrator, http.MethodPost, "/hosts/x/enrolments", wire.Enrol{})
	second := ask[wire.Invitation](t, p.administrator, http.MethodPost, "/hosts/x/enrolments", wire.Enrol{Valid: "2h"})
	if err := join(p.url, first.Token); err == nil {
		t.Error("a token that was replaced was good")
	}
	if err := join(p.url, second.Token); err != nil {
		t.Error(err)
	}
}
