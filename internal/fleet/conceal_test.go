package fleet

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fleet/agent"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/kit/typed"
	"lifeboat/internal/rescue/configuration"
)

// planted stands in a file that an older lifeboat has sent in the open half.
const planted = "password: {command: [printf, planted-password]}\n"

// open is a configuration as hosts sent them once.
func open(t *testing.T) []byte {
	t.Helper()
	text, err := (&configuration.Open{
		Format:       configuration.Format,
		Systems:      []configuration.System{{Name: "smt", Profile: "smt", Repositories: []string{"main"}}},
		Repositories: []configuration.Repository{{Name: "main", Location: "/backup"}},
		Files:        []configuration.File{{Path: "/etc/lifeboat/lifeboat.yaml", Mode: 0o600, Content: []byte(planted)}},
	}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// given is what a server gives to a viewer, to an operator without a code and to
// nobody at all, with all that is base64 in it laid open.
func (p *place) given(t *testing.T, host string) string {
	t.Helper()
	nonce := strings.Repeat("ab", configuration.NonceSize)
	answer, status := p.fetch(t, "id="+host, nonce, "")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	all := [][]byte{answer, ask[json.RawMessage](t, p.administrator, http.MethodPost, "/hosts/"+host+"/exports", wire.Export{})}
	for _, path := range []string{"", "/reports", "/runs", "/configurations", "/configurations/1", "/configurations/0"} {
		all = append(all, ask[json.RawMessage](t, p.administrator, http.MethodGet, "/hosts/"+host+path, nil))
	}
	var text strings.Builder
	for _, one := range all {
		text.Write(unpacked(one))
	}
	return text.String()
}

func unpacked(text []byte) []byte {
	var value any
	if json.Unmarshal(text, &value) != nil {
		return text
	}
	var b bytes.Buffer
	b.Write(text)
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, one := range v {
				walk(one)
			}
		case []any:
			for _, one := range v {
				walk(one)
			}
		case string:
			if raw, err := base64.StdEncoding.DecodeString(v); err == nil && len(raw) > 0 {
				b.Write(unpacked(raw))
			}
		}
	}
	walk(value)
	return b.Bytes()
}

// brought are the files that a code brings.
func (p *place) brought(t *testing.T, host string) map[string]string {
	t.Helper()
	code := ask[wire.IssuedCode](t, p.administrator, http.MethodPost, "/hosts/"+host+"/codes", nil)
	text, err := typed.ParseCode(code.Code)
	if err != nil {
		t.Fatal(err)
	}
	nonce := strings.Repeat("cd", configuration.NonceSize)
	envelope, status := p.fetch(t, "", nonce, configuration.Lookup(text))
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, envelope)
	}
	c, err := configuration.Verify(envelope, configuration.Expected{Keys: p.Desk.SigningKeys(), Nonce: nonce, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := c.Secret(text)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range append(c.Config.Files, secret.Files...) {
		files[f.Path] = string(f.Content)
	}
	for name, password := range secret.Passwords {
		files[name] = password
	}
	return files
}

// A host with an older lifeboat sends its files openly: the server seals them.
func TestFilesOfAnOlderHostAreSealed(t *testing.T) {
	p := start(t, nil)
	a := p.join(t, wire.NewHost{Name: "smt1"})
	spool := agent.NewSpool(t.TempDir())
	for n, password := range []string{"password", "password", ""} {
		r := report("run-"+string('a'+rune(n)), time.Now())
		r.Configuration = &wire.Configuration{Open: open(t)}
		if password != "" {
			r.Configuration = sealed(t, a, password)
			r.Configuration.Open = open(t)
		}
		want := int64(1 + n/2) // the same again is no new version
		if got := send(t, a, spool, r); got.Accepted.Configuration != want {
			t.Errorf("%+v, not version %d", got.Accepted, want)
		}
		if text := p.given(t, "smt1"); strings.Contains(text, "planted") {
			t.Errorf("without a code is given: %s", text)
		}
		if files := p.brought(t, "smt1"); files["/etc/lifeboat/lifeboat.yaml"] != planted || files["main"] != password {
			t.Errorf("with a code is given: %v", files)
		}
	}
}

// What a database holds openly from before is sealed when a server starts on it, and
// given to nobody by one that has started already.
func TestOldVersionsAreSealed(t *testing.T) {
	f := newFleet(t)
	p := f.serve(t, "sqlite:"+filepath.Join(t.TempDir(), "fleet.db"), nil)
	a := p.join(t, wire.NewHost{Name: "smt1"})
	whole := sealed(t, a, "password")
	host, err := p.Desk.Host(t.Context(), "smt1")
	if err != nil {
		t.Fatal(err)
	}
	database := "sqlite:" + filepath.Join(t.TempDir(), "old.db")
	old, err := store.Open(t.Context(), database, store.Signed(f.keys.Signing))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	for db, add := range map[record.Store]bool{p.Desk.Store: false, old: true} {
		err := db.Change(t.Context(), func(tx record.Tx) ([]record.Entry, error) {
			if add {
				if err := tx.PutHost(host); err != nil {
					return nil, err
				}
			}
			for digest, secret := range [][]byte{whole.Secret, nil, []byte("nothing that opens"), whole.Secret} {
				if _, err := tx.AddVersion(record.Version{Host: a.Host, Created: time.Now(), Digest: strconv.Itoa(digest), Open: open(t), Secret: secret}); err != nil {
					return nil, err
				}
			}
			return nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if text := p.given(t, "smt1"); strings.Contains(text, "planted") {
		t.Errorf("without a code is given: %s", text)
	}

	again := f.serve(t, database, nil)
	again.fetch(t, "", "", "") // it has started
	for n := int64(1); n <= 4; n++ {
		var v record.Version
		err := again.Desk.Store.Read(context.Background(), func(r record.Reader) (err error) { v, err = r.Version(a.Host, n); return err })
		if err != nil || bytes.Contains(v.Open, []byte(`"files"`)) {
			t.Errorf("version %d: %s, %v", n, v.Open, err)
		}
	}
	if files := again.brought(t, "smt1"); files["/etc/lifeboat/lifeboat.yaml"] != planted || files["main"] != "password" {
		t.Errorf("with a code is given: %v", files)
	}
	if !strings.Contains(again.log.String(), "the files of version 3 could not be sealed") {
		t.Error(again.log.String())
	}
}
