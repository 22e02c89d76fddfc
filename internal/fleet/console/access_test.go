package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Every address of the console, with the least role that it takes; "" is nobody.
func addresses(f *fleet) (get, post map[string]string) {
	host := hostURL(hostID(1))
	get = map[string]string{
		"/": "vera", host: "vera", host + "/runs/live": "vera", host + "/configuration/1": "vera", host + "/configuration/2?against=1": "vera",
		"/audit": "vera", "/desk": "otto", "/desk?name=smt": "otto", deskURL(hostID(1)): "otto", "/hosts": "otto",
		"/account": "vera", "/people": "anna",
	}
	post = map[string]string{
		"/audit/check": "vera", deskURL(hostID(1)) + "/code": "otto", deskURL(hostID(1)) + "/withdraw": "otto",
		"/hosts": "otto", host + "/enrol": "otto", host + "/revoke": "anna",
		"/people": "anna", "/people/vera": "anna", "/tokens": "anna", "/tokens/x/remove": "anna",
	}
	return get, post
}

var ranks = map[string]int{"vera": 1, "otto": 2, "anna": 3}

func TestRoles(t *testing.T) {
	f := newFleet(t)
	f.showcase()
	get, post := addresses(f)
	nobody := f.browser("")
	for path := range get {
		if status, page := nobody.get(path); status != http.StatusOK || !strings.Contains(page, "<h1>Sign in</h1>") {
			t.Errorf("GET %s, signed out: %d, and not the sign-in page", path, status)
		}
	}
	for path := range post {
		if _, page := nobody.do(nobody.request(path, url.Values{"csrf": {""}})); !strings.Contains(page, "<h1>Sign in</h1>") {
			t.Errorf("POST %s, signed out: not the sign-in page", path)
		}
	}
	for name, rank := range ranks {
		b := f.browser(name)
		for path, least := range get {
			want := http.StatusOK
			if rank < ranks[least] {
				want = http.StatusForbidden
			}
			if status, page := b.get(path); status != want {
				t.Errorf("GET %s as %s: %d, want %d\n%s", path, name, status, want, page)
			}
		}
		for path, least := range post {
			if rank >= ranks[least] {
				continue // what they do has tests of its own
			}
			status, page := b.post(path, url.Values{"name": {"smt1.example.com"}, "sure": {"yes"}})
			if status != http.StatusForbidden || !strings.Contains(page, "more than your role") {
				t.Errorf("POST %s as %s: %d", path, name, status)
			}
		}
		for link, least := range map[string]string{`href="/desk"`: "otto", `href="/people"`: "anna"} {
			if _, page := b.get("/"); strings.Contains(page, link) != (rank >= ranks[least]) {
				t.Errorf("the menu of %s: %s", name, link)
			}
		}
	}
}

func TestForgedFormsAreRefused(t *testing.T) {
	f := newFleet(t)
	f.add(1, "smt1", "", good("smt"))
	b := f.browser("anna")
	_, page := b.get("/")
	right := token.FindStringSubmatch(page)[1]
	cases := []struct {
		name   string
		token  string
		change func(*http.Request)
	}{
		{"no token", "", nil},
		{"another's token", "csrf-of-somebody", nil},
		{"another site", right, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }},
		{"another port", right, func(r *http.Request) { r.Header.Set("Origin", f.server.URL+"1") }},
		{"a sandboxed frame", right, func(r *http.Request) { r.Header.Set("Origin", "null") }},
		{"no origin at all", right, func(r *http.Request) { r.Header.Del("Origin") }},
		{"the browser says so", right, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }},
		{"a sister site", right, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }},
	}
	for _, c := range cases {
		for _, path := range []string{hostURL(hostID(1)) + "/revoke", "/signout", "/signin"} {
			if path == "/signin" && c.change == nil {
				continue // nobody has a token there
			}
			r := b.request(path, url.Values{"csrf": {c.token}, "name": {"smt1"}})
			if c.change != nil {
				c.change(r)
			}
			if status, page := b.do(r); status != http.StatusForbidden || !strings.Contains(page, "anged") && !strings.Contains(page, "no longer good") {
				t.Errorf("%s, %s: %d\n%s", c.name, path, status, page)
			}
		}
	}
	if h, err := f.read(hostID(1)); err != nil || !h.Revoked.IsZero() {
		t.Fatalf("the host: %+v, %v", h, err)
	}
	if status, _ := b.post(hostURL(hostID(1))+"/revoke", url.Values{"name": {"smt1"}}); status != http.StatusOK {
		t.Errorf("the right form: %d", status)
	}
	if h, err := f.read(hostID(1)); err != nil || h.Revoked.IsZero() {
		t.Errorf("the right form has not revoked the host: %v", err)
	}
}

func TestTokenInAHeader(t *testing.T) {
	f := newFleet(t)
	b := f.browser("vera")
	_, page := b.get("/")
	r := b.request("/audit/check", nil)
	r.Header.Set("Lifeboat-CSRF", token.FindStringSubmatch(page)[1])
	if status, page := b.do(r); status != http.StatusOK {
		t.Errorf("%d\n%s", status, page)
	}
}

