package account

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/record"
)

// Provider is an OpenID provider that vouches for people. The roles come with each
// sign-in; who is nothing there is nothing here.
type Provider struct {
	Title    string `json:"title"`  // on the button
	Issuer   string `json:"issuer"` // https://…, as in its discovery document
	ClientID string `json:"client_id"`
	// Secret is the client's; "" is a public client, which PKCE protects alone.
	Secret   string   `json:"-"`
	Redirect string   `json:"redirect"` // of this server, as registered there
	Scopes   []string `json:"scopes,omitempty"`
	// Claim names the claim with a person's groups or roles, by dots in objects within
	// objects; Roles maps its values. The highest that fits counts.
	Claim string                 `json:"claim"`
	Roles map[string]record.Role `json:"roles"`
	// Client is used to reach it; nil is one of our own.
	Client *http.Client `json:"-"`
}

// provider is a Provider whose discovery document is read when it is first needed: it
// may be down when this server starts.
type provider struct {
	Provider
	client *http.Client

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	oauth    *oauth2.Config
}

// WithProvider lets people sign in by an OpenID provider.
func WithProvider(p Provider) Option {
	return func(a *Accounts) {
		client := p.Client
		if client == nil {
			client = &http.Client{Timeout: 15 * time.Second}
		}
		own := *client
		own.Transport = bounded{client.Transport}
		own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		a.provider = &provider{Provider: p, client: &own}
	}
}

// Validate tells what is missing.
func (p Provider) Validate() error {
	for _, u := range []string{p.Issuer, p.Redirect} {
		if v, err := url.Parse(u); err != nil || v.Scheme != "https" || v.Host == "" {
			return fmt.Errorf("OpenID provider: %q is no https URL", u)
		}
	}
	if p.ClientID == "" || p.Claim == "" || len(p.Roles) == 0 {
		return errors.New("OpenID provider: client_id, claim and roles are needed")
	}
	for value, role := range p.Roles {
		if !role.May(record.Viewer) {
			return fmt.Errorf("OpenID provider: %q of %q is no role; they are viewer, operator and administrator", role, value)
		}
	}
	return nil
}

// Provider names the OpenID provider; "" is none.
func (a *Accounts) Provider() string {
	if a.provider == nil {
		return ""
	}
	if a.provider.Title != "" {
		return a.provider.Title
	}
	return a.provider.Issuer
}

// discover reads the provider's document, once.
func (p *provider) discover(ctx context.Context) (*oauth2.Config, *oidc.IDTokenVerifier, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.oauth != nil {
		return p.oauth, p.verifier, nil
	}
	// The keys are fetched again later, when this request is long over.
	found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), p.Issuer)
	if err != nil {
		return nil, nil, fmt.Errorf("OpenID provider %s: %w", p.Issuer, err)
	}
	p.verifier = found.Verifier(&oidc.Config{ClientID: p.ClientID})
	p.oauth = &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.Secret, Endpoint: found.Endpoint(), RedirectURL: p.Redirect,
		Scopes: append([]string{oidc.ScopeOpenID, "profile"}, p.Scopes...),
	}
	return p.oauth, p.verifier, nil
}

