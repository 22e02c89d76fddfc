package restserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
	"lifeboat/internal/storage/stall"
	"lifeboat/internal/storage/storagetest"
)

func newServer(t *testing.T, opts Options) *Server {
	t.Helper()
	if opts.Repositories == nil {
		opts.Repositories = Directory(t.TempDir())
	}
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a request straight to the handler; with "USER:PASSWORD" if login is set.
func ask(h http.Handler, login, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://host"+path, strings.NewReader(body))
	if user, password, ok := strings.Cut(login, ":"); ok {
		r.SetBasicAuth(user, password)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	func() {
		defer func() {
			if p := recover(); p != nil {
				if p != http.ErrAbortHandler {
					panic(p)
				}
				w.Code = -1
			}
		}()
		h.ServeHTTP(w, r)
	}()
	return w
}

func want(t *testing.T, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status {
		t.Errorf("status %d, want %d: %s", w.Code, status, w.Body)
	}
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func users(t *testing.T, lines ...string) *Users {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := OpenUsers(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func lets(u *Users, user, password string) bool {
	_, in := u.Authenticate(user, password)
	return in
}

func hashed(t *testing.T, user, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return user + ":" + string(hash)
}

func TestUsersAndPrivacy(t *testing.T) {
	token, line, err := NewToken("bob")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, Options{Private: true, Auth: users(t, "# people", hashed(t, "alice", "secret"), "", line)})
	for _, tt := range []struct {
		login, path string
		status      int
	}{
		{"alice:secret", "/alice/config", 404},
		{"alice:secret", "/alice/sub/repo/config", 404},
		{"bob:" + token, "/bob/config", 404},
		{"alice:secret", "/bob/config", 403},
		{"alice:secret", "/alice2/config", 403},
		{"alice:secret", "/config", 403},
		{"alice:secret", "/alice/../bob/config", 404},
		{"alice:secret", "/alice/%2e%2e/bob/config", 404},
		{"alice:secret", "/bob%2f..%2falice/config", 404},
		{"bob:" + token, "/alice/config", 403},
		{"alice:wrong", "/alice/config", 401},
		{"alice:" + token, "/alice/config", 401},
		{"bob:secret", "/bob/config", 401},
		{"bob:", "/bob/config", 401},
		{"carol:secret", "/carol/config", 401},
		{"", "/alice/config", 401},
		{"..:x", "/../config", 401},
	} {
		w := ask(s, tt.login, "GET", tt.path, "")
		if w.Code != tt.status {
			t.Errorf("%s %s: %d, want %d", tt.login, tt.path, w.Code, tt.status)
		}
		if w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Error("no challenge")
		}
	}
	if _, err := New(Options{Private: true, Repositories: Directory(t.TempDir())}); err == nil {
		t.Error("private repositories without users")
	}
}

func TestUploads(t *testing.T) {
	dir := t.TempDir()
	s := newServer(t, Options{Repositories: Directory(dir), MaxFile: 1000})
	path := "/repo/data/" + sum("content")
	want(t, ask(s, "", "POST", path, "something else"), 400)
	want(t, ask(s, "", "HEAD", path, ""), 404)
	want(t, ask(s, "", "POST", path, "content"), 200)
	want(t, ask(s, "", "POST", path, "content"), 409)
	want(t, ask(s, "", "POST", path, "other"), 409)
	want(t, ask(s, "", "POST", "/repo/data/"+sum(strings.Repeat("x", 1001)), strings.Repeat("x", 1001)), 413)
	want(t, ask(s, "", "POST", "/repo/config", "first"), 200)
	want(t, ask(s, "", "POST", "/repo/config", "second"), 409)
	if w := ask(s, "", "GET", "/repo/config", ""); w.Body.String() != "first" {
		t.Errorf("config is %q", w.Body)
	}
	r := httptest.NewRequest("POST", "/repo/data/"+sum("x"), io.MultiReader(strings.NewReader("x")))
	r.ContentLength = -1
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	want(t, w, 411)
	r = httptest.NewRequest("POST", "/repo/data/"+sum("cut"), strings.NewReader("cu"))
	r.ContentLength = 3
	w = httptest.NewRecorder()
	s.ServeHTTP(w, r)
	want(t, w, 400)
	want(t, ask(s, "", "HEAD", "/repo/data/"+sum("cut"), ""), 404)
	if got := ask(s, "", "HEAD", path, "").Header().Get("Content-Length"); got != "7" {
		t.Errorf("length %q", got)
	}
	// The layout is that of a repository on a disk.
	if _, err := os.Stat(filepath.Join(dir, "repo", "data", sum("content")[:2], sum("content"))); err != nil {
		t.Error(err)
	}
}

func TestRanges(t *testing.T) {
	s := newServer(t, Options{})
	text := "0123456789"
	path := "/data/" + sum(text)
	want(t, ask(s, "", "POST", path, text), 200)
	for _, tt := range []struct {
		header string
		status int
		body   string
	}{
		{"", 200, text},
		{"bytes=0-3", 206, "0123"},
		{"bytes=2-2", 206, "2"},
		{"bytes=5-", 206, "56789"},
		{"bytes=8-100", 206, "89"},
		{"bytes=10-", 416, ""},
		{"bytes=10-12", 416, ""},
		{"bytes=-3", 200, text},
		{"bytes=0-1,3-4", 200, text},
		{"bytes=4-2", 200, text},
		{"bytes=x-2", 200, text},
		{"bytes=99999999999999999999-", 200, text},
		{"lines=1-2", 200, text},
	} {
		w := ask(s, "", "GET", path, "", "Range", tt.header)
		if w.Code != tt.status || tt.body != "" && w.Body.String() != tt.body {
			t.Errorf("%q: %d %q", tt.header, w.Code, w.Body)
		}
	}
	empty := "/data/" + sum("")
	want(t, ask(s, "", "POST", empty, ""), 200)
	if w := ask(s, "", "GET", empty, ""); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("empty file: %d %q", w.Code, w.Body)
	}
}

func TestLists(t *testing.T) {
	s := newServer(t, Options{})
	if w := ask(s, "", "GET", "/repo/keys/", ""); w.Body.String() != "[]" || w.Header().Get("Content-Type") != mediaV1 {
		t.Errorf("empty: %q %v", w.Body, w.Header())
	}
	want(t, ask(s, "", "POST", "/repo/keys/"+sum("key"), "key"), 200)
	if w := ask(s, "", "GET", "/repo/keys/", ""); w.Body.String() != `["`+sum("key")+`"]` {
		t.Errorf("v1: %q", w.Body)
	}
	w := ask(s, "", "GET", "/repo/keys/", "", "Accept", mediaV2)
	if w.Body.String() != `[{"name":"`+sum("key")+`","size":3}]` || w.Header().Get("Content-Type") != mediaV2 {
		t.Errorf("v2: %q", w.Body)
	}
}

func TestAppendOnlyAndReadOnly(t *testing.T) {
	dir := t.TempDir()
	s := newServer(t, Options{Repositories: Directory(dir), AppendOnly: true})
	for _, kind := range storage.Types {
		path := "/" + kind.Dir() + "/" + sum("x")
		want(t, ask(s, "", "POST", path, "x"), 200)
		status := 403
		if kind == storage.Lock {
			status = 200
		}
		want(t, ask(s, "", "DELETE", path, ""), status)
	}
	want(t, ask(s, "", "POST", "/config", "x"), 200)
	want(t, ask(s, "", "DELETE", "/config", ""), 403)

	readers := newServer(t, Options{
		Repositories: Directory(dir),
		ReadOnly:     func(r *http.Request) bool { return r.Header.Get("X-Writer") == "" },
	})
	want(t, ask(readers, "", "GET", "/config", ""), 200)
	want(t, ask(readers, "", "POST", "/locks/"+sum("y"), "y"), 403)
	want(t, ask(readers, "", "DELETE", "/keys/"+sum("x"), ""), 403)
	want(t, ask(readers, "", "POST", "/locks/"+sum("y"), "y", "X-Writer", "1"), 200)
	want(t, ask(readers, "", "DELETE", "/keys/"+sum("x"), "", "X-Writer", "1"), 200)
	want(t, ask(readers, "", "DELETE", "/keys/"+sum("x"), "", "X-Writer", "1"), 404)
	want(t, ask(readers, "", "PATCH", "/config", ""), 405)
	want(t, ask(readers, "", "DELETE", "/", "", "X-Writer", "1"), 405)
}

func TestQuota(t *testing.T) {
	dir := t.TempDir()
	opts := Options{Repositories: Directory(dir), Quota: 100, Private: true, Auth: users(t, hashed(t, "a", "p"), hashed(t, "b", "p"))}
	s := newServer(t, opts)
	put := func(user, text string, status int) {
		t.Helper()
		want(t, ask(s, user+":p", "POST", "/"+user+"/data/"+sum(text), text), status)
	}
	forty := func(c string) string { return strings.Repeat(c, 40) }
	put("a", forty("1"), 200)
	put("a", forty("2"), 200)
	put("a", forty("3"), 507)
	if got, want := ask(s, "a:p", "POST", "/a/data/"+sum(forty("3")), forty("3")).Body.String(), "the quota of user a (100 B) is used up: 80 B of 100 B are stored, and this file has 40 B more\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	put("b", forty("3"), 200)
	want(t, ask(s, "a:p", "POST", "/a/data/"+sum("wrong"), "short"), 400) // gives its share back
	put("a", strings.Repeat("4", 20), 200)
	want(t, ask(s, "a:p", "DELETE", "/a/data/"+sum(forty("1")), ""), 200)
	put("a", forty("3"), 200)

	s = newServer(t, opts) // measures anew
	put("a", "x", 507)
	put("b", "x", 200)

	// Uploads at once do not pass it together.
	s = newServer(t, Options{Repositories: Directory(t.TempDir()), Quota: 1000})
	var g sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range 20 {
		g.Go(func() {
			text := strings.Repeat(string(rune('a'+i)), 100)
			w := ask(s, "", "POST", "/data/"+sum(text), text)
			mu.Lock()
			statuses[w.Code]++
			mu.Unlock()
		})
	}
	g.Wait()
	if statuses[200] != 10 || statuses[507] != 10 {
		t.Errorf("%v", statuses)
	}
}

func TestFailingStores(t *testing.T) {
	local, err := storage.OpenLocal(t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := faulty.Wrap(local)
	var log bytes.Buffer
	s := newServer(t, Options{Repositories: Single(f), Log: slog.New(slog.NewTextHandler(&log, nil))})
	text := "some content"
	path := "/data/" + sum(text)
	want(t, ask(s, "", "POST", path, text), 200)
	want(t, ask(s, "", "GET", "/other/config", ""), 404)
	secret := errors.New("disk /dev/secret is broken")
	f.Before = func(int, string, storage.Handle) error { return secret }
	for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
		w := ask(s, "", method, path, text)
		want(t, w, 500)
		if strings.Contains(w.Body.String(), "secret") {
			t.Error("the client is told too much")
		}
	}
	if !strings.Contains(log.String(), "secret") {
		t.Error("the log does not say why")
	}
	f.Before = nil
	f.OnLoad = func(_ storage.Handle, _ int64, data []byte) []byte { return data[:3] }
	if w := ask(s, "", "GET", path, ""); w.Code != -1 {
		t.Errorf("a file that broke off: %d", w.Code)
	}
	f.OnLoad = nil
	f.Space(0)
	want(t, ask(s, "", "POST", "/data/"+sum("x"), "x"), 507)
}

func TestParse(t *testing.T) {
	name := sum("x")
	for path, want := range map[string]string{
		"/":                                " 0 config",
		"/config":                          " 2 config",
		"/a/b/":                            "a/b 0 config",
		"/a/b/config":                      "a/b 2 config",
		"/data/":                           " 1 data",
		"/a/data":                          "a 1 data",
		"/a/data/" + name:                  "a 2 data/" + name[:2] + "/" + name,
		"/a/locks/" + name:                 "a 2 locks/" + name,
		"":                                 "-",
		"a":                                "-",
		"//config":                         "-",
		"/a//config":                       "-",
		"/../config":                       "-",
		"/./config":                        "-",
		"/a/../b/config":                   "-",
		"/.hidden/config":                  "-",
		"/a b/config":                      "-",
		"/a\x00b/config":                   "-",
		"/a\\b/config":                     "-",
		"/data/x/config":                   "-",
		"/a/foo/" + name:                   "-",
		"/config/config":                   "-",
		"/a/data/" + name + "/":            "-",
		"/1/2/3/4/5/6/7/8/9/data":          "-",
		"/a/data/" + strings.ToUpper(name): "-",
		"/" + strings.Repeat("a", 129) + "/config": "-",
	} {
		r, err := parse(path)
		got := "-"
		if err == nil {
			got = r.repository + " " + string(rune('0'+r.what)) + " " + strings.TrimSuffix(r.handle.Path(), "/")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"/", "/config", "/a/data/" + sum("x"), "/../config", "/a/locks/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r, err := parse(path)
		if err != nil {
			return
		}
		if r.repository != "" && !filepath.IsLocal(r.repository) || strings.Contains(r.repository, "..") && !filepath.IsLocal(r.repository) {
			t.Errorf("%q leads to %q", path, r.repository)
		}
		if r.what == theFile && r.handle.Validate() != nil {
			t.Errorf("%q names %v", path, r.handle)
		}
	})
}

func FuzzUsers(f *testing.F) {
	f.Add("a:{SHA256}" + sum("x") + "\n# no\n\nb:$2y$05$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234")
	f.Fuzz(func(t *testing.T, text string) {
		found, _ := parseUsers("users", []byte(text))
		for user, as := range found {
			if !validSegment(user) || as.hash == "" {
				t.Errorf("%q: %v", user, as)
			}
		}
	})
}

func listen(t *testing.T, s *Server) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { stop() })
	return l.Addr().String(), stop
}

func TestResticWithPrivateAppendOnlyTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := storagetest.Certificate(t, dir)
	config, err := Certificate(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	token, line, err := NewToken("bob")
	if err != nil {
		t.Fatal(err)
	}
	log, refused := refusals()
	s := newServer(t, Options{Auth: users(t, hashed(t, "alice", "secret"), line), Private: true, AppendOnly: true, TLS: config, Log: log})
	addr, _ := listen(t, s)
	restic := storagetest.NewRestic(t, "rest:https://alice:secret@"+addr+"/alice/repo/", nil, "--cacert", cert)
	restic.Story(t)
	storagetest.NewRestic(t, "rest:https://bob:"+token+"@"+addr+"/bob/", nil, "--cacert", cert).Story(t)

	// restic repeats for half a minute what it is refused.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { <-refused; cancel() }()
	if out, err := restic.Try(ctx, "forget", "latest"); err == nil || ctx.Err() == nil {
		t.Errorf("an append-only server did not refuse to remove a snapshot: %v, %s", err, out)
	}
	if out := restic.Run(t, "snapshots", "--no-lock", "--json"); strings.Count(out, `"short_id"`) != 2 {
		t.Errorf("the snapshots are now %s", out)
	}
	restic.Run(t, "check", "--no-lock") // its lock was left behind
}

