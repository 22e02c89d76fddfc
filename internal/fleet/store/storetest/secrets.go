package storetest

import (
	"errors"
	"testing"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
)

func versions(t *testing.T, s *store.Store) {
	add(t, s, 1, 2)
	version := func(digest string, n int64) record.Version {
		return record.Version{
			Host: Host(1).ID, Number: n, Created: at(int(n)), Digest: digest, Report: "run-" + digest,
			Open: []byte(`{"d": "` + digest + `"}`), Secret: []byte{0, 1, 0xff, byte(n)},
		}
	}
	put := func(v record.Version) (n int64) {
		Change(t, s, func(tx record.Tx) (err error) {
			n, err = tx.AddVersion(v)
			return err
		})
		return n
	}
	lacks(t, s, func(r record.Reader) (record.Version, error) { return r.Version(Host(1).ID, 0) })
	for i, want := range []struct {
		digest string
		number int64
	}{{"a", 1}, {"a", 1}, {"b", 2}, {"b", 2}, {"a", 3}} {
		if n := put(version(want.digest, want.number)); n != want.number {
			t.Errorf("version %d of the list has number %d, want %d", i, n, want.number)
		}
	}
	same(t, Get(t, s, func(r record.Reader) (record.Version, error) { return r.Version(Host(1).ID, 0) }), version("a", 3))
	same(t, Get(t, s, func(r record.Reader) (record.Version, error) { return r.Version(Host(1).ID, 2) }), version("b", 2))
	open := version("a", 3)
	open.Secret = nil
	same(t, Get(t, s, func(r record.Reader) (record.Version, error) { return r.OpenVersion(Host(1).ID) }), open)
	lacks(t, s, func(r record.Reader) (record.Version, error) { return r.OpenVersion(Host(9).ID) })
	for id, want := range map[string]*record.Version{"sn-1": &open, "sn-2": nil} {
		like, got, err := s.Recoverable(t.Context(), record.Identity{Serial: id})
		if err != nil || len(like) != 1 || (got == nil) != (want == nil) {
			t.Errorf("%s: %d hosts, version %v, %v", id, len(like), got, err)
		} else if want != nil {
			same(t, *got, *want)
		}
	}
	lacks(t, s, func(r record.Reader) (record.Version, error) { return r.Version(Host(1).ID, 4) })
	list := Get(t, s, func(r record.Reader) ([]record.Version, error) { return r.Versions(Host(1).ID) })
	if len(list) != 3 || list[0].Number != 3 || list[0].Open != nil || list[0].Secret != nil || list[2].Digest != "a" {
		t.Errorf("versions: %+v", list)
	}
	other := version("b", 2)
	other.Open, other.Secret, other.Digest = []byte("other"), nil, "other"
	Change(t, s, func(tx record.Tx) error { return tx.PutHalves(other) })
	same(t, Get(t, s, func(r record.Reader) (record.Version, error) { return r.Version(Host(1).ID, 2) }), other)
	other.Number = 9
	if err := s.Change(t.Context(), func(tx record.Tx) ([]record.Entry, error) { return nil, tx.PutHalves(other) }); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("halves of a version that is not there: %v", err)
	}
	for asked, want := range []int64{3, 3, 3, 3, 4} { // the same again, asking for 0, 1, … 4
		v := version("a", 3)
		v.Number = int64(asked)
		if n := put(v); n != want {
			t.Errorf("asking for %d gave %d, want %d", asked, n, want)
		}
	}
	bare := record.Version{Host: Host(2).ID, Number: 1, Created: at(0), Digest: "x"}
	put(bare)
	same(t, Get(t, s, func(r record.Reader) (record.Version, error) { return r.Version(bare.Host, 1) }), bare)
}

