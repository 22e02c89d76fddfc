package account

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/pquerna/otp/totp"

	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/audit"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/fleet/store/storetest"
)

// fleet is accounts on a store of a test's own, with a clock that stands.
type fleet struct {
	*Accounts
	t     *testing.T
	store *store.Store
	mu    sync.Mutex
	at    time.Time
}

var root = action.Actor{Name: "token:admin", Role: record.Administrator, From: "192.0.2.9"}

func newFleet(t *testing.T, options ...Option) *fleet {
	t.Helper()
	f := &fleet{t: t, at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	f.store = storetest.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "fleet.db"))
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	f.Accounts = New(f.store, identity, append(options, WithClock(f.clock))...)
	f.hashing = newHashing(cost{64, 1})
	f.must(f.Add(t.Context(), root, "anna", record.Administrator, passwords["anna"]))
	return f
}

var passwords = map[string]string{"anna": "correct horse battery", "otto": "staple correct horse", "vera": "battery staple wrong"}

func (f *fleet) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

func (f *fleet) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = f.at.Add(d)
}

func (f *fleet) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) wants(want, err error) {
	f.t.Helper()
	if !errors.Is(err, want) {
		f.t.Errorf("the error is %v, want %v", err, want)
	}
}

func (f *fleet) signIn(name, password, code string) (string, error) {
	return f.SignIn(f.t.Context(), name, password, code, "192.0.2.1")
}

func (f *fleet) session(cookie string) error {
	_, _, err := f.Session(f.t.Context(), cookie, true)
	return err
}

func TestSignIn(t *testing.T) {
	f := newFleet(t)
	ctx := t.Context()
	f.must(f.Add(ctx, root, "otto", record.Operator, passwords["otto"]))
	f.must(f.Add(ctx, root, "sso", record.Operator, ""))
	f.must(f.Add(ctx, root, "vera", record.Viewer, passwords["vera"]))
	f.must(f.Disable(ctx, root, "vera", true))

	cookie, err := f.signIn(" Otto ", passwords["otto"], "")
	f.must(err)
	s, u, err := f.Session(ctx, cookie, true)
	f.must(err)
	if u.Name != "otto" || u.Role != record.Operator || len(s.CSRF) < 40 || s.Hash == cookie {
		t.Errorf("session %+v of %+v", s, u)
	}
	other, err := f.signIn("otto", passwords["otto"], "")
	f.must(err)
	if other == cookie {
		t.Error("two sessions have one cookie")
	}
	for _, c := range []struct{ name, password string }{
		{"otto", passwords["anna"]},
		{"otto", ""},
		{"otto", strings.Repeat("x", 5000)},
		{"nobody", passwords["otto"]},
		{"", ""},
		{"sso", ""},
		{"vera", passwords["vera"]},
		{"otto\x00", passwords["otto"]},
		{strings.Repeat("x", 5000), passwords["otto"]},
	} {
		_, err := f.SignIn(ctx, c.name, c.password, "", "198.51.100."+string(rune('1'+len(c.name)%9)))
		f.wants(ErrWrong, err)
	}
	for _, cookie := range []string{"", "x", s.Hash, s.CSRF, strings.Repeat("x", 5000)} {
		f.wants(ErrSignedOut, f.session(cookie))
		f.wants(record.ErrNotFound, f.session(cookie))
	}
	f.must(f.SignOut(ctx, cookie))
	f.wants(ErrSignedOut, f.SignOut(ctx, cookie))
	f.wants(ErrSignedOut, f.session(cookie))
	f.must(f.session(other))

	entries := storetest.Get(t, f.store, func(r record.Reader) ([]record.Entry, error) { return r.Audit(0, 100) })
	last := entries[len(entries)-1]
	if last.Actor != "user:otto" || last.Action != "session.end" {
		t.Errorf("the audit log ends with %+v", last)
	}
	for _, e := range entries {
		for _, secret := range []string{cookie, other, passwords["otto"], s.CSRF, s.Hash} {
			if strings.Contains(e.Detail+e.Object+e.Actor, secret) {
				t.Errorf("a secret is in the audit log: %+v", e)
			}
		}
	}
	if _, err := audit.Verify(ctx, f.store, audit.Witness{}); err != nil {
		t.Error(err)
	}
}

func TestSessionsEnd(t *testing.T) {
	f := newFleet(t)
	begin := func() string {
		cookie, err := f.signIn("anna", passwords["anna"], "")
		f.must(err)
		return cookie
	}
	used, left, watched := begin(), begin(), begin()
	for range 11 * 60 / 50 {
		f.pass(50 * time.Minute)
		f.must(f.session(used))
		_, _, err := f.Session(t.Context(), watched, false) // a page that refreshes itself is nobody at work
		if f.at.Hour() == 12 {
			f.must(err)
		} else {
			f.wants(ErrSignedOut, err)
		}
	}
	f.wants(ErrSignedOut, f.session(left))
	f.pass(30 * time.Minute)
	f.must(f.session(used))
	f.pass(39 * time.Minute)
	f.must(f.session(used))
	f.pass(time.Minute) // twelve hours after its beginning, in the middle of work
	f.wants(ErrSignedOut, f.session(used))

	a, b := begin(), begin()
	f.must(f.SignOutEverywhere(t.Context(), action.Actor{Name: "user:anna"}, "anna"))
	f.wants(ErrSignedOut, f.session(a))
	f.wants(ErrSignedOut, f.session(b))
	f.wants(action.ErrForbidden, f.SignOutEverywhere(t.Context(), action.Actor{Name: "user:otto", Role: record.Operator}, "anna"))
}