// refusals closes a channel at the first DELETE that is answered with 403.
func refusals() (*slog.Logger, <-chan struct{}) {
	refused := make(chan struct{})
	once := sync.OnceFunc(func() { close(refused) })
	return slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("method=DELETE")) && bytes.Contains(p, []byte("status=403")) {
			once()
		}
		return len(p), nil
	}), nil)), refused
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestResticForgetsAndPrunes(t *testing.T) {
	t.Parallel()
	addr, _ := listen(t, newServer(t, Options{}))
	restic := storagetest.NewRestic(t, "rest:http://"+addr+"/", nil)
	restic.Story(t)
	restic.Run(t, "forget", "--keep-last", "1", "--prune")
	restic.Run(t, "check", "--read-data")
}

func TestRenewedCertificate(t *testing.T) {
	dir := t.TempDir()
	cert, key := storagetest.Certificate(t, dir)
	config, err := Certificate(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := config.GetCertificate(nil)
	storagetest.Certificate(t, dir)
	later := time.Now().Add(time.Minute)
	os.Chtimes(cert, later, later)
	second, _ := config.GetCertificate(nil)
	if bytes.Equal(first.Certificate[0], second.Certificate[0]) {
		t.Error("the renewed certificate is not shown")
	}
	os.WriteFile(cert, []byte("half"), 0o600)
	if third, err := config.GetCertificate(nil); err != nil || !bytes.Equal(third.Certificate[0], second.Certificate[0]) {
		t.Errorf("a broken renewal: %v", err)
	}
}

type announcing struct {
	Repositories
	opened chan struct{}
}

func (a announcing) Open(ctx context.Context, path string) (storage.Store, error) {
	close(a.opened)
	return a.Repositories.Open(ctx, path)
}

// An upload under way ends before the server does; nothing new is taken.
func TestGracefulEnd(t *testing.T) {
	opened := make(chan struct{})
	addr, stop := listen(t, newServer(t, Options{Repositories: announcing{Directory(t.TempDir()), opened}}))
	text := strings.Repeat("x", 100_000)
	reader, writer := io.Pipe()
	req, err := http.NewRequest("POST", "http://"+addr+"/data/"+sum(text), reader)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(len(text))
	answer := make(chan int, 1)
	go func() {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Error(err)
			answer <- 0
			return
		}
		resp.Body.Close()
		answer <- resp.StatusCode
	}()
	io.WriteString(writer, text[:50_000])
	<-opened
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	for { // until the listener is closed
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		conn.Close()
	}
	io.WriteString(writer, text[50_000:])
	writer.Close()
	if status := <-answer; status != 200 {
		t.Errorf("status %d", status)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestDrippingUpload(t *testing.T) {
	addr, _ := listen(t, newServer(t, Options{Stall: stall.Limit{Window: 100 * time.Millisecond, Bytes: 1000}}))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "POST /data/"+sum("x")+" HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
	go func() {
		for {
			if _, err := conn.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	text, _ := io.ReadAll(conn)
	if !bytes.Contains(text, []byte(" 400 ")) {
		t.Errorf("answer %q", text)
	}
}
