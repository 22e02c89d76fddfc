package console

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"lifeboat/internal/fleet/account"
	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/record"
)

// With the accounts as they are: passwords, one-time passwords, roles.
func TestPeople(t *testing.T) {
	f := newFleet(t)
	f.change(func(tx record.Tx) error {
		for name := range f.accounts.users {
			if err := tx.RemoveUser(name); err != nil {
				return err
			}
		}
		return nil
	})
	at := now
	real := account.New(f.Store, f.keys.Age, account.WithClock(func() time.Time { return at }))
	f.Accounts = real
	if err := real.Add(t.Context(), action.Actor{Name: "server", Role: record.Administrator}, "anna", record.Administrator, "correct horse battery"); err != nil {
		t.Fatal(err)
	}
	signIn := func(b *browser, name, password, code string) string {
		t.Helper()
		_, page := b.post("/signin", url.Values{"name": {name}, "password": {password}, "totp": {code}})
		return page
	}
	anna, otto := f.browser(""), f.browser("")
	if page := signIn(anna, "anna", "wrong horse battery", ""); !strings.Contains(page, "That is not right") {
		t.Errorf("a wrong password:\n%s", page)
	}
	if page := signIn(anna, "anna", "correct horse battery", ""); !strings.Contains(page, "No host has come yet") {
		t.Fatalf("the right password:\n%s", page)
	}
	if status, page := anna.post("/people", url.Values{"name": {"otto"}, "role": {"operator"}, "password": {"short"}}); status != 422 || !strings.Contains(page, "password has") {
		t.Errorf("a short password: %d\n%s", status, page)
	}
	if _, page := anna.post("/people", url.Values{"name": {"otto"}, "role": {"operator"}, "password": {"first password of otto"}}); !strings.Contains(page, `href="/people/otto"`) {
		t.Errorf("adding:\n%s", page)
	}
	if status, _ := anna.post("/people", url.Values{"name": {"otto"}, "role": {"viewer"}, "password": {"first password of otto"}}); status != 422 {
		t.Errorf("adding twice: %d", status)
	}
	if page := signIn(otto, "otto", "first password of otto", ""); !strings.Contains(page, "Recovery desk") || strings.Contains(page, `href="/people"`) {
		t.Errorf("an operator:\n%s", page)
	}
	// The own account.
	if status, page := otto.post("/account/password", url.Values{"old": {"wrong"}, "password": {"another password"}, "again": {"another password"}}); status != 422 || !strings.Contains(page, "not right") {
		t.Errorf("without the old password: %d", status)
	}
	if status, _ := otto.post("/account/password", url.Values{"old": {"first password of otto"}, "password": {"another password"}, "again": {"another"}}); status != 422 {
		t.Errorf("two new passwords: %d", status)
	}
	if _, page := otto.post("/account/password", url.Values{"old": {"first password of otto"}, "password": {"another password"}, "again": {"another password"}}); !strings.Contains(page, "<h1>Sign in</h1>") {
		t.Errorf("changing the password:\n%s", page)
	}
	signIn(otto, "otto", "another password", "")
	_, page := otto.post("/account/totp", nil)
	secret := regexp.MustCompile(`name="secret" value="([A-Z2-7]+)"`).FindStringSubmatch(page)
	if secret == nil || !strings.Contains(page, `class="qr"`) {
		t.Fatalf("setting one-time passwords up:\n%s", page)
	}
	if status, _ := otto.post("/account/confirm", url.Values{"secret": {secret[1]}, "totp": {"000000"}}); status != 422 {
		t.Errorf("a wrong number: %d", status)
	}
	number := func() string {
		code, err := totp.GenerateCode(secret[1], at)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	if _, page := otto.post("/account/confirm", url.Values{"secret": {secret[1]}, "totp": {number()}}); !strings.Contains(page, "<h1>Sign in</h1>") {
		t.Errorf("switching them on:\n%s", page)
	}
	if page := signIn(otto, "otto", "another password", ""); !strings.Contains(page, "That is not right") {
		t.Error("the password alone suffices")
	}
	at = at.Add(2 * time.Minute)
	if page := signIn(otto, "otto", "another password", number()); !strings.Contains(page, "Sign out") {
		t.Errorf("password and number:\n%s", page)
	}
	// What an administrator does counts at once.
	do := func(what string, more ...string) string {
		t.Helper()
		form := url.Values{"do": {what}}
		for i := 0; i < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		_, page := anna.post("/people/otto", form)
		return page
	}
	do("role", "role", "viewer")
	if status, _ := otto.get("/desk"); status != 403 {
		t.Errorf("the desk, for a viewer: %d", status)
	}
	if page := do("totp"); strings.Contains(page, "one-time") {
		t.Errorf("one-time passwords are there yet:\n%s", page)
	}
	if page := do("disable"); !strings.Contains(page, "shut out") {
		t.Errorf("shutting out:\n%s", page)
	}
	if _, page := otto.get("/"); !strings.Contains(page, "<h1>Sign in</h1>") {
		t.Error("who was shut out is in yet")
	}
	do("enable")
	do("password", "password", "a third password")
	if page := signIn(otto, "otto", "a third password", ""); !strings.Contains(page, "Sign out") {
		t.Errorf("let in again:\n%s", page)
	}
	if page := do("signout"); !strings.Contains(page, "<bdi>otto</bdi>") {
		t.Errorf("signed out:\n%s", page)
	}
	if page := do("remove", "name", "another"); !strings.Contains(page, "not that of the account") {
		t.Errorf("the wrong name:\n%s", page)
	}
	if page := do("remove", "name", "otto"); strings.Contains(page, `href="/people/otto"`) {
		t.Error("removed, and there yet")
	}
	if _, page := anna.post("/people/anna", url.Values{"do": {"remove"}, "name": {"anna"}}); !strings.Contains(page, "last administrator") {
		t.Errorf("the last administrator:\n%s", page)
	}
	if status, _ := anna.get("/people/nobody"); status != 404 {
		t.Errorf("nobody's page: %d", status)
	}
}

func TestTokens(t *testing.T) {
	f := newFleet(t)
	b := f.browser("anna")
	status, page := b.post("/tokens", url.Values{"name": {"monitoring"}, "role": {"viewer"}, "valid": {"720h"}})
	text := regexp.MustCompile(`<kbd>(lft[^<]+)</kbd>`).FindStringSubmatch(page)
	if status != 200 || text == nil {
		t.Fatalf("%d\n%s", status, page)
	}
	desk := action.New(f.Store, f.keys)
	desk.Now = func() time.Time { return now }
	if a, err := desk.Token(t.Context(), text[1], ""); err != nil || a.Role != record.Viewer {
		t.Errorf("%+v, %v", a, err)
	}
	_, page = b.get("/people")
	if strings.Contains(page, text[1]) || !strings.Contains(page, "in 30 days") {
		t.Errorf("afterwards:\n%s", page)
	}
	if status, _ := b.post("/tokens", url.Values{"name": {"monitoring"}, "role": {"viewer"}}); status != 422 {
		t.Errorf("twice: %d", status)
	}
	remove := regexp.MustCompile(`action="(/tokens/[^"]+/remove)"`).FindStringSubmatch(page)
	if _, page := b.post(remove[1], nil); strings.Contains(page, "monitoring") {
		t.Error("removed, and there yet")
	}
	if _, err := desk.Token(t.Context(), text[1], ""); err == nil {
		t.Error("a removed token is good")
	}
}
