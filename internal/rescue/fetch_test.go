package rescue

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/kit/typed"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/rescue/identity"
	"lifeboat/internal/rescue/source"
	"lifeboat/internal/runbook"
)

const (
	hostA = record.HostID("000102030405060708090a0b0c0d0e0f")
	hostB = record.HostID("ffeeddccbbaa99887766554433221100")
)

var (
	now = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	me  = record.Identity{Serial: "czc1234abc", MACs: []string{"02:00:00:00:00:01", "02:00:00:00:00:02"}, Hostname: "smt1"}
)

func signer(seed byte) *configuration.Signer {
	return configuration.NewSigner(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
}

func open(t *testing.T, id record.Identity) []byte {
	t.Helper()
	o := &configuration.Open{
		Format: configuration.Format, Identity: id,
		Systems:      []configuration.System{{Name: "smt", Profile: "smt", Repositories: []string{"main"}}},
		Repositories: []configuration.Repository{{Name: "main", Location: "/backup"}},
		Files:        []configuration.File{{Path: "/etc/lifeboat/lifeboat.yaml", Mode: 0o644, Content: []byte("x: y\n")}},
	}
	text, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// server is a fleet that does what a test says. It keeps what it was asked.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []*http.Request
	answer func(w http.ResponseWriter, r *http.Request)
}

func serve(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *server {
	s := &server{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r)
		s.mu.Unlock()
		s.answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// right is what an honest fleet says to a request.
func right(t *testing.T, r *http.Request) *configuration.Statement {
	return &configuration.Statement{
		Host: hostA, HostName: "smt1", Version: 7, Created: now.Add(-time.Hour), Issued: now, Expires: now.Add(time.Minute),
		Nonce: r.Header.Get(source.NonceHeader), Open: open(t, me),
	}
}

func send(t *testing.T, w http.ResponseWriter, s *configuration.Statement, with *configuration.Signer) {
	envelope, err := s.Sign(with)
	if err != nil {
		t.Error(err)
	}
	_, _ = w.Write(envelope)
}

func options(t *testing.T, url string) Options {
	client, err := source.NewClient("")
	if err != nil {
		t.Fatal(err)
	}
	seen, err := OpenMemory(filepath.Join(t.TempDir(), "rescue.seen.json"))
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Place:   Address{Given: url}.Find,
		Machine: func() (identity.Machine, error) { return identity.Machine{Identity: me}, nil },
		Client:  client, Keys: []ed25519.PublicKey{signer(1).Public()}, Seen: seen,
		Tell: func(e Event) { t.Logf("%s: %s %s", e.Name, e.Text, e.URL) },
		Now:  func() time.Time { return now },

		pause: time.Millisecond,
	}
}

func TestFetchAndPlace(t *testing.T) {
	code := typed.NewCode()
	secret := &configuration.Secret{
		Format: configuration.Format, Host: hostA, Passwords: map[string]string{"main": "correct horse"},
		Environment: map[string]string{"AWS_ACCESS_KEY_ID": "id"},
		Files:       []configuration.File{{Path: "/etc/lifeboat/store.key", Mode: 0o600, Content: []byte("key")}},
	}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		a := right(t, r)
		switch r.Header.Get(source.CodeHeader) {
		case "":
		case configuration.Lookup(code):
			a.Sealed, _ = secret.SealToCode(code, a.Version)
		default:
			w.WriteHeader(http.StatusGone)
			return
		}
		send(t, w, a, signer(1))
	})
	o := options(t, s.URL)
	var wrongs []error
	o.Code = func(_ context.Context, wrong error) (typed.Code, error) {
		wrongs = append(wrongs, wrong)
		if wrong == nil {
			return typed.NewCode(), nil
		}
		return code, nil
	}
	got, err := Fetch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(wrongs) != 2 || !errors.Is(wrongs[1], source.ErrSpent) {
		t.Errorf("the code was asked for with %v", wrongs)
	}
	first, last := s.requests()[0], s.requests()[2]
	if q := first.URL.Query(); first.URL.Path != "/recovery/v1/configuration" || len(q["mac"]) != 2 || q.Get("serial") != me.Serial || q.Get("hostname") != "smt1" || q.Has("id") || q.Has("uuid") {
		t.Errorf("asked %s", first.URL)
	}
	if q := last.URL.Query(); q.Get("id") != string(hostA) || first.Header.Get(source.NonceHeader) == last.Header.Get(source.NonceHeader) {
		t.Errorf("asked with the code %s", last.URL)
	}
	if !slices.Equal(got.Shared, []string{"serial", "mac", "hostname"}) || got.Secret == nil {
		t.Errorf("%+v", got)
	}

	// What is there is set aside, and everything is for root alone.
	root := t.TempDir()
	files, err := got.Files()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "etc/lifeboat"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(root, "etc/lifeboat/store.key")); err != nil {
		t.Fatal(err)
	}
	placed, err := Place(root, files, now)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"etc/lifeboat/lifeboat.yaml": "x: y\n", "etc/lifeboat/store.key": "key",
		"etc/lifeboat/rescue/main.password": "correct horse", "etc/lifeboat/rescue/environment.json": `{"AWS_ACCESS_KEY_ID":"id"}`,
		"etc/lifeboat/rescue/host.json": `{"hostname":"smt1"}`,
	}
	if len(placed) != len(want) {
		t.Errorf("%+v", placed)
	}
	for name, content := range want {
		text, err := os.ReadFile(filepath.Join(root, name))
		info, _ := os.Lstat(filepath.Join(root, name))
		if err != nil || string(text) != content || info.Mode() != 0o600 {
			t.Errorf("%s: %q %v, %v", name, text, info.Mode(), err)
		}
	}
	if link, err := os.Readlink(filepath.Join(root, "etc/lifeboat/store.key.aside-20261121-030000")); err != nil || link != "/etc/passwd" {
		t.Errorf("what was there: %q, %v", link, err)
	}
	if v, err := Environment(root); err != nil || v["AWS_ACCESS_KEY_ID"] != "id" {
		t.Errorf("%v, %v", v, err)
	}
	again, err := Place(root, files, now)
	if err != nil || slices.ContainsFunc(again, func(p Placed) bool { return !p.Same }) {
		t.Errorf("again: %+v, %v", again, err)
	}
	if err := Forget(root); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(root, "etc/lifeboat/rescue")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("secrets stay behind")
	}
}

