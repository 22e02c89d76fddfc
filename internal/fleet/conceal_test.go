package fleet

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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
	"lifeboat/internal/runbook"
)

// planted stands in a file that an older lifeboat has sent in the open half.
const planted = "password: {command: [printf, planted-password]}\n"

// open is a configuration as hosts sent them once.
func open(t *testing.T) []byte {
	t.Helper()
	text, err := (&configuration.Open{
		Format:  configuration.Format,
		Systems: []configuration.System{{Name: "smt", Profile: "smt", Digest: "sha256:planted-digest", Repositories: []string{"main", "web", "ssh"}}},
		Repositories: []configuration.Repository{
			{Name: "main", Location: "/backup"},
			{Name: "web", Location: "rest:https://planted-user@backup.example.com/smt1/?key=planted-key"},
			{Name: "ssh", Location: "sftp:backup@backup.example.com:/srv"},
		},
		Files: []configuration.File{{Path: "/etc/lifeboat/lifeboat.yaml", Mode: 0o600, Content: []byte(planted)}},
	}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// told is what it tells of a run, with arguments of hooks; the profile's commands and
// what a hook prints stay.
func told(t *testing.T) []record.Event {
	t.Helper()
	var list []record.Event
	for i, e := range []runbook.Event{
		{Type: runbook.StepLog, Step: "before/hooks", Text: "run /usr/local/bin/announce --token planted-token"},
		{Type: runbook.StepLog, Step: "capture/database", Text: "run sh -c curl\n-H planted-header"},
		{Type: runbook.StepLog, Step: "after/hooks", Text: "run /usr/local/bin/bare"},
		{Type: runbook.StepLog, Step: "after/hooks", Text: "run /usr/local/bin/new (arguments: 2)"},
		{Type: runbook.StepLog, Step: "after/hooks", Text: "it is printed"},
		{Type: runbook.StepLog, Step: "quiesce/stop", Text: "run systemctl stop smt"},
	} {
		e.Run, e.System, e.Time = "run-old", "smt", time.Now()
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, record.Event{Run: "run-old", Seq: int64(i + 1), Time: e.Time, Data: data})
	}
	return list
}

// toldBy is what viewers see of that run.
func (p *place) toldBy(t *testing.T, host string) {
	t.Helper()
	events := ask[wire.List[record.Event]](t, p.administrator, http.MethodGet, "/hosts/"+host+"/runs/run-old/events", nil)
	var texts []string
	for _, e := range events.Items {
		var one runbook.Event
		if err := json.Unmarshal(e.Data, &one); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, one.Text)
		if one.Run != "run-old" || one.Type != runbook.StepLog || one.Time.IsZero() {
			t.Errorf("the rest of an event is gone: %s", e.Data)
		}
	}
	want := []string{
		"run /usr/local/bin/announce (its arguments are left out)", "run sh (its arguments are left out)", "run /usr/local/bin/bare",
		"run /usr/local/bin/new (arguments: 2)", "it is printed", "run systemctl stop smt",
	}
	if !slices.Equal(texts, want) {
		t.Errorf("a run tells %q", texts)
	}
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
	live := wire.RunEvents{System: "smt", Kind: "backup", Started: time.Now()}
	for _, e := range told(t) {
		live.Events = append(live.Events, wire.RunEvent{Seq: e.Seq, Time: e.Time, Data: e.Data})
	}
	if err := p.hostClient(t, a).Do(t.Context(), http.MethodPost, "/agent/runs/run-old/events", live, nil); err != nil {
		t.Fatal(err)
	}
	p.toldBy(t, "smt1")
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

// small is a store without room to be written anew.
type small struct{ record.Store }

func (small) Compact(context.Context) error { return record.ErrFull }

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
	file := filepath.Join(t.TempDir(), "old.db")
	database := "sqlite:" + file
	old, err := store.Open(t.Context(), database, store.Signed(f.keys.Signing))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	for db, add := range map[record.Store]bool{p.Desk.Store: false, old: true} {
		err := db.Change(t.Context(), func(tx record.Tx) ([]record.Entry, error) {
			if add {
				events := told(t)
				for i := range events {
					events[i].Host = host.ID
				}
				err := errors.Join(tx.PutHost(host), tx.PutRun(record.Run{ID: "run-old", Host: host.ID, System: "smt", Kind: "backup", Started: time.Now(), Updated: time.Now()}), tx.AddEvents(events))
				if err != nil {
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

	traces := func() (found []string) {
		t.Helper()
		for _, name := range []string{file, file + "-wal"} {
			bytes, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, trace := range []string{"planted", base64.StdEncoding.EncodeToString([]byte(planted))} {
				if strings.Contains(string(bytes), trace) {
					found = append(found, trace+" in "+filepath.Base(name))
				}
			}
		}
		return found
	}
	if len(traces()) == 0 {
		t.Error("there is nothing to be found")
	}
	small := f.serve(t, database, func(o *Options) { o.Desk.Store = small{o.Desk.Store} })
	small.fetch(t, "", "", "") // it has started
	small.stop()
	if !strings.Contains(small.log.String(), "tried again at the next start") {
		t.Error(small.log.String())
	}
	again := f.serve(t, database, nil)
	again.fetch(t, "", "", "")
	if found := traces(); len(found) > 0 {
		t.Errorf("the database's files hold %q", found)
	}
	again.toldBy(t, "smt1")
	if text := again.given(t, "smt1"); strings.Contains(text, "planted") || !strings.Contains(text, `"sftp:backup@backup.example.com:/srv"`) {
		t.Errorf("without a code is given: %s", text)
	}
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
	if !strings.Contains(small.log.String(), "the files of version 3 could not be sealed") {
		t.Error(small.log.String())
	}
}
