package fleet

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fleet/agent"
	"lifeboat/internal/fleet/api"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/kit/typed"
	"lifeboat/internal/rescue/configuration"
)

// An office that is recovered has one address. Codes that were mistyped there keep no
// other machine waiting, with its code or without one.
func TestWrongCodesKeepNoRightOneWaiting(t *testing.T) {
	p := start(t, func(o *Options) { o.Limits = api.Limits{Failures: 1e-9, FailureBurst: 3} })
	a := p.join(t, wire.NewHost{Name: "smt1"})
	r := report("run-1", time.Now())
	r.Configuration = sealed(t, a, "password")
	send(t, a, agent.NewSpool(t.TempDir()), r)
	nonce := strings.Repeat("ab", configuration.NonceSize)
	for n, want := range []int{http.StatusGone, http.StatusGone, http.StatusGone, http.StatusTooManyRequests, http.StatusTooManyRequests} {
		if _, status := p.fetch(t, "", nonce, configuration.Lookup(typed.NewCode())); status != want {
			t.Errorf("wrong code %d: %d, not %d", n, status, want)
		}
	}
	p.brought(t, "smt1")
	if answer, status := p.fetch(t, "id=smt1", nonce, ""); status != http.StatusOK {
		t.Errorf("without a code: %d %s", status, answer)
	}
}