// A man in the middle, or a fleet gone bad, gets nowhere.
func TestRefused(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { send(t, w, right(t, r), signer(1)) }))
	defer other.Close()
	var old []byte
	for name, try := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		change func(*Options)
		want   string
	}{
		"changed": {answer: func(w http.ResponseWriter, r *http.Request) {
			envelope, _ := right(t, r).Sign(signer(1))
			i := bytes.Index(envelope, []byte(`"payload":"`)) + 40
			envelope[i] ^= 1
			_, _ = w.Write(envelope)
		}, want: "no pinned key"},
		"foreign key": {answer: func(w http.ResponseWriter, r *http.Request) { send(t, w, right(t, r), signer(2)) }, want: "no pinned key"},
		"replayed": {answer: func(w http.ResponseWriter, r *http.Request) {
			if old == nil {
				s := right(t, r)
				s.Nonce = strings.Repeat("ab", 16)
				old, _ = s.Sign(signer(1))
			}
			_, _ = w.Write(old)
		}, want: "another request"},
		"frozen": {answer: func(w http.ResponseWriter, r *http.Request) {
			s := right(t, r)
			s.Issued, s.Expires = now.Add(-2*time.Hour), now.Add(-time.Hour)
			send(t, w, s, signer(1))
		}, want: "it expired at 2026-11-21 02:00:00"},
		"downgraded": {
			answer: func(w http.ResponseWriter, r *http.Request) { send(t, w, right(t, r), signer(1)) },
			change: func(o *Options) { _ = o.Seen.Remember(hostA, configuration.Seen{Version: 8}) }, want: "version 7, and version 8 was seen. Where the fleet's server itself was put back.*remove rescue.seen.json",
		},
		"shared with another host": {answer: func(w http.ResponseWriter, r *http.Request) {
			s := right(t, r) // what they share is no longer among what decides
			s.Matched = &record.Identity{}
			send(t, w, s, signer(1))
		}, want: "had neither this machine's"},
		"static": {answer: func(w http.ResponseWriter, r *http.Request) {
			s := right(t, r)
			s.Static, s.Nonce = true, ""
			send(t, w, s, signer(1))
		}, want: "no request in particular"},
		"other format": {answer: func(w http.ResponseWriter, r *http.Request) {
			e, _ := signer(1).Envelope(configuration.PayloadType, []byte(`{"format":2}`))
			_, _ = w.Write(e)
		}, want: "it is 2 and this lifeboat reads 1"},
		"other payload": {answer: func(w http.ResponseWriter, r *http.Request) {
			e, _ := signer(1).Envelope("application/vnd.lifeboat.bundle+json", []byte(`{}`))
			_, _ = w.Write(e)
		}, want: "format is not known"},
		"swapped": {answer: func(w http.ResponseWriter, r *http.Request) {
			s := right(t, r)
			s.Host, s.HostName, s.Open = hostB, "db1", open(t, record.Identity{Serial: "other99", Hostname: "db1"})
			send(t, w, s, signer(1))
		}, want: "db1 had neither"},
		"swapped for the one that was named": {
			answer: func(w http.ResponseWriter, r *http.Request) {
				s := right(t, r)
				s.Host, s.HostName = hostB, "db1"
				send(t, w, s, signer(1))
			},
			change: func(o *Options) { o.Server = "smt1" }, want: "smt1 was asked for, and db1",
		},
		"asked for another of the same serial number": {
			answer: func(w http.ResponseWriter, r *http.Request) {
				s := right(t, r)
				s.Host, s.HostName, s.Open = hostB, "db1", open(t, record.Identity{Serial: me.Serial, MACs: []string{"02:00:00:00:00:99"}, Hostname: "db1"})
				send(t, w, s, signer(1))
			},
			want: "db1 has the same serial and another mac, and over http: somebody in between",
		},
		"path escapes":  {answer: file(t, "/etc/lifeboat/../shadow", 0o600), want: "not an absolute, clean path"},
		"path outside":  {answer: file(t, "/etc/shadow", 0o600), want: "is outside of"},
		"device":        {answer: file(t, "/etc/lifeboat/dev", fs.ModeDevice|0o600), want: "more than permissions"},
		"setuid":        {answer: file(t, "/etc/lifeboat/su", fs.ModeSetuid|0o755), want: "more than permissions"},
		"control signs": {answer: file(t, "/etc/lifeboat/a\x1b[2Jb", 0o600), want: "control characters"},
		"keys":          {answer: file(t, "/etc/lifeboat/rescue.yaml", 0o600), want: "belongs to the rescue system"},
		"redirect": {
			answer: func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, other.URL+r.URL.String(), http.StatusFound)
			},
			want: "sends us to another place",
		},
		"gzip bomb": {answer: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(make([]byte, 1<<20))
			_ = z.Close()
		}, want: "compressed"},
		"oversized": {answer: func(w http.ResponseWriter, r *http.Request) {
			block := bytes.Repeat([]byte(" "), 1<<20)
			for range configuration.MaxEnvelope>>20 + 1 {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, want: "too large"},
		"endless": {answer: func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Millisecond)
			}
		}, change: func(o *Options) { o.Client.Limit = 50 * time.Millisecond }, want: "does not end"},
		"silent":         {answer: func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, change: func(o *Options) { o.Client.Limit = 50 * time.Millisecond }, want: "does not end"},
		"page":           {answer: func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>sign in to the hotel's network") }, want: "no signed envelope"},
		"hostile choice": {answer: candidates(source.Candidate{ID: hostA, Name: "a\x1b[2Jb"}), want: "it offers the host"},
		"no choice":      {answer: candidates(), want: "offers 0 hosts"},
		"teapot":         {answer: func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }, want: "418"},
		"no key":         {answer: func(w http.ResponseWriter, r *http.Request) {}, change: func(o *Options) { o.Keys = nil }, want: "no signing key"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, try.answer)
			o := options(t, s.URL)
			if try.change != nil {
				try.change(&o)
			}
			got, err := Fetch(t.Context(), o)
			var refused *runbook.RefusedError
			if !errors.As(err, &refused) || got != nil || !regexp.MustCompile(try.want).MatchString(err.Error()) {
				t.Fatalf("%+v, %v", got, err)
			}
			if strings.ContainsAny(err.Error(), "\x1b\x07") {
				t.Errorf("the refusal would act on a terminal: %q", err)
			}
		})
	}
}