func codes(t *testing.T, s *store.Store) {
	add(t, s, 1, 2)
	code := record.Code{
		Lookup: "lookup", Host: Host(1).ID, Version: 7, Sealed: []byte{0, 0xff}, Issued: at(0), Expires: at(1800), By: "user:anna",
	}
	other := record.Code{Lookup: "other", Host: Host(1).ID, Issued: at(5), Expires: at(60)}
	foreign := record.Code{Lookup: "foreign", Host: Host(2).ID, Issued: at(5), Expires: at(1800)}
	Change(t, s, func(tx record.Tx) error {
		for _, c := range []record.Code{code, other, foreign} {
			if err := tx.PutCode(c); err != nil {
				return err
			}
		}
		return nil
	})
	same(t, Get(t, s, func(r record.Reader) (record.Code, error) { return r.Code("lookup") }), code)
	spend := func(lookup, nonce string, seconds int) func(record.Tx) error {
		return func(tx record.Tx) error {
			got, err := tx.SpendCode(lookup, nonce, at(seconds))
			if err == nil {
				want := code
				want.Nonce, want.Spent = "nonce", at(10)
				same(t, got, want)
			}
			return err
		}
	}
	wrong(t, s, record.ErrNotFound, spend("nobody", "nonce", 10))
	wrong(t, s, record.ErrSpent, spend("other", "nonce", 60))
	wrong(t, s, record.ErrSpent, spend("lookup", "", 10))
	Change(t, s, spend("lookup", "nonce", 10))
	Change(t, s, spend("lookup", "nonce", 20)) // the answer was lost on its way
	wrong(t, s, record.ErrSpent, spend("lookup", "other", 20))
	wrong(t, s, record.ErrSpent, spend("lookup", "nonce", 1800))
	list := Get(t, s, func(r record.Reader) ([]record.Code, error) { return r.Codes(Host(1).ID) })
	if len(list) != 2 || list[0].Lookup != "other" || list[1].Spent != at(10) || list[1].Sealed != nil {
		t.Errorf("codes: %+v", list)
	}
	Change(t, s, func(tx record.Tx) error { return tx.RevokeCodes(Host(1).ID) })
	wrong(t, s, record.ErrNotFound, spend("lookup", "nonce", 20))
	same(t, Get(t, s, func(r record.Reader) (record.Code, error) { return r.Code("foreign") }), foreign)
}

func windows(t *testing.T, s *store.Store) {
	add(t, s, 1, 2)
	host := Host(1).ID
	window := record.Window{Host: host, Expires: at(60), By: "user:anna", Address: "192.0.2.7"}
	Change(t, s, func(tx record.Tx) error { return tx.PutWindow(window) })
	same(t, Get(t, s, func(r record.Reader) (record.Window, error) { return r.Window(host, at(59)) }), window)
	lacks(t, s, func(r record.Reader) (record.Window, error) { return r.Window(host, at(60)) })
	lacks(t, s, func(r record.Reader) (record.Window, error) { return r.Window(Host(2).ID, at(0)) })
	window.Expires, window.Address = at(120), ""
	Change(t, s, func(tx record.Tx) error { return tx.PutWindow(window) })
	same(t, Get(t, s, func(r record.Reader) (record.Window, error) { return r.Window(host, at(60)) }), window)
	for range 2 {
		Change(t, s, func(tx record.Tx) error { return tx.CloseWindow(host) })
	}
	lacks(t, s, func(r record.Reader) (record.Window, error) { return r.Window(host, at(60)) })
}

