package account

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"lifeboat/internal/fleet/record"
)

// op is a small OpenID provider: whoever comes is signed in as its claims say.
type op struct {
	*httptest.Server
	t      *testing.T
	key    *ecdsa.PrivateKey
	mu     sync.Mutex
	claims map[string]any // beside those that are made
	change func(map[string]any)
	signer *ecdsa.PrivateKey
	asked  map[string]url.Values // by code
	down   bool
}

func newOP(t *testing.T) *op {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &op{t: t, key: key, signer: key, asked: map[string]url.Values{}}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		if p.down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		answer(w, map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		asked, ok := p.asked[r.PostFormValue("code")]
		delete(p.asked, r.PostFormValue("code"))
		challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		id, secret, _ := r.BasicAuth()
		if !ok || id != "lifeboat" || secret != "hush" || r.PostFormValue("redirect_uri") != asked.Get("redirect_uri") ||
			base64.RawURLEncoding.EncodeToString(challenge[:]) != asked.Get("code_challenge") {
			w.WriteHeader(http.StatusBadRequest)
			answer(w, map[string]string{"error": "invalid_grant"})
			return
		}
		claims := map[string]any{
			"iss": p.URL, "aud": "lifeboat", "sub": "0815", "nonce": asked.Get("nonce"),
			"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		}
		for k, v := range p.claims {
			claims[k] = v
		}
		if p.change != nil {
			p.change(claims)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.signer}, (&jose.SignerOptions{}).WithHeader("kid", "1"))
		if err != nil {
			t.Error(err)
		}
		token, err := jwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			t.Error(err)
		}
		answer(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": token, "expires_in": 60})
	})
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

// authorize is the browser's visit: the query it comes back with.
func (p *op) authorize(to string) url.Values {
	p.t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		p.t.Fatal(err)
	}
	q := u.Query()
	if u.Path != "/authorize" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" ||
		!strings.Contains(q.Get("scope"), "openid") || q.Get("client_id") != "lifeboat" || len(q.Get("state")) < 40 {
		p.t.Fatalf("the browser is sent to %s", to)
	}
	code := rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[code] = q
	return url.Values{"code": {code}, "state": {q.Get("state")}}
}

func (p *op) option() Option {
	return WithProvider(Provider{
		Title: "Example SSO", Issuer: p.URL, ClientID: "lifeboat", Secret: "hush", Redirect: "https://fleet.example.com/signin/provider",
		Claim: "realm.roles", Roles: map[string]record.Role{"fleet-admins": record.Administrator, "staff": record.Viewer, "on-call": record.Operator},
		Client: p.Client(),
	})
}

func realm(roles ...any) map[string]any {
	return map[string]any{"preferred_username": "Carl", "email": "carl@example.com", "realm": map[string]any{"roles": roles}}
}

func TestProvider(t *testing.T) {
	p := newOP(t)
	f := newFleet(t, p.option())
	ctx := t.Context()
	if f.Provider() != "Example SSO" {
		t.Errorf("the provider is %q", f.Provider())
	}
	p.down = true
	if _, _, err := f.ToProvider(ctx); err == nil {
		t.Error("a provider that is down is found")
	}
	p.down = false
	in := func() (record.User, error) {
		to, keep, err := f.ToProvider(ctx)
		f.must(err)
		cookie, err := f.FromProvider(ctx, p.authorize(to), keep, "192.0.2.1")
		if err != nil {
			return record.User{}, err
		}
		_, u, err := f.Session(ctx, cookie, true)
		return u, err
	}
	p.claims = realm("staff", 7, "on-call", "other")
	carl, err := in()
	f.must(err)
	if carl.Name != "carl" || carl.Role != record.Operator || carl.Subject != p.URL+" 0815" || carl.Password != "" {
		t.Errorf("signed in as %+v", carl)
	}
	p.claims = realm("staff")
	carl, err = in()
	f.must(err)
	if carl.Role != record.Viewer {
		t.Errorf("the role is still %s", carl.Role)
	}
	p.claims = map[string]any{"realm": map[string]any{"roles": "fleet-admins"}, "sub": "4711", "preferred_username": "anna"}
	other, err := in()
	f.must(err)
	if other.Name == "anna" || !strings.HasPrefix(other.Name, "anna-") || other.Role != record.Administrator {
		t.Errorf("somebody of the same name signed in as %+v", other)
	}
	p.claims = map[string]any{"realm": map[string]any{"roles": "staff"}, "sub": "odd", "preferred_username": "<script>\x00", "email": 7}
	odd, err := in()
	f.must(err)
	if !strings.HasPrefix(odd.Name, "person-") {
		t.Errorf("signed in as %+v", odd)
	}
	for _, none := range []map[string]any{{}, {"realm": "staff"}, realm(), realm("other"), {"roles": "staff"}} {
		p.claims = none
		_, err = in()
		f.wants(ErrWrong, err)
	}
	f.must(f.Disable(ctx, root, "carl", true))
	p.claims = realm("staff")
	_, err = in()
	f.wants(ErrWrong, err)
	// A password is none.
	_, err = f.signIn("carl", "", "")
	f.wants(ErrWrong, err)
}