// file is a validly signed configuration that brings a file, which this lifeboat
// would not make.
func file(t *testing.T, name string, mode fs.FileMode) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		s := right(t, r)
		var o configuration.Open
		if err := json.Unmarshal(s.Open, &o); err != nil {
			t.Error(err)
		}
		o.Files = []configuration.File{{Path: name, Mode: mode, Content: []byte("x")}}
		s.Open, _ = json.Marshal(o)
		send(t, w, s, signer(1))
	}
}

// Over TLS the server says which of several was meant: a new card in the old machine is
// no reason to ask a person.
func TestHardwareMayChange(t *testing.T) {
	s := serve(t, nil)
	old := record.Identity{Serial: me.Serial, MACs: []string{"02:00:00:00:00:99"}}
	for _, c := range []struct {
		url, server string
		want        bool
	}{{"https://fleet/", "", true}, {"file:///media/x.json", "", true}, {"http://fleet/", "", false}, {"nfs://fleet/x", "", false}, {"http://fleet/", "smt1", true}} {
		o := options(t, s.URL)
		o.Server = c.server
		f := &fetch{Options: o, me: identity.Machine{Identity: me}}
		shared, err := f.meant(&configuration.Statement{Host: hostA, HostName: "smt1"}, &configuration.Open{Identity: old}, c.url)
		if (err == nil) != c.want || c.want && !slices.Equal(shared, []string{"serial"}) {
			t.Errorf("%s: %v, %v", c.url, shared, err)
		}
	}
}

