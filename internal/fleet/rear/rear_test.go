package rear

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/rescue/configuration"
)

const (
	one = record.HostID("00000000000000000000000000000001")
	two = record.HostID("00000000000000000000000000000002")
)

// fleet is a server with two hosts that have sent files.
type fleet struct {
	record.Store
	http.Handler
	from      netip.Addr
	certified record.HostID
	done      chan struct{}
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	memory, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "fleet.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { memory.Close() })
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{Store: memory, from: netip.MustParseAddr("192.0.2.7"), done: make(chan struct{})}
	for id, name := range map[record.HostID]string{one: "one", two: "two"} {
		f.add(t, id, name, identity)
	}
	f.Handler = New(Options{
		Store: memory, Stock: Versions{Store: memory, Identities: []age.Identity{identity}},
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
		From:      func(*http.Request) netip.Addr { return f.from },
		Certified: func(*http.Request) (record.HostID, bool) { return f.certified, f.certified != "" },
		Done:      f.done,
	})
	return f
}

func (f *fleet) add(t *testing.T, id record.HostID, name string, identity *age.X25519Identity) {
	t.Helper()
	open := configuration.Open{Format: configuration.Format, Files: []configuration.File{
		{Path: "/etc/lifeboat/lifeboat.yaml", Mode: 0o600, Content: []byte("not for ReaR\n")},
		{Path: "/etc/rear/local.conf", Mode: 0o600, Content: []byte("OUTPUT=ISO # of " + name + "\n")},
		{Path: "/etc/rear/mine.conf", Mode: 0o600, Content: []byte("BACKUP=NETFS\n")},
		{Path: "/var/lib/rear/layout/disklayout.conf", Mode: 0o644, Content: []byte("disk /dev/vda 10737418240 gpt\n")},
	}}
	text, err := open.Encode()
	if err != nil {
		t.Fatal(err)
	}
	secret := configuration.Secret{Format: configuration.Format, Host: id, Files: []configuration.File{
		{Path: "/etc/rear/secret.conf", Mode: 0o600, Content: []byte("BACKUP_PROG_CRYPT_KEY=of-" + name + "\n")},
	}}
	sealed, err := secret.Seal(identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	f.change(t, func(tx record.Tx) error {
		if err := tx.PutHost(record.Host{ID: id, Name: name, Created: time.Now()}); err != nil {
			return err
		}
		_, err := tx.AddVersion(record.Version{Host: id, Created: time.Now(), Digest: name, Open: text, Secret: sealed})
		return err
	})
}

func (f *fleet) change(t *testing.T, do func(record.Tx) error) {
	t.Helper()
	err := f.Change(t.Context(), func(tx record.Tx) ([]record.Entry, error) { return nil, do(tx) })
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fleet) allow(t *testing.T, id record.HostID, networks ...string) {
	t.Helper()
	f.change(t, func(tx record.Tx) error {
		host, err := tx.Host(id)
		if err != nil {
			return err
		}
		host.Networks = networks
		return tx.PutHost(host)
	})
}

func (f *fleet) get(path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func (f *fleet) audit(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	err := f.Read(t.Context(), func(r record.Reader) error {
		entries, err := r.Audit(0, 1000)
		for _, e := range entries {
			text.WriteString(e.Action + " " + e.Object + " " + e.Detail + " " + e.From + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestWhoGetsIn(t *testing.T) {
	f := newFleet(t)
	const path = "/rear/one.rear_config.tgz"
	expect := func(what string, code int) {
		t.Helper()
		if got := f.get(path).Code; got != code {
			t.Errorf("%s: code %d, want %d", what, got, code)
		}
	}
	expect("nobody may", http.StatusForbidden)
	if code := f.get("/rear/none.rear_config.tgz").Code; code != http.StatusForbidden {
		t.Errorf("an unknown host is told from one that refuses: %d", code)
	}
	if strings.Contains(f.audit(t), "rear.") {
		t.Error("whoever is refused can fill the audit log")
	}

	f.allow(t, one, "198.51.100.0/24", "192.0.2.0/28")
	expect("its network", http.StatusOK)
	if !strings.Contains(f.audit(t), "rear.archive one 4 files by network 192.0.2.0/28 192.0.2.7\n") {
		t.Errorf("audit:\n%s", f.audit(t))
	}
	f.from = netip.MustParseAddr("192.0.2.77")
	expect("another network", http.StatusForbidden)

	f.certified = two
	f.from = netip.MustParseAddr("192.0.2.7")
	expect("another host's certificate, from its network", http.StatusForbidden)
	f.certified = one
	f.from = netip.MustParseAddr("203.0.113.9")
	expect("its certificate, from anywhere", http.StatusOK)
	f.change(t, func(tx record.Tx) error {
		host, err := tx.Host(one)
		if err != nil {
			return err
		}
		host.Revoked = time.Now()
		return tx.PutHost(host)
	})
	expect("revoked", http.StatusForbidden)
}

func TestWindowBelongsToTheFirst(t *testing.T) {
	f := newFleet(t)
	open := func(d time.Duration) {
		t.Helper()
		f.change(t, func(tx record.Tx) error {
			return tx.PutWindow(record.Window{Host: one, Expires: time.Now().Add(d), By: "user:eva"})
		})
	}
	open(time.Hour)
	for range 2 {
		if w := f.get("/clients/one/config"); w.Code != http.StatusOK {
			t.Fatalf("in the window: %d %s", w.Code, w.Body)
		}
	}
	f.from = netip.MustParseAddr("192.0.2.8")
	if code := f.get("/clients/one/config").Code; code != http.StatusForbidden {
		t.Errorf("a second address in the window: %d", code)
	}
	open(time.Hour)
	if code := f.get("/clients/one/config").Code; code != http.StatusOK {
		t.Errorf("a new window for another address: %d", code)
	}
	open(-time.Second)
	if code := f.get("/clients/one/config").Code; code != http.StatusForbidden {
		t.Errorf("after the window: %d", code)
	}
	if code := f.get("/clients/two/config").Code; code != http.StatusForbidden {
		t.Errorf("another host by the window of the first: %d", code)
	}
}

func TestArchive(t *testing.T) {
	f := newFleet(t)
	f.allow(t, one, "192.0.2.7/32")
	first, second := f.get("/rear/one.rear_config.tgz"), f.get("/rear/one.rear_config.tgz")
	if !bytes.Equal(first.Body.Bytes(), second.Body.Bytes()) {
		t.Error("the same files give other bytes")
	}
	if first.Header().Get("Cache-Control") != "no-store" {
		t.Error("secrets may be kept by a cache")
	}
	zip, err := gzip.NewReader(first.Body)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for archive := tar.NewReader(zip); ; {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg || h.Uid != 0 {
			t.Errorf("%+v", h)
		}
		content, _ := io.ReadAll(archive)
		names = append(names, h.Name)
		if h.Name == "etc/rear/secret.conf" && string(content) != "BACKUP_PROG_CRYPT_KEY=of-one\n" {
			t.Errorf("secret: %q", content)
		}
	}
	want := "etc/rear/local.conf etc/rear/mine.conf etc/rear/secret.conf var/lib/rear/layout/disklayout.conf"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("files %s, want %s", got, want)
	}
}

// stock is a Stock that was taken over.
type stock []File

func (s stock) Files(context.Context, record.HostID) ([]File, error) { return s, nil }

func TestHostileStock(t *testing.T) {
	f := newFleet(t)
	s := &server{Options: Options{Stock: stock{
		{Path: "etc/rear/../passwd"},
		{Path: "/etc/rear/local.conf"},
		{Path: "etc/rear"},
		{Path: "etc/shadow"},
		{Path: "etc/rear/a\nb"},
		{Path: "var/lib/rearguard/x"},
	}, Store: f.Store}}
	if files, err := s.files(t.Context(), one); err == nil {
		t.Errorf("served: %v", files)
	}
}

func TestConfig(t *testing.T) {
	f := newFleet(t)
	f.allow(t, two, "192.0.2.7/32")
	tests := []struct {
		path string
		code int
		body string
	}{
		{"/clients/two/config", http.StatusOK, "OUTPUT=ISO # of two\n"},
		{"/clients/two/config/mine", http.StatusOK, "BACKUP=NETFS\n"},
		{"/clients/two/config/mine.conf", http.StatusOK, "BACKUP=NETFS\n"},
		{"/clients/two/config/secret", http.StatusOK, "BACKUP_PROG_CRYPT_KEY=of-two\n"},
		{"/clients/two/config/other", http.StatusNotFound, ""},
		{"/clients/two/config/..%2Flayout%2Fdisklayout", http.StatusNotFound, ""},
		{"/clients/one/config", http.StatusForbidden, ""},
	}
	for _, test := range tests {
		w := f.get(test.path)
		if w.Code != test.code || test.body != "" && w.Body.String() != test.body {
			t.Errorf("%s: %d %q", test.path, w.Code, w.Body)
		}
	}
}

func (f *fleet) run(t *testing.T, id string) (run record.Run, lines string) {
	t.Helper()
	err := f.Read(t.Context(), func(r record.Reader) (err error) {
		if run, err = r.Run(one, id); err != nil {
			return err
		}
		events, err := r.Events(one, id, 0, 1000)
		for _, e := range events {
			lines += string(e.Data) + "\n"
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return run, lines
}

func (f *fleet) put(path string, body io.Reader) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequest(http.MethodPut, path, body))
	return w
}

func TestLogVerdicts(t *testing.T) {
	f := newFleet(t)
	f.allow(t, one, "192.0.2.7/32")
	tests := []struct{ time, log, state string }{
		{"20261121230000", "Running rear recover\n2026-11-21 23:06:49 Finished running recover workflow\nExiting\n", "done"},
		{"20261121230001", "2026-11-21 ERROR: no disk\nAborting due to an error, check /var/log/rear.log\n", "failed"},
		{"20261121230002", "half a", "unknown"},
	}
	for _, test := range tests {
		if w := f.put("/clients/one/log/recover/"+test.time, strings.NewReader(test.log)); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		run, lines := f.run(t, "rear-recover-"+test.time)
		if run.State != test.state || run.Kind != "recover" || run.System != "rear" {
			t.Errorf("%+v", run)
		}
		if strings.Count(lines, `"type":"log"`) != len(strings.Split(strings.TrimSpace(test.log), "\n")) {
			t.Errorf("lines:\n%s", lines)
		}
	}
	for _, path := range []string{"/clients/one/log/re%2Fcover/20261121230000", "/clients/one/log/recover/now"} {
		if w := f.put(path, strings.NewReader("x")); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := f.put("/clients/two/log/recover/20261121230000", strings.NewReader("x")); w.Code != http.StatusForbidden {
		t.Errorf("another host's log: %d", w.Code)
	}
	f.put("/clients/one/log/mkbackup/20261121230003", strings.NewReader("\x1b[2J\x00\xff<script>"+strings.Repeat("x", 3*maxLine)+"\n"))
	_, lines := f.run(t, "rear-mkbackup-20261121230003")
	if strings.ContainsAny(lines, "\x1b\x00") || strings.Contains(lines, `\u001b`) || strings.Contains(lines, "<script>") {
		t.Errorf("hostile line: %.200s", lines)
	}
}

// What comes is there to be read while the run goes on, and a server that stops
// does not wait for a recovery's end.
func TestLogIsLive(t *testing.T) {
	f := newFleet(t)
	f.allow(t, one, "192.0.2.7/32")
	out, in := io.Pipe()
	answer := make(chan *httptest.ResponseRecorder)
	go func() { answer <- f.put("/clients/one/log/recover/20261121230000", out) }()
	if _, err := in.Write([]byte("Running rear recover\n")); err != nil {
		t.Fatal(err)
	}
	for {
		lines := ""
		err := f.Read(t.Context(), func(r record.Reader) error {
			events, err := r.Events(one, "rear-recover-20261121230000", 0, 10)
			for _, e := range events {
				lines += string(e.Data)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(lines, "Running rear recover") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if run, _ := f.run(t, "rear-recover-20261121230000"); run.State != "running" {
		t.Errorf("state %s", run.State)
	}
	close(f.done)
	<-answer
	in.Close()
	if run, _ := f.run(t, "rear-recover-20261121230000"); run.State != "interrupted" {
		t.Errorf("state %s", run.State)
	}
}
