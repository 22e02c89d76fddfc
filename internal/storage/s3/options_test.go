package s3_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
	"lifeboat/internal/storage/s3"
	"lifeboat/internal/storage/storagetest"
)

func TestParseURL(t *testing.T) {
	for in, want := range map[string]string{
		"s3:host/bucket":                          "s3:https://host/bucket",
		"s3:s3.amazonaws.com/bucket/a/b/":         "s3:https://s3.amazonaws.com/bucket/a/b",
		"s3://host:9000/bucket":                   "s3:https://host:9000/bucket",
		"s3:https://host:9000/bucket/pre fix":     "s3:https://host:9000/bucket/pre%20fix",
		"s3:http://host:9000/bucket//a//b":        "s3:http://host:9000/bucket/a/b",
		"s3:http://[::1]:9000/bucket":             "s3:http://[::1]:9000/bucket",
		"s3:host":                                 "",
		"s3:host/":                                "",
		"s3:":                                     "",
		"s3:http:///bucket":                       "",
		"s3:ftp://host/bucket":                    "",
		"s3:https://key:secret@host/bucket":       "",
		"s3:https://key:secr%%et@host/bucket":     "",
		"s3:https://host/bucket/../other":         "",
		"s3:https://host/bucket?x=secret":         "",
		"rest:http://host/":                       "",
		"s3:https://host:9000/bucket/a/./b":       "s3:https://host:9000/bucket/a/b",
		"s3:https://host:9000/bucket/%2e%2e/evil": "",
	} {
		place, err := s3.ParseURL(in)
		if want == "" {
			if err == nil || strings.Contains(in, "@") && strings.Contains(err.Error(), "secr") {
				t.Errorf("%s: %v, %v", in, place, err)
			}
			continue
		}
		if err != nil || place.String() != want {
			t.Errorf("%s: %s, %v", in, place, err)
		}
		if again, err := s3.ParseURL(place.String()); err != nil || again != place {
			t.Errorf("%s does not come back: %+v", place, again)
		}
	}
}

func file(text string) (storage.Handle, []byte) {
	sum := sha256.Sum256([]byte(text))
	return storage.Handle{Type: storage.Data, Name: hex.EncodeToString(sum[:])}, []byte(text)
}

func TestRestic(t *testing.T) {
	t.Parallel()
	server := storagetest.NewS3Server(t)
	location := fresh(server.Addr, options(server))(t)
	storagetest.NewRestic(t, location, []string{
		"AWS_ACCESS_KEY_ID=" + server.AccessKey, "AWS_SECRET_ACCESS_KEY=" + server.SecretKey,
	}).Story(t)
	// What restic wrote is where we look for it.
	s := open(t, location, options(server))
	snapshots := 0
	if err := s.List(t.Context(), storage.Snapshot, func(storage.Info) error { snapshots++; return nil }); err != nil || snapshots != 2 {
		t.Errorf("%d snapshots, %v", snapshots, err)
	}
}

func TestOwnAuthority(t *testing.T) {
	t.Parallel()
	cert, key := storagetest.Certificate(t, t.TempDir())
	server := storagetest.NewS3Server(t, "--cert", cert, "--key", key)
	opts := options(server)
	opts.Transport.CACert = cert
	s := open(t, "s3:https://"+server.Addr+"/bucket", opts)
	if err := s.Save(t.Context(), storage.Handle{Type: storage.Config}, []byte("c")); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, "s3:https://"+server.Addr+"/bucket", options(server)).Stat(t.Context(), storage.Handle{Type: storage.Config})
	if err == nil || errors.Is(err, storage.ErrNotFound) || retry.Transient(err) {
		t.Errorf("a certificate of nobody: %v", err)
	}
}