func TestLimits(t *testing.T) {
	f := newFleet(t)
	ctx := t.Context()
	// At one name from one place: from others it is still that person's.
	for range 10 {
		_, err := f.SignIn(ctx, "anna", "wrong", "", "2001:db8:1::1")
		f.wants(ErrWrong, err)
	}
	for range 15 {
		_, err := f.SignIn(ctx, "anna", passwords["anna"], "", "2001:db8:1::2")
		f.wants(ErrBusy, err)
	}
	_, err := f.signIn("anna", passwords["anna"], "")
	f.must(err)
	f.pass(time.Hour)
	// At one name from many places.
	for n := range 60 {
		_, err := f.SignIn(ctx, "anna", "wrong", "", fmt.Sprintf("2001:db8:0:%d::1", n%9+1))
		f.wants(ErrWrong, err)
	}
	_, err = f.signIn("anna", passwords["anna"], "")
	f.wants(ErrBusy, err)
	_, err = f.signIn("nobody", "wrong", "")
	f.wants(ErrWrong, err)
	f.pass(10 * time.Second)
	_, err = f.signIn("ANNA", passwords["anna"], "")
	f.must(err)
	// Who is right is not slowed down.
	f.pass(time.Hour)
	for range 40 {
		_, err := f.signIn("anna", passwords["anna"], "")
		f.must(err)
	}
	// At many names from one network.
	for n := range 30 {
		_, err := f.SignIn(ctx, "user"+string(rune('a'+n%26))+string(rune('a'+n/26)), "wrong", "", "2001:db8::"+string(rune('1'+n%9)))
		f.wants(ErrWrong, err)
	}
	_, err = f.SignIn(ctx, "anna", passwords["anna"], "", "2001:db8::ffff:1")
	f.wants(ErrBusy, err)
	_, err = f.SignIn(ctx, "anna", passwords["anna"], "", "2001:db8:0:1::1")
	f.must(err)

	h := newHashing(cost{64, 1})
	for range queued {
		h.waiting <- struct{}{}
	}
	_, err = h.hash(ctx, "x")
	f.wants(ErrBusy, err)
	<-h.waiting
	h.working <- struct{}{}
	h.working <- struct{}{}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, _, err = h.check(ended, "", "x")
	f.wants(context.Canceled, err)
}

func TestPasswordHash(t *testing.T) {
	h := newHashing(cost{64, 1})
	ours, err := h.hash(t.Context(), "pässword with spaces")
	if err != nil || !strings.HasPrefix(ours, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatal(ours, err)
	}
	for _, c := range []struct {
		stored, password string
		right, stale     bool
	}{
		{ours, "pässword with spaces", true, false},
		{ours, "pa\u0308ssword with spaces", true, false}, // as another keyboard has it
		{ours, "passwort with spaces", false, false},
		{"", "", false, false},
	} {
		right, stale, err := h.check(t.Context(), c.stored, c.password)
		if err != nil || right != c.right || stale != c.stale {
			t.Errorf("%q: %v, %v, %v", c.password, right, stale, err)
		}
	}
	for _, bad := range []string{
		"x", "$argon2i$v=19$m=64,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=16$m=64,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=99,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAA$AAAA", "$argon2id$v=19$m=64,t=0,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
	} {
		if _, _, err := h.check(t.Context(), bad, "x"); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
	if stale := newHashing(cost{128, 1}); true {
		right, again, err := stale.check(t.Context(), ours, "pässword with spaces")
		if err != nil || !right || !again {
			t.Errorf("a cheaper hash: %v, %v, %v", right, again, err)
		}
	}
}

func TestStalePasswordIsHashedAgain(t *testing.T) {
	f := newFleet(t)
	f.hashing = newHashing(cost{128, 1})
	_, err := f.signIn("anna", passwords["anna"], "")
	f.must(err)
	users, err := f.List(t.Context())
	f.must(err)
	if !strings.Contains(users[0].Password, "m=128,t=1") {
		t.Error("the hash is the old one")
	}
	_, err = f.signIn("anna", passwords["anna"], "")
	f.must(err)
}

func TestTOTP(t *testing.T) {
	f := newFleet(t)
	ctx := t.Context()
	anna := action.Actor{Name: "user:anna", Role: record.Administrator}
	before, err := f.signIn("anna", passwords["anna"], "")
	f.must(err)
	secret, url, err := f.NewTOTP("anna", "Example fleet")
	f.must(err)
	if !strings.HasPrefix(url, "otpauth://totp/Example%20fleet:anna?") {
		t.Errorf("URL %s", url)
	}
	code := func() string {
		c, err := totp.GenerateCode(secret, f.clock())
		f.must(err)
		return c
	}
	f.wants(ErrWrong, f.ConfirmTOTP(ctx, anna, "anna", secret, "000000x"))
	f.wants(action.ErrForbidden, f.ConfirmTOTP(ctx, root, "anna", secret, code()))
	f.must(f.ConfirmTOTP(ctx, anna, "anna", secret, code()))
	f.wants(ErrSignedOut, f.session(before))

	in := func(code string) error {
		_, err := f.signIn("anna", passwords["anna"], code)
		return err
	}
	f.wants(ErrWrong, in(""))
	f.wants(ErrWrong, in(code())) // the step that confirmed it
	f.pass(30 * time.Second)
	once := code()
	f.must(in(once))
	f.wants(ErrWrong, in(once))
	f.pass(30 * time.Second)
	f.wants(ErrWrong, in(once)) // within the window, and used
	late := code()
	f.pass(30 * time.Second)
	f.must(in(late))
	f.pass(90 * time.Second)
	f.wants(ErrWrong, in(late))
	f.pass(time.Hour)

	// Of two at once with one code, one gets in.
	shared := code()
	var wg sync.WaitGroup
	results := make([]error, 4)
	for n := range results {
		wg.Go(func() { results[n] = in(shared) })
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
		} else {
			f.wants(ErrWrong, err)
		}
	}
	if won != 1 {
		t.Errorf("%d signed in with one code", won)
	}

	// A secret does not fit another account.
	f.must(f.Add(ctx, root, "otto", record.Administrator, passwords["otto"]))
	storetest.Change(t, f.store, func(tx record.Tx) error {
		a, err := tx.User("anna")
		if err != nil {
			return err
		}
		o, err := tx.User("otto")
		o.TOTP = a.TOTP
		return errors.Join(err, tx.PutUser(o))
	})
	f.pass(time.Minute)
	if _, err := f.signIn("otto", passwords["otto"], code()); err == nil {
		t.Error("another account's secret counts")
	}
	f.must(f.RemoveTOTP(ctx, root, "anna"))
	f.must(in(""))
}

