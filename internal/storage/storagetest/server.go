package storagetest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// Need skips a test when a program is missing, and returns its path.
func Need(t *testing.T, program, debianPackage string) string {
	t.Helper()
	for _, name := range []string{program, "/usr/sbin/" + program, "/usr/lib/openssh/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skipf("needs %s: apt-get install %s", program, debianPackage)
	return ""
}

// freeAddr is an address on loopback that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs a server until the test ends and waits until it listens.
func start(t *testing.T, addr string, cmd *exec.Cmd) {
	t.Helper()
	var out bytes.Buffer
	var mu sync.Mutex
	cmd.Stdout = lockedWriter{&mu, &out}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			mu.Lock()
			defer mu.Unlock()
			text := out.Bytes()
			t.Logf("%s said last:\n%s", filepath.Base(cmd.Path), text[max(0, len(text)-4000):])
		}
	})
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-ended:
			mu.Lock()
			defer mu.Unlock()
			t.Fatalf("%s ended: %v\n%s", cmd.Path, err, out.Bytes())
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  *bytes.Buffer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// Versitygw is the S3 server of the tests, pinned.
const (
	versitygwModule  = "github.com/versity/versitygw"
	versitygwVersion = "v1.8.0"
)

// versitygw returns the program. It is built once, which takes minutes, and
// kept in the user's cache; a short test run does not build it.
func versitygw(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("needs a cache directory for versitygw: %v", err)
	}
	dir := filepath.Join(cache, "lifeboat", "tools", "versitygw-"+versitygwVersion)
	program := filepath.Join(dir, "versitygw")
	if _, err := os.Stat(program); err == nil {
		return program
	}
	if testing.Short() && os.Getenv("CI") == "" {
		t.Skip("needs versitygw, an S3 server: run once without -short, which builds it")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	if _, err := os.Stat(program); err == nil {
		return program
	}
	cmd := exec.Command("go", "install", fmt.Sprintf("%s/cmd/versitygw@%s", versitygwModule, versitygwVersion))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("needs versitygw, an S3 server, which cannot be built: %v: %s", err, out[max(0, len(out)-500):])
	}
	return program
}

// S3Server is a real S3 server with files below a directory.
type S3Server struct {
	Addr                 string
	AccessKey, SecretKey string
	Dir                  string // its buckets are the directories in it
}

// NewS3Server starts versitygw; args are global options of it.
func NewS3Server(t *testing.T, args ...string) S3Server {
	t.Helper()
	return newS3Server(t, args)
}

// NewVersioningS3Server starts versitygw with versions of objects, as other
// servers keep them in buckets with object lock.
func NewVersioningS3Server(t *testing.T) S3Server {
	t.Helper()
	return newS3Server(t, nil, "--versioning-dir", t.TempDir())
}

func newS3Server(t *testing.T, args []string, backend ...string) S3Server {
	t.Helper()
	program := versitygw(t)
	s := S3Server{Addr: freeAddr(t), AccessKey: "lifeboat", SecretKey: "a secret of the test", Dir: t.TempDir()}
	args = append([]string{"--port", s.Addr, "--quiet", "--region", "us-east-1"}, args...)
	args = append(append(append(args, "posix"), backend...), s.Dir)
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
	start(t, s.Addr, cmd)
	return s
}
