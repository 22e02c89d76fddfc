package fleet

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fleet/agent"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/kit/typed"
	"lifeboat/internal/rescue/configuration"
)

// What can never be recognised is not taken, and what two hosts have is told.
func TestHostsThatCannotBeRecognised(t *testing.T) {
	p := start(t, nil)
	for _, n := range []wire.NewHost{
		{Name: "localhost"},
		{Name: "rescue"},
		{Name: "a", Serial: "To be filled by O.E.M."},
		{Name: "a", UUID: "not-a-uuid"},
		{Name: "a", UUID: "00000000-0000-0000-0000-000000000000"},
		{Name: "a", MACs: []string{"ff:ff:ff:ff:ff:ff"}},
		{Name: "a", MACs: []string{"00:00:00:00:00:00"}},
		{Name: "a", MACs: []string{"nonsense"}},
	} {
		refused(t, http.StatusUnprocessableEntity, p.administrator, http.MethodPost, "/hosts", n)
	}
	first := ask[wire.Invitation](t, p.administrator, http.MethodPost, "/hosts", wire.NewHost{Name: "a", Serial: "CZC1", MACs: []string{"52:54:00:00:00:01"}})
	second := ask[wire.Invitation](t, p.administrator, http.MethodPost, "/hosts", wire.NewHost{Name: "b", MACs: []string{"52:54:00:00:00:01"}})
	if len(first.Warnings) > 0 || len(second.Warnings) != 1 || !strings.Contains(second.Warnings[0], "a has the same mac") {
		t.Errorf("%v, %v", first.Warnings, second.Warnings)
	}
	refused(t, http.StatusConflict, p.administrator, http.MethodPost, "/hosts", wire.NewHost{Name: "A"})
}

// Names are found as people write them, and answers say what is the matter.
func TestNamesAndAnswers(t *testing.T) {
	p := start(t, nil)
	spool := agent.NewSpool(t.TempDir())
	nonce := strings.Repeat("ab", configuration.NonceSize)
	for _, name := range []string{"alpha", "beta"} {
		a := p.join(t, wire.NewHost{Name: name})
		r := report("run-"+name, time.Now())
		r.Configuration = sealed(t, a, "password")
		send(t, a, spool, r)
	}
	p.join(t, wire.NewHost{Name: "gamma"})
	for query, want := range map[string]struct {
		status int
		text   string
	}{
		"id=ALPHA":                   {200, ""},
		"hostname=beta.example.com":  {300, `"name":"beta"`},
		"hostname=delta.example.com": {404, "no host of the fleet"},
		"id=gamma":                   {404, "there is no recovery configuration of the host"},
		"id=delta":                   {404, "no host of the fleet"},
	} {
		answer, status := p.fetch(t, query, nonce, "")
		if status != want.status || !strings.Contains(string(answer), want.text) {
			t.Errorf("%s: %d %.300s", query, status, answer)
		}
	}
	ask[json.RawMessage](t, p.administrator, http.MethodGet, "/hosts/Alpha", nil)

	// A code of one host is none of another's; it is not spent by that.
	code := ask[wire.IssuedCode](t, p.administrator, http.MethodPost, "/hosts/alpha/codes", nil)
	text, err := typed.ParseCode(code.Code)
	if err != nil {
		t.Fatal(err)
	}
	lookup := configuration.Lookup(text)
	for _, c := range []struct {
		id   string
		want int
	}{{"beta", http.StatusConflict}, {"ALPHA", http.StatusOK}, {"beta", http.StatusGone}} {
		if answer, status := p.fetch(t, "id="+c.id, nonce, lookup); status != c.want {
			t.Errorf("the code of alpha on %s: %d %s", c.id, status, answer)
		}
	}
	do(t, p.administrator, http.MethodPost, "/hosts/beta/revoke", nil)
	if _, status := p.fetch(t, "id=beta", nonce, ""); status != http.StatusNotFound || !strings.Contains(p.log.String(), "host beta is revoked") {
		t.Errorf("revoked: %d, and the log says %s", status, p.log.String())
	}
}