func TestManage(t *testing.T) {
	f := newFleet(t)
	ctx := t.Context()
	f.must(f.Add(ctx, root, "otto", record.Operator, passwords["otto"]))
	f.wants(record.ErrTaken, f.Add(ctx, root, "OTTO", record.Operator, passwords["otto"]))
	for _, c := range []struct{ name, role, password string }{
		{"-x", "viewer", passwords["vera"]},
		{"a/b", "viewer", passwords["vera"]},
		{"ä", "viewer", passwords["vera"]},
		{strings.Repeat("x", 65), "viewer", passwords["vera"]},
		{"vera", "root", passwords["vera"]},
		{"vera", "viewer", "short"},
		{"vera", "viewer", "aaaaaaaaaaaaaaaa"},
		{"vera", "viewer", "Vera12345678"},
		{"vera", "viewer", strings.Repeat("xy", 600)},
		{"vera", "viewer", "not \xff utf-8 at all"},
	} {
		f.wants(action.ErrInvalid, f.Add(ctx, root, c.name, record.Role(c.role), c.password))
	}
	operator := action.Actor{Name: "user:otto", Role: record.Operator}
	for _, err := range []error{
		f.Add(ctx, operator, "vera", record.Viewer, passwords["vera"]), f.SetRole(ctx, operator, "otto", record.Administrator),
		f.SetPassword(ctx, operator, "anna", passwords["vera"]), f.Disable(ctx, operator, "anna", true),
		f.Remove(ctx, operator, "anna"), f.RemoveTOTP(ctx, operator, "anna"),
		f.ChangePassword(ctx, operator, "anna", passwords["anna"], passwords["vera"]),
	} {
		f.wants(action.ErrForbidden, err)
	}
	// The last administrator stays.
	f.wants(ErrLast, f.SetRole(ctx, root, "anna", record.Viewer))
	f.wants(ErrLast, f.Disable(ctx, root, "anna", true))
	f.wants(ErrLast, f.Remove(ctx, root, "anna"))

	cookie, err := f.signIn("otto", passwords["otto"], "")
	f.must(err)
	f.must(f.SetRole(ctx, root, "otto", record.Administrator))
	if _, u, err := f.Session(ctx, cookie, true); err != nil || u.Role != record.Administrator {
		t.Errorf("the session has role %s, %v", u.Role, err)
	}
	f.wants(ErrWrong, f.ChangePassword(ctx, operator, "otto", passwords["anna"], passwords["vera"]))
	f.must(f.ChangePassword(ctx, operator, "otto", passwords["otto"], passwords["vera"]))
	f.wants(ErrSignedOut, f.session(cookie))
	_, err = f.signIn("otto", passwords["otto"], "")
	f.wants(ErrWrong, err)
	cookie, err = f.signIn("otto", passwords["vera"], "")
	f.must(err)
	f.must(f.Remove(ctx, root, "anna"))
	f.wants(ErrLast, f.Remove(ctx, root, "otto"))
	f.must(f.session(cookie))
	f.wants(record.ErrNotFound, f.Remove(ctx, root, "anna"))
}