func TestVirtualHosts(t *testing.T) {
	t.Parallel()
	server := storagetest.NewS3Server(t, "--virtual-domain", "s3.test")
	opts := options(server)
	opts.Lookup = "dns"
	var mu sync.Mutex
	hosts := map[string]bool{}
	opts.Transport.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		hosts[addr] = true
		mu.Unlock()
		return (&net.Dialer{}).DialContext(ctx, network, server.Addr)
	}
	s := open(t, "s3:http://s3.test/lifeboat/deep/prefix", opts)
	if err := s.Save(t.Context(), storage.Handle{Type: storage.Config}, []byte("c")); err != nil {
		t.Fatal(err)
	}
	h, data := file("content")
	if err := s.Save(t.Context(), h, data); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(server.Dir, "lifeboat", "deep", "prefix", h.Path())); err != nil {
		t.Error(err)
	}
	if !hosts["lifeboat.s3.test:80"] {
		t.Errorf("the bucket stood in no host's name: %v", hosts)
	}
}

func TestCredentials(t *testing.T) {
	server := storagetest.NewS3Server(t)
	location := fresh(server.Addr, options(server))(t)
	empty := filepath.Join(t.TempDir(), "none")
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", empty)
	t.Setenv("HOME", t.TempDir())
	place, err := s3.ParseURL(location)
	if err != nil {
		t.Fatal(err)
	}
	try := func(opts s3.Options) error {
		s, err := s3.Open(place, opts)
		if err != nil {
			return err
		}
		defer s.Close()
		if _, err = s.Stat(t.Context(), storage.Handle{Type: storage.Config}); errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		return err
	}
	if err := try(s3.Options{}); err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("no keys: %v", err)
	}
	if err := try(s3.Options{AccessKey: server.AccessKey}); err == nil {
		t.Error("half a key was taken")
	}
	if err := try(s3.Options{AccessKey: server.AccessKey, SecretKey: "wrong"}); !errors.Is(err, fs.ErrPermission) || retry.Transient(err) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong key: %v", err)
	}
	keys := filepath.Join(t.TempDir(), "credentials")
	text := fmt.Sprintf("[backup]\naws_access_key_id = %s\naws_secret_access_key = %s\n", server.AccessKey, server.SecretKey)
	if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := try(s3.Options{CredentialsFile: keys, Profile: "backup"}); err != nil {
		t.Errorf("a file: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	if err := try(s3.Options{}); err != nil {
		t.Errorf("the environment: %v", err)
	}
	if err := try(s3.Options{Lookup: "somehow"}); err == nil {
		t.Error("a lookup that there is not was taken")
	}
}

func TestLongLists(t *testing.T) {
	t.Parallel()
	server := storagetest.NewS3Server(t)
	location := fresh(server.Addr, options(server))(t)
	bucket := strings.Split(location, "/")[3]
	const files = 1100 // more than an answer holds
	for i := range files {
		h, data := file(fmt.Sprint(i))
		path := filepath.Join(server.Dir, bucket, "some", "prefix", h.Path())
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if i == 0 { // what does not belong there
			os.WriteFile(path+"x", nil, 0o644)
			os.WriteFile(filepath.Join(filepath.Dir(filepath.Dir(path)), h.Name), nil, 0o644)
		}
	}
	got := map[string]bool{}
	err := open(t, location, options(server)).List(t.Context(), storage.Data, func(info storage.Info) error {
		got[info.Name] = true
		return nil
	})
	if err != nil || len(got) != files {
		t.Errorf("%d files, %v", len(got), err)
	}
}

func TestReadOnlyAndNoBucket(t *testing.T) {
	server := storagetest.NewS3Server(t)
	opts := options(server)
	s := open(t, "s3:http://"+server.Addr+"/none", opts)
	h, data := file("x")
	if _, err := s.Stat(t.Context(), storage.Handle{Type: storage.Config}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("stat without a bucket: %v", err)
	}
	if err := s.List(t.Context(), storage.Data, nil); err != nil {
		t.Errorf("list without a bucket: %v", err)
	}
	if err := s.Save(t.Context(), h, data); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("save without a bucket: %v", err)
	}
	opts.ReadOnly = true
	s = open(t, "s3:http://"+server.Addr+"/none", opts)
	if err := s.Save(t.Context(), h, data); !errors.Is(err, storage.ErrReadOnly) {
		t.Errorf("save: %v", err)
	}
	if err := s.Remove(t.Context(), h); !errors.Is(err, storage.ErrReadOnly) {
		t.Errorf("remove: %v", err)
	}
}