func candidates(list ...source.Candidate) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusMultipleChoices)
		_ = json.NewEncoder(w).Encode(map[string]any{"candidates": list})
	}
}

func TestSeveralHosts(t *testing.T) {
	s := serve(t, nil)
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("id") == string(hostA) {
			send(t, w, right(t, r), signer(1))
			return
		}
		candidates(source.Candidate{ID: hostA, Name: "smt1", Matched: []string{"mac"}}, source.Candidate{ID: hostB, Name: "smt2", Matched: []string{"mac"}})(w, r)
	}
	o := options(t, s.URL)
	if _, err := Fetch(t.Context(), o); !errors.Is(err, runbook.ErrRefused) || !strings.Contains(err.Error(), "smt1, smt2") {
		t.Errorf("nobody to ask: %v", err)
	}
	o.Choose = func(_ context.Context, from []source.Candidate) (record.HostID, error) { return from[0].ID, nil }
	if got, err := Fetch(t.Context(), o); err != nil || got.Host != hostA {
		t.Errorf("%+v, %v", got, err)
	}
	o.Choose = func(_ context.Context, from []source.Candidate) (record.HostID, error) { return from[1].ID, nil }
	if _, err := Fetch(t.Context(), o); err == nil {
		t.Error("the server insists on a choice, for ever")
	}
}

// The network comes up, the server comes up, and only the second card is known.
func TestPatience(t *testing.T) {
	var round int
	s := serve(t, nil)
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		switch {
		case round == 0:
			round++
			w.WriteHeader(http.StatusBadGateway)
		case round == 1:
			round++
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		case strings.HasSuffix(r.URL.Path, "02:00:00:00:00:02.json"):
			send(t, w, right(t, r), signer(1))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}
	o := options(t, s.URL+"/hosts/$MAC_ADDRESS.json")
	o.Patience = time.Hour // by a clock that stands still
	var cards int
	o.Machine = func() (identity.Machine, error) {
		cards++
		if cards == 1 {
			return identity.Machine{}, nil // its driver is not there yet
		}
		return identity.Machine{Identity: me}, nil
	}
	var waited int
	o.Tell = func(e Event) {
		if e.Name == "waiting" {
			waited++
		}
	}
	o.Place = func(_ context.Context, m identity.Machine) (string, string, error) {
		if len(m.MACs) == 0 {
			return "", "", nil
		}
		return s.URL + "/hosts/$MAC_ADDRESS.json", "the test", nil
	}
	got, err := Fetch(t.Context(), o)
	if err != nil || got.Host != hostA || waited != 2 {
		t.Errorf("%+v, %v, waited %d times", got, err, waited)
	}
	s.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }
	if _, err := Fetch(t.Context(), o); !errors.Is(err, ErrNothing) {
		t.Errorf("unknown: %v", err)
	}
	o.Patience = 0
	s.Close()
	if _, err := Fetch(t.Context(), o); err == nil || runbook.ExitCode(nil, err) != runbook.ExitFailed {
		t.Errorf("no server: %v", err)
	}
}

func TestFromFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "czc1234abc.json")
	s := &configuration.Statement{Host: hostA, HostName: "smt1", Version: 7, Created: now, Issued: now, Expires: now.Add(time.Hour), Static: true, Open: open(t, me)}
	code := typed.NewCode()
	secret := &configuration.Secret{Format: configuration.Format, Host: hostA, Passwords: map[string]string{"main": "x"}}
	for _, sealed := range []bool{false, true} {
		if sealed {
			s.Sealed, _ = secret.SealToCode(code, 7)
		}
		envelope, err := s.Sign(signer(1))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, envelope, 0o600); err != nil {
			t.Fatal(err)
		}
		o := options(t, "file://"+filepath.Dir(name)+"/$SERIAL.json")
		o.Code = func(_ context.Context, wrong error) (typed.Code, error) {
			if !sealed || wrong != nil {
				t.Errorf("a code is asked for: %v", wrong)
			}
			return code, nil
		}
		got, err := Fetch(t.Context(), o)
		if err != nil || got.Host != hostA || (got.Secret != nil) != sealed {
			t.Errorf("%+v, %v", got, err)
		}
	}
	o := options(t, "file://"+name)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", name); err != nil {
		t.Fatal(err)
	}
	if _, err := Fetch(t.Context(), o); !errors.Is(err, runbook.ErrRefused) {
		t.Errorf("a device: %v", err)
	}
}

func TestPlaceRefuses(t *testing.T) {
	files := []configuration.File{{Path: "/etc/lifeboat/a", Mode: 0o600}, {Path: "/var/lib/rear/b/c", Mode: 0o600}}
	for name, prepare := range map[string]func(root string) error{
		"link on the way":      func(root string) error { return os.Symlink("/tmp", filepath.Join(root, "var")) },
		"link inside":          func(root string) error { return os.Symlink("etc", filepath.Join(root, "var")) },
		"climbing link":        func(root string) error { return os.Symlink("../..", filepath.Join(root, "var")) },
		"file on the way":      func(root string) error { return os.WriteFile(filepath.Join(root, "var"), nil, 0o600) },
		"directory in its way": func(root string) error { return os.MkdirAll(filepath.Join(root, "var/lib/rear/b/c"), 0o700) },
	} {
		root := t.TempDir()
		if err := prepare(root); err != nil {
			t.Fatal(err)
		}
		if placed, err := Place(root, files, now); !errors.Is(err, runbook.ErrRefused) || placed != nil {
			t.Errorf("%s: %v, %v", name, placed, err)
		}
		if _, err := os.Lstat(filepath.Join(root, "etc")); err == nil {
			t.Errorf("%s: something was written", name)
		}
	}
}

func TestMemory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seen.json")
	m, err := OpenMemory(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Remember(hostA, configuration.Seen{Version: 7, Issued: now}), m.RememberBundle(3), m.RememberBundle(2)); err != nil {
		t.Fatal(err)
	}
	if err := m.Remember(hostA, configuration.Seen{Version: 6, Issued: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	m, err = OpenMemory(file)
	if err != nil || m.Of(hostA).Version != 7 || !m.Of(hostA).Issued.Equal(now) || m.Bundle() != 3 || m.Of(hostB).Version != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	for _, text := range []string{"", "{", `{"format":9}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := OpenMemory(file); err == nil || m.Of(hostA).Version != 0 {
			t.Errorf("%q: %v", text, err)
		}
	}
}