// derived are the texts of one sign-in, all made of what the browser keeps: whoever
// sees one of them in a URL knows none of the others.
func derived(keep, purpose string) string {
	sum := sha256.Sum256([]byte("lifeboat fleet sign-in 1\n" + purpose + "\n" + keep))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ToProvider begins a sign-in at the provider: where the browser has to go, and what it
// has to keep meanwhile. Any server of the fleet can take it back.
func (a *Accounts) ToProvider(ctx context.Context) (to, keep string, err error) {
	if a.provider == nil {
		return "", "", errors.New("no OpenID provider is set up")
	}
	oauth, _, err := a.provider.discover(ctx)
	if err != nil {
		return "", "", err
	}
	keep = secret()
	to = oauth.AuthCodeURL(derived(keep, "state"), oidc.Nonce(derived(keep, "nonce")), oauth2.S256ChallengeOption(derived(keep, "verifier")))
	return to, keep, nil
}

// FromProvider ends a sign-in with the query the browser came back with and what it
// kept. ErrWrong: it is not the same browser, the provider says no, or what it says
// does not hold; the log has the reason.
func (a *Accounts) FromProvider(ctx context.Context, query url.Values, keep, from string) (cookie string, err error) {
	if a.provider == nil {
		return "", errors.New("no OpenID provider is set up")
	}
	if !a.places.take(place(from)) {
		return "", ErrBusy
	}
	subject, claims, err := a.provider.vouched(ctx, query, keep)
	var role record.Role
	if err == nil {
		if role = a.provider.role(claims); role == "" {
			err = fmt.Errorf("none of the values of claim %s stands for a role", a.provider.Claim)
		}
	}
	if err == nil {
		cookie, err = a.admit(ctx, subject, role, claims, from)
		if err != nil && !errors.Is(err, errShut) {
			return "", err
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		a.logger.WarnContext(ctx, "sign-in by the OpenID provider refused", "from", from, "subject", subject, "error", err)
		return "", ErrWrong
	}
	a.places.forgive(place(from))
	return cookie, nil
}

// vouched asks the provider whom it means, and checks what it answers.
func (p *provider) vouched(ctx context.Context, query url.Values, keep string) (subject string, claims map[string]any, err error) {
	if keep == "" || subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(derived(keep, "state"))) != 1 {
		return "", nil, errors.New("the sign-in was begun by another browser")
	}
	if e := query.Get("error"); e != "" {
		return "", nil, fmt.Errorf("the provider says %q", e)
	}
	oauth, verifier, err := p.discover(ctx)
	if err != nil {
		return "", nil, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := oauth.Exchange(ctx, query.Get("code"), oauth2.VerifierOption(derived(keep, "verifier")))
	if err != nil {
		return "", nil, err
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := verifier.Verify(ctx, raw)
	if err != nil {
		return "", nil, err
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(derived(keep, "nonce"))) != 1 {
		return "", nil, errors.New("the answer is to another sign-in")
	}
	if id.Subject == "" || len(id.Subject) > 255 {
		return "", nil, errors.New("the provider names nobody")
	}
	return id.Issuer + " " + id.Subject, claims, id.Claims(&claims)
}

// role is the highest that a claim's values stand for.
func (p *provider) role(claims map[string]any) (best record.Role) {
	var v any = claims
	for name := range strings.SplitSeq(p.Claim, ".") {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	values, ok := v.([]any)
	if !ok {
		values = []any{v}
	}
	for _, value := range values {
		if text, ok := value.(string); ok {
			if role := p.Roles[text]; role != "" && (best == "" || role.May(best)) {
				best = role
			}
		}
	}
	return best
}

var errShut = errors.New("the account here is disabled")

// admit begins a session for somebody the provider vouches for. Such a person has an
// account of their own: a name that is taken is never theirs.
func (a *Accounts) admit(ctx context.Context, subject string, role record.Role, claims map[string]any, from string) (cookie string, err error) {
	cookie = secret()
	err = a.store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		by := action.Actor{Name: "server", From: from}
		var entries []record.Entry
		user, err := tx.UserBySubject(subject)
		switch {
		case errors.Is(err, record.ErrNotFound):
			user = record.User{Role: role, Subject: subject, Created: a.clock()}
			if user.Name, err = free(tx, subject, claims); err != nil {
				return nil, err
			}
			entries = a.entry(by, "user.add", user.Name, string(role)+" by "+subject)
		case err != nil:
			return nil, err
		case user.Disabled:
			return nil, errShut
		case user.Role != role:
			user.Role = role
			entries = a.entry(by, "user.role", user.Name, string(role)+" by "+subject)
		}
		if len(entries) > 0 {
			if err := tx.PutUser(user); err != nil {
				return nil, err
			}
		}
		more, err := a.open(tx, user, cookie, from, "by "+subject)
		return append(entries, more...), err
	})
	return cookie, err
}

// free is a name for a new account.
func free(r record.Reader, subject string, claims map[string]any) (string, error) {
	sum := sha256.Sum256([]byte(subject))
	mark := hex.EncodeToString(sum[:4])
	names := []string{"person-" + mark}
	for _, claim := range []string{"email", "preferred_username"} {
		text, _ := claims[claim].(string)
		if name := plain(text); len(name) <= 40 && plainName.MatchString(name) {
			names = append([]string{name, name + "-" + mark}, names...)
		}
	}
	for _, name := range names {
		if _, err := r.User(name); errors.Is(err, record.ErrNotFound) {
			return name, nil
		} else if err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("all names for %s are taken", subject)
}

// bounded keeps a provider's answers from being endless.
type bounded struct{ next http.RoundTripper }

const longestAnswer = 1 << 20

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	next := b.next
	if next == nil {
		next = http.DefaultTransport
	}
	response, err := next.RoundTrip(r)
	if err == nil {
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(response.Body, longestAnswer), response.Body}
	}
	return response, err
}