func users(t *testing.T, s *store.Store) {
	anna := record.User{
		Name: "anna", Role: record.Administrator, Password: "$argon2id$…", TOTP: []byte{0, 1}, Step: 58_000_000,
		Subject: "https://id.example.com anna", Created: at(0),
	}
	bert := record.User{Name: "Bert", Role: record.Viewer, Created: at(1), Disabled: true}
	carl := record.User{Name: "carl", Role: record.Operator, Created: at(1)} // another without a subject
	Change(t, s, func(tx record.Tx) error {
		for _, u := range []record.User{anna, bert, carl} {
			if err := tx.PutUser(u); err != nil {
				return err
			}
		}
		return nil
	})
	same(t, Get(t, s, func(r record.Reader) ([]record.User, error) { return r.Users() }), []record.User{bert, anna, carl})
	same(t, Get(t, s, func(r record.Reader) (record.User, error) { return r.UserBySubject(anna.Subject) }), anna)
	lacks(t, s, func(r record.Reader) (record.User, error) { return r.UserBySubject("") })
	lacks(t, s, func(r record.Reader) (record.User, error) { return r.User("Anna") })
	bert.Subject = anna.Subject
	wrong(t, s, record.ErrTaken, func(tx record.Tx) error { return tx.PutUser(bert) })
	anna.Step++
	Change(t, s, func(tx record.Tx) error { return tx.PutUser(anna) })
	same(t, Get(t, s, func(r record.Reader) (record.User, error) { return r.User("anna") }), anna)

	session := func(hash, user string) record.Session {
		return record.Session{Hash: hash, User: user, CSRF: "c" + hash, Created: at(0), Used: at(1), Expires: at(60)}
	}
	Change(t, s, func(tx record.Tx) error {
		for _, v := range []record.Session{session("1", "anna"), session("2", "anna"), session("3", "anna"), session("4", "carl"), session("5", "Bert")} {
			if err := tx.PutSession(v); err != nil {
				return err
			}
		}
		return nil
	})
	used := session("1", "anna")
	used.Used = at(30)
	Change(t, s, func(tx record.Tx) error { return tx.PutSession(used) })
	get := func(hash string) func(record.Reader) (record.Session, error) {
		return func(r record.Reader) (record.Session, error) { return r.Session(hash) }
	}
	same(t, Get(t, s, get("1")), used)
	Change(t, s, func(tx record.Tx) error { return tx.RemoveSession("1") })
	lacks(t, s, get("1"))
	Get(t, s, get("2"))
	Change(t, s, func(tx record.Tx) error { return tx.RemoveSessions("anna") })
	lacks(t, s, get("2"))
	lacks(t, s, get("3"))
	Change(t, s, func(tx record.Tx) error { return tx.RemoveUser("carl") })
	lacks(t, s, get("4"))
	same(t, Get(t, s, get("5")), session("5", "Bert"))
	wrong(t, s, record.ErrNotFound, func(tx record.Tx) error { return tx.RemoveUser("carl") })
	wrong(t, s, record.ErrNotFound, func(tx record.Tx) error { return tx.PutSession(session("6", "carl")) })
}

func tokensSettings(t *testing.T, s *store.Store) {
	token := record.Token{ID: "1", Name: "ci", Hash: "h1", Role: record.Operator, By: "user:anna", Created: at(0), Expires: at(60), Used: at(1)}
	endless := record.Token{ID: "2", Name: "Admin", Hash: "h2", Role: record.Administrator, Created: at(0)}
	Change(t, s, func(tx record.Tx) error { return tx.PutToken(token) })
	Change(t, s, func(tx record.Tx) error { return tx.PutToken(endless) })
	same(t, Get(t, s, func(r record.Reader) (record.Token, error) { return r.Token("h1") }), token)
	same(t, Get(t, s, func(r record.Reader) ([]record.Token, error) { return r.Tokens() }), []record.Token{endless, token})
	wrong(t, s, record.ErrTaken, func(tx record.Tx) error { return tx.PutToken(record.Token{ID: "3", Name: "ci", Hash: "h3"}) })
	token.Used = at(2)
	Change(t, s, func(tx record.Tx) error { return tx.PutToken(token) })
	same(t, Get(t, s, func(r record.Reader) (record.Token, error) { return r.Token("h1") }), token)
	Change(t, s, func(tx record.Tx) error { return tx.RemoveToken("1") })
	lacks(t, s, func(r record.Reader) (record.Token, error) { return r.Token("h1") })
	wrong(t, s, record.ErrNotFound, func(tx record.Tx) error { return tx.RemoveToken("1") })

	get := func(r record.Reader) ([]byte, error) { return r.Setting("fleet") }
	lacks(t, s, get)
	for _, v := range [][]byte{{0, 0xff}, []byte("new")} {
		Change(t, s, func(tx record.Tx) error { return tx.PutSetting("fleet", v) })
		same(t, Get(t, s, get), v)
	}
}