func TestProviderForgeries(t *testing.T) {
	p := newOP(t)
	f := newFleet(t, p.option())
	ctx := t.Context()
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	f.must(err)
	p.claims = realm("fleet-admins")
	for _, c := range []struct {
		name   string
		change func(claims map[string]any)
		query  func(url.Values)
		keep   func(string) string
	}{
		{name: "another issuer", change: func(c map[string]any) { c["iss"] = "https://evil.example.com" }},
		{name: "another audience", change: func(c map[string]any) { c["aud"] = "other" }},
		{name: "expired", change: func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }},
		{name: "no nonce", change: func(c map[string]any) { delete(c, "nonce") }},
		{name: "another nonce", change: func(c map[string]any) { c["nonce"] = "n" }},
		{name: "nobody", change: func(c map[string]any) { c["sub"] = "" }},
		{name: "another key", change: func(map[string]any) { p.signer = foreign }},
		{name: "another browser", keep: func(string) string { return secret() }},
		{name: "no cookie", keep: func(string) string { return "" }},
		{name: "another state", query: func(q url.Values) { q.Set("state", "x") }},
		{name: "no state", query: func(q url.Values) { q.Del("state") }},
		{name: "another code", query: func(q url.Values) { q.Set("code", "x") }},
		{name: "refused", query: func(q url.Values) { q.Set("error", "access_denied") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.change, p.signer = c.change, p.key
			f.pass(time.Hour)
			to, keep, err := f.ToProvider(ctx)
			f.must(err)
			query := p.authorize(to)
			if c.query != nil {
				c.query(query)
			}
			if c.keep != nil {
				keep = c.keep(keep)
			}
			cookie, err := f.FromProvider(ctx, query, keep, "192.0.2.1")
			f.wants(ErrWrong, err)
			if cookie != "" {
				t.Error("there is a session")
			}
		})
	}
	p.change, p.signer = nil, p.key
	to, keep, err := f.ToProvider(ctx)
	f.must(err)
	for _, text := range []string{"state", "nonce", "verifier"} {
		if derived(keep, text) == keep || strings.Contains(to, keep) {
			t.Error("what the browser keeps is sent away")
		}
	}
	if strings.Contains(to, derived(keep, "verifier")) {
		t.Error("the verifier is sent away")
	}
	query := p.authorize(to)
	_, err = f.FromProvider(ctx, query, keep, "192.0.2.1")
	f.must(err)
	_, err = f.FromProvider(ctx, query, keep, "192.0.2.1") // the same again
	f.wants(ErrWrong, err)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = f.FromProvider(ended, p.authorize(to), keep, "192.0.2.1")
	f.wants(context.Canceled, err)
}

func TestProviderIsValidated(t *testing.T) {
	good := Provider{Issuer: "https://sso.example.com", Redirect: "https://fleet.example.com/x", ClientID: "x", Claim: "groups", Roles: map[string]record.Role{"x": record.Viewer}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Provider){
		"issuer":   func(p *Provider) { p.Issuer = "http://sso.example.com" },
		"redirect": func(p *Provider) { p.Redirect = "" },
		"client":   func(p *Provider) { p.ClientID = "" },
		"claim":    func(p *Provider) { p.Claim = "" },
		"roles":    func(p *Provider) { p.Roles = nil },
		"role":     func(p *Provider) { p.Roles = map[string]record.Role{"x": "root"} },
	} {
		p := good
		change(&p)
		if p.Validate() == nil {
			t.Errorf("%s: %+v is valid", name, p)
		}
	}
	f := newFleet(t)
	if _, _, err := f.ToProvider(t.Context()); err == nil || f.Provider() != "" {
		t.Error("there is a provider")
	}
}