func TestHeaders(t *testing.T) {
	f := newFleet(t)
	b := f.browser("vera")
	for _, path := range []string{"/", "/signin", "/nothing", asset("style.css"), hostURL("x")} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := b.Transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		policy := a.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
			t.Errorf("%s: policy %q", path, policy)
		}
		caching := a.Header.Get("Cache-Control")
		if asset := strings.HasPrefix(path, "/assets/"); asset != strings.Contains(caching, "immutable") || asset == (caching == "no-store") {
			t.Errorf("%s: Cache-Control %q", path, caching)
		}
		if a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
}

// Nothing of a page is inline or comes from elsewhere; the policy would stop it.
func TestPagesKeepTheirPolicy(t *testing.T) {
	f := newFleet(t)
	f.showcase()
	b := f.browser("anna")
	get, _ := addresses(f)
	for path := range get {
		_, page := b.get(path)
		for _, bad := range []string{"<style", " style=", "<script>", " onclick=", " onload=", "javascript:", `src="http`, `href="http`, "hx-on", "hx-vals"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s holds %q", path, bad)
			}
		}
		if !strings.Contains(page, `<html lang="en">`) || strings.Count(page, "<h1") != 1 || strings.Count(page, "<main") != 1 {
			t.Errorf("%s: language, one heading, one main part", path)
		}
	}
}

func TestSignIn(t *testing.T) {
	f := newFleet(t)
	f.add(1, "smt1", "", good("smt"))
	b := f.browser("")
	for password, want := range map[string]string{"wrong": "That is not right", "slow": "Too many tries"} {
		status, page := b.post("/signin", url.Values{"name": {`o"tto<b>`}, "password": {password}})
		if status < 400 || !strings.Contains(page, want) || strings.Contains(page, `value="`+password) || !strings.Contains(page, `value="o&#34;tto&lt;b&gt;"`) {
			t.Errorf("%s: %d\n%s", password, status, page)
		}
	}
	// Where one wanted to go is where one comes.
	if _, page := b.get("/audit?before=7"); !strings.Contains(page, `name="next" value="/audit?before=7"`) {
		t.Errorf("the sign-in page forgets where to go:\n%s", page)
	}
	if _, page := b.post("/signin", url.Values{"name": {"vera"}, "password": {"right"}, "next": {"/audit"}}); !strings.Contains(page, "<h1>Audit log</h1>") {
		t.Errorf("not where it was to go:\n%s", page)
	}
	if _, page := b.get("/signin"); !strings.Contains(page, "at a glance") {
		t.Error("who is signed in sees the sign-in page")
	}
	if _, page := b.post("/signout", nil); !strings.Contains(page, "<h1>Sign in</h1>") {
		t.Error("signing out")
	}
	if len(f.accounts.sessions) != 0 {
		t.Error("the session is there yet")
	}
}

func TestNowhereElse(t *testing.T) {
	for path, want := range map[string]string{
		"/": "/", "/hosts/1?runs=2": "/hosts/1?runs=2", "": "/", "//evil.example": "/", "https://evil.example": "/", `/\evil.example`: "/",
		"/\t/evil.example": "/", "evil": "/", "javascript:alert(1)": "/", "/\n/evil": "/", "///evil": "/",
	} {
		if got := inside(path); got != want {
			t.Errorf("inside(%q) = %q", path, got)
		}
	}
}

func TestProvider(t *testing.T) {
	f := newFleet(t)
	b := f.browser("")
	for _, path := range []string{"/signin/provider", "/signin/provider/callback?code=good"} {
		if status, _ := b.get(path); status != http.StatusNotFound {
			t.Errorf("%s without a provider: %d", path, status)
		}
	}
	f.accounts.provider = "Example <SSO>"
	if _, page := b.get("/signin"); !strings.Contains(page, "Example &lt;SSO&gt;") {
		t.Error("no button")
	}
	if status, _ := b.get("/signin/provider/callback?code=good"); status != http.StatusForbidden {
		t.Errorf("an answer to no question: %d", status)
	}
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if status, _ := b.get("/signin/provider"); status != http.StatusSeeOther {
		t.Errorf("to the provider: %d", status)
	}
	b.CheckRedirect = nil
	if status, _ := b.get("/signin/provider/callback?code=bad"); status != http.StatusForbidden {
		t.Errorf("a bad answer: %d", status)
	}
	if status, _ := b.get("/signin/provider/callback?code=good"); status != http.StatusForbidden {
		t.Errorf("a second answer to one question: %d", status)
	}
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	b.get("/signin/provider")
	b.CheckRedirect = nil
	status, page := b.get("/signin/provider/callback?code=good")
	if status != http.StatusOK || !strings.Contains(page, `http-equiv="refresh"`) {
		t.Errorf("a good answer: %d\n%s", status, page)
	}
	if _, page := b.get("/"); !strings.Contains(page, "Sign out") {
		t.Error("nobody is signed in after that")
	}
}

func TestCookies(t *testing.T) {
	f := newFleet(t)
	b := f.browser("")
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a, err := b.Do(b.request("/signin", url.Values{"name": {"vera"}, "password": {"right"}}))
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	k := a.Cookies()
	if len(k) != 1 || k[0].Name != "__Host-lifeboat" || !k[0].Secure || !k[0].HttpOnly || k[0].SameSite != http.SameSiteStrictMode || k[0].Path != "/" || k[0].Domain != "" {
		t.Errorf("cookies %v", k)
	}
}
