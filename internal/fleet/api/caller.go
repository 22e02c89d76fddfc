package api

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
)

// caller is who asks.
type caller struct {
	name  string       // "" is nobody we know
	host  *record.Host // a host that showed its certificate
	actor action.Actor // a program or a person
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// actorOf is who acts; only for operations that ask for a role.
func actorOf(ctx context.Context) action.Actor { return callerOf(ctx).actor }

var (
	// errWho is one answer to all that is wrong with a proof of who one is.
	errWho    = errors.New("who you are could not be made out: the certificate or token is unknown, has expired or was revoked")
	errForged = errors.New("the request does not come from a page of this server (its CSRF token is missing or wrong)")
)

// CSRFHeader carries the token that a page of the console has been given.
const CSRFHeader = "Lifeboat-CSRF"

// Address is where a request comes from, without the port.
func Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// caller finds out who asks: a host by its certificate, a program by its token, a
// person by a session. A request without any of them comes from nobody.
func (a *API) caller(r *http.Request, from string) (caller, error) {
	ctx := r.Context()
	c := caller{actor: action.Actor{From: from}}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		h, err := a.desk.HostByKey(ctx, keys.KeyHash(r.TLS.PeerCertificates[0]))
		if errors.Is(err, record.ErrNotFound) {
			return c, errWho
		}
		if err != nil {
			return c, err
		}
		c.host, c.name = &h, "host:"+string(h.ID)
		return c, nil
	}
	if given := r.Header.Get("Authorization"); given != "" {
		text, ok := strings.CutPrefix(given, "Bearer ")
		if !ok || len(text) > 256 {
			return c, errWho
		}
		actor, err := a.desk.Token(ctx, text, from)
		if errors.Is(err, record.ErrNotFound) {
			return c, errWho
		}
		if err != nil {
			return c, err
		}
		c.actor, c.name = actor, actor.Name
		return c, nil
	}
	if a.session == nil || r.Header.Get("Cookie") == "" {
		return c, nil
	}
	s, err := a.session(r)
	if errors.Is(err, record.ErrNotFound) {
		return c, nil // an old cookie
	}
	if err != nil {
		return c, err
	}
	// The browser sends the cookie by itself, whoever made the page.
	if r.Method != http.MethodGet && r.Method != http.MethodHead &&
		(s.CSRF == "" || subtle.ConstantTimeCompare([]byte(s.CSRF), []byte(r.Header.Get(CSRFHeader))) != 1) {
		return c, errForged
	}
	c.name = "user:" + s.User
	c.actor = action.Actor{Name: c.name, Role: s.Role, From: from}
	return c, nil
}

// admit lets pass whom an operation is for.
func (a *API) admit(ctx huma.Context, next func(huma.Context)) {
	c := callerOf(ctx.Context())
	meta := ctx.Operation().Metadata
	role, _ := meta[metaRole].(record.Role)
	host, _ := meta[metaHost].(bool)
	public, _ := meta[metaPublic].(bool)
	switch {
	case public, host && c.host != nil:
		next(ctx)
	case c.name == "":
		_ = huma.WriteErr(a.huma, ctx, http.StatusUnauthorized, "this takes a token, in the header Authorization, or a host's certificate")
	case host, c.host != nil, !c.actor.Role.May(role):
		_ = huma.WriteErr(a.huma, ctx, http.StatusForbidden, action.ErrForbidden.Error())
	default:
		next(ctx)
	}
}

// problem answers with an error (RFC 9457).
func problem(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(wire.Problem{Title: http.StatusText(code), Status: code, Detail: text})
}

func tooMany(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "5")
	problem(w, http.StatusTooManyRequests, "too many requests; wait some seconds")
}

// Viewers lets only those pass to a handler that may see everything but secrets.
func (a *API) Viewers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := Address(r)
		if !a.limits.mayFail(from) {
			tooMany(w)
			return
		}
		c, err := a.caller(r, from)
		if err == nil && !c.actor.Role.May(record.Viewer) {
			err = errWho
		}
		if err != nil {
			a.limits.failed(from)
			a.answer(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Certified is the host whose certificate a client has shown, unless it is revoked.
func (a *API) Certified(r *http.Request) (record.HostID, bool) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return "", false
	}
	h, err := a.desk.HostByKey(r.Context(), keys.KeyHash(r.TLS.PeerCertificates[0]))
	return h.ID, err == nil
}
