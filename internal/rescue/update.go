package rescue

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/host"
	"lifeboat/internal/rescue/bundle"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/runbook"
)

// DefaultPrefix is below which bundles are unpacked, each in a directory of its
// version.
const DefaultPrefix = "/var/lib/lifeboat/rescue"

// Update brings the running rescue system up to date. All fields are needed.
type Update struct {
	Root    string // of the rescue system, "/" but in tests
	Prefix  string
	Kernel  string // release of the running kernel
	Program string // where the program that runs now stands
	// Run runs a command of the system.
	Run func(ctx context.Context, args ...string) error
	// Try tells whether a program of a bundle works here.
	Try  func(ctx context.Context, program string) error
	Tell func(Event)
	Now  time.Time
}

// Updated is what an update has done.
type Updated struct {
	Version  int64    `json:"version"`
	Dir      string   `json:"directory"`
	Program  string   `json:"program,omitempty"` // the new one; "" if the bundle has none
	Previous string   `json:"previous,omitempty"`
	SHA256   string   `json:"sha256,omitempty"` // of the new program
	Modules  int      `json:"modules"`
	Firmware bool     `json:"firmware"`
	Tools    string   `json:"tools,omitempty"` // directory for PATH
	Profiles []Placed `json:"profiles,omitempty"`
	Skipped  []string `json:"skipped,omitempty"` // kernels that do not run here
}

// Apply unpacks a bundle, tries its program, and only then changes the system: the
// modules of the running kernel, firmware, profiles, tools, and the program last. What
// was there is kept. An error before that leaves everything as it was.
func (u Update) Apply(ctx context.Context, r *bundle.Reader) (*Updated, error) {
	done := &Updated{Version: r.Manifest.Version}
	for _, k := range r.Manifest.Kernels() {
		if k != u.Kernel {
			done.Skipped = append(done.Skipped, k)
		}
	}
	dir, err := u.unpack(r)
	if err != nil {
		return nil, refuseBundle(err)
	}
	defer os.RemoveAll(dir) // it has another name by then, unless something failed
	program := filepath.Join(dir, bundle.Program)
	if _, err := os.Lstat(program); err == nil {
		u.Tell(Event{Name: "self-test", Text: "the new program is tried"})
		if err := u.Try(ctx, program); err != nil {
			return nil, fmt.Errorf("the new program does not work here, and the old one stays: %w", err)
		}
	}
	done.Dir = filepath.Join(u.Prefix, strconv.FormatInt(done.Version, 10))
	if err := replaceDir(dir, done.Dir); err != nil {
		return nil, fmt.Errorf("keep the bundle: %w", err)
	}
	if err := u.modules(ctx, done); err != nil {
		return nil, err
	}
	if err := u.profiles(done); err != nil {
		return nil, err
	}
	if isDir(filepath.Join(done.Dir, "tools")) {
		done.Tools = filepath.Join(done.Dir, "tools")
	}
	return done, u.program(r.Manifest, done)
}

// refuseBundle gives what must not be used its exit code.
func refuseBundle(err error) error {
	for _, e := range []error{bundle.ErrContent, bundle.ErrDiffers, bundle.ErrExpired, bundle.ErrOlder, bundle.ErrArch} {
		if errors.Is(err, e) {
			return runbook.Refuse("", "%v; nothing was changed", err)
		}
	}
	return refused(err, "nothing was changed")
}

// OpenBundle opens a bundle for Apply.
func OpenBundle(from io.Reader, e bundle.Expected) (*bundle.Reader, error) {
	r, err := bundle.Open(from, e)
	if err != nil {
		return nil, refuseBundle(err)
	}
	return r, nil
}

// unfinished begins the names of directories that a killed update leaves.
const unfinished = ".new-"

func (u Update) unpack(r *bundle.Reader) (string, error) {
	if err := os.MkdirAll(u.Prefix, 0o700); err != nil {
		return "", fmt.Errorf("unpack the bundle: %w", err)
	}
	if left, err := filepath.Glob(filepath.Join(u.Prefix, unfinished+"*")); err == nil {
		for _, dir := range left {
			_ = os.RemoveAll(dir)
		}
	}
	dir, err := os.MkdirTemp(u.Prefix, unfinished)
	if err != nil {
		return "", fmt.Errorf("unpack the bundle: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	ours := "modules/" + u.Kernel + "/"
	err = errors.Join(r.Unpack(root, func(f bundle.File) bool {
		return !strings.HasPrefix(f.Path, "modules/") || strings.HasPrefix(f.Path, ours)
	}), root.Close())
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// replaceDir gives a directory its name; one that has it makes room.
func replaceDir(from, to string) error {
	old := filepath.Join(filepath.Dir(to), unfinished+"old-"+rand.Text())
	err := os.Rename(to, old)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return errors.Join(err, ignoreMissing(os.Rename(old, to)))
	}
	return os.RemoveAll(old)
}

// profiles puts the bundle's profiles beside those of the site.
func (u Update) profiles(done *Updated) error {
	list, err := filepath.Glob(filepath.Join(done.Dir, "profiles", "*.yaml"))
	if err != nil || len(list) == 0 {
		return err
	}
	var files []configuration.File
	for _, name := range list {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files = append(files, configuration.File{Path: "/etc/lifeboat/profiles/" + filepath.Base(name), Mode: 0o600, Content: text})
	}
	done.Profiles, err = Place(u.Root, files, u.Now)
	return err
}

// program puts the new program in the place of the one that runs, which is kept, and
// leaves both where that place cannot be written.
func (u Update) program(m *bundle.Manifest, done *Updated) error {
	from := filepath.Join(done.Dir, bundle.Program)
	for _, f := range m.Files {
		if f.Path == bundle.Program {
			done.Program, done.SHA256 = from, f.SHA256
		}
	}
	if done.Program == "" {
		return nil
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("put the new program in place: %w", err)
	}
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != done.SHA256 {
		return runbook.Refuse("", "%s is not what was unpacked", from)
	}
	if now, err := os.ReadFile(u.Program); err == nil && bytes.Equal(now, text) {
		return nil
	}
	kept := u.Program + ".previous"
	next := filepath.Join(filepath.Dir(u.Program), ".lifeboat-"+rand.Text())
	if err := writeProgram(next, text); err != nil {
		u.Tell(Event{Name: "warning", Text: fmt.Sprintf("%s cannot be replaced (%v); the new program is %s", u.Program, err, from)})
		return nil
	}
	err = ignoreMissing(os.Remove(kept))
	if err == nil {
		err = os.Link(u.Program, kept)
	}
	if err == nil {
		err = os.Rename(next, u.Program)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("put the new program in place: %w", err), ignoreMissing(os.Remove(next)))
	}
	done.Previous = kept
	return nil
}

func writeProgram(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(0o755)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// SelfTest runs a program's own test: it must say a number back that nobody knows
// before.
func SelfTest(ctx context.Context, program string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	number := rand.Text()
	var out bytes.Buffer
	err := host.Local().Run(ctx, host.Command{Args: []string{program, "rescue", "self-test", number}, Stdout: &limited{to: &out, left: 64 << 10}})
	if err != nil {
		return err
	}
	if !strings.Contains(out.String(), "works "+number) {
		return errors.New("it says nothing that makes sense")
	}
	return nil
}

type limited struct {
	to   io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errors.New("it prints without end")
	}
	return l.to.Write(p)
}