// scripted is a server that keeps objects and treats conditions as it likes.
type scripted struct {
	condition string // honour, ignore, refuse
	full      bool

	mu      sync.Mutex
	objects map[string][]byte
	puts    []http.Header
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	problem := func(status int, code string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
	}
	data, there := s.objects[r.URL.Path]
	switch r.Method {
	case http.MethodHead:
		if !there {
			w.WriteHeader(404)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
	case http.MethodPut:
		body, _ := io.ReadAll(r.Body)
		s.puts = append(s.puts, r.Header)
		conditional := r.Header.Get("If-None-Match") == "*"
		switch {
		case s.full:
			problem(507, "XMinioStorageFull")
		case conditional && s.condition == "refuse":
			problem(501, "NotImplemented")
		case conditional && there && s.condition == "honour":
			problem(412, "PreconditionFailed")
		default:
			s.objects[r.URL.Path] = body
			w.Header().Set("ETag", `"x"`)
		}
	default:
		problem(400, "InvalidRequest")
	}
}

func play(t *testing.T, script *scripted, opts s3.Options) *s3.Store {
	t.Helper()
	script.objects = map[string][]byte{}
	server := httptest.NewServer(script)
	t.Cleanup(server.Close)
	opts.AccessKey, opts.SecretKey, opts.Region = "key", "secret", "r"
	return open(t, "s3:"+server.URL+"/bucket", opts)
}

func TestServersWithoutConditions(t *testing.T) {
	for condition, puts := range map[string]int{"honour": 5, "ignore": 3, "refuse": 3} {
		t.Run(condition, func(t *testing.T) {
			script := &scripted{condition: condition}
			s := play(t, script, s3.Options{})
			h, data := file("one")
			if err := s.Save(t.Context(), h, data); err != nil {
				t.Fatal(err)
			}
			if err := s.Save(t.Context(), h, data); !errors.Is(err, storage.ErrExists) {
				t.Errorf("again: %v", err)
			}
			h, data = file("two")
			if err := s.Save(t.Context(), h, data); err != nil {
				t.Error(err)
			}
			if err := s.Save(t.Context(), h, data); !errors.Is(err, storage.ErrExists) {
				t.Errorf("again: %v", err)
			}
			// Only a server that honours conditions is sent what it has.
			if len(script.puts) != puts {
				t.Errorf("%d puts", len(script.puts))
			}
		})
	}
}

func TestStorageClass(t *testing.T) {
	for class, forKeys := range map[string]string{"STANDARD_IA": "STANDARD_IA", "DEEP_ARCHIVE": ""} {
		script := &scripted{condition: "refuse"}
		s := play(t, script, s3.Options{StorageClass: class})
		h, data := file("one")
		key := storage.Handle{Type: storage.Key, Name: h.Name}
		for _, h := range []storage.Handle{key, h} {
			if err := s.Save(t.Context(), h, data); err != nil {
				t.Fatal(err)
			}
		}
		n := len(script.puts)
		if got := script.puts[n-2].Get("X-Amz-Storage-Class"); got != forKeys {
			t.Errorf("%s: a key has class %q", class, got)
		}
		if got := script.puts[n-1].Get("X-Amz-Storage-Class"); got != class {
			t.Errorf("%s: a pack has class %q", class, got)
		}
		if script.puts[n-1].Get("Content-Md5") == "" {
			t.Error("no Content-MD5")
		}
	}
}

func TestFullServer(t *testing.T) {
	s := play(t, &scripted{full: true}, s3.Options{})
	h, data := file("x")
	if err := s.Save(t.Context(), h, data); !errors.Is(err, storage.ErrNoSpace) || retry.Transient(err) {
		t.Errorf("%v", err)
	}
}
