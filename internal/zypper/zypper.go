// Package zypper drives zypper and rpm on one root: package repositories, locks,
// products, packages, and the distribution upgrade as a simulation, a download, a
// check for conflicts and the real thing. What the programs say is read from
// zypper's XML, their exit codes have names, and nothing is under way any more when a
// call returns. No path of upgrades, no policy and no profile knowledge may enter.
//
// What the programs do was measured with zypper 1.14.42, libzypp 17.25.7 and rpm 4.18;
// options and exit codes are those of zypper(8).
package zypper

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"lifeboat/internal/host"
)

// maxOutput bounds what one call may print, in bytes.
const maxOutput = 256 << 20

// Runner starts programs: *host.Host does, and so does what runs them in a sandbox.
type Runner interface {
	Run(ctx context.Context, c host.Command) error
}

// Options say how zypper is driven. Only Root is needed.
type Options struct {
	// Root is the tree that is acted on, "/" for the running system.
	Root string
	// Runner starts the programs; nil is this machine.
	Runner Runner
	// Files is where this process finds the root's files when that is not Root:
	// a sandbox has it elsewhere. "" is Root.
	Files string
	// Dir is a directory of the caller for zypper's log and for what corrects rpm's
	// place of its database. "" writes no log and corrects nothing.
	Dir string
	// Release is what $releasever stands for, "" for what the root says.
	Release string
	// Lock is inherited by each program, so that whoever waits for it waits for them.
	Lock *os.File
	// Database is where rpm's database is below the root; "" looks.
	Database string
	// Apart is a directory of the caller for package repositories and caches that are
	// used instead of the root's: what is planned, downloaded and tried with them
	// leaves the root as it is, but for /run and locks. Offer fills it.
	Apart string
}

// Zypper is the package manager of one root. It keeps no state of its own; two calls
// that change the root must not run at a time.
type Zypper struct {
	o    Options
	mark string
}

// New returns the package manager of a root, which must be an absolute path.
func New(o Options) (*Zypper, error) {
	if !filepath.IsAbs(o.Root) {
		return nil, fmt.Errorf("the root %q is not an absolute path", o.Root)
	}
	o.Root = filepath.Clean(o.Root)
	if o.Runner == nil {
		o.Runner = host.Local()
	}
	if o.Files == "" {
		o.Files = o.Root
	}
	info, err := os.Stat(o.Files)
	if err != nil {
		return nil, fmt.Errorf("the root %s: %w", o.Root, err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() {
		return nil, fmt.Errorf("the root %s is no directory", o.Root)
	}
	z := &Zypper{o: o, mark: fmt.Sprintf("%s=%d:%d", markName, stat.Dev, stat.Ino)}
	if o.Dir == "" {
		return z, nil
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("zypper: %w", err)
	}
	return z, z.correct()
}

// At returns the same with $releasever standing for another release.
func (z *Zypper) At(release string) *Zypper {
	other := *z
	other.o.Release = release
	return &other
}

// Log is the file of zypper's own log, "" when it writes none of ours.
func (z *Zypper) Log() string {
	if z.o.Dir == "" {
		return ""
	}
	return filepath.Join(z.o.Dir, "zypper.log")
}

// databases are where rpm's database may be, the older place first.
var databases = []string{"/var/lib/rpm", "/usr/lib/sysimage/rpm"}

// correct writes what has rpm find the root's database: some distributions' rpm looks
// in the home directory (Debian), or at a place that the target does not use.
func (z *Zypper) correct() error {
	if z.o.Database == "" {
		z.o.Database = databases[0]
		for _, dir := range databases {
			// The new place is a directory, the old one then a link to it.
			if info, err := os.Lstat(filepath.Join(z.o.Files, dir)); err == nil && info.IsDir() {
				z.o.Database = dir
			}
		}
	}
	text := "%_dbpath " + z.o.Database + "\n"
	name := filepath.Join(z.o.Dir, ".rpmmacros")
	if have, err := os.ReadFile(name); err == nil && string(have) == text {
		return nil
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		return fmt.Errorf("zypper: %w", err)
	}
	return nil
}

func (z *Zypper) environment() []string {
	env := []string{z.mark}
	if z.o.Dir != "" {
		env = append(env, "HOME="+z.o.Dir, "ZYPP_LOGFILE="+z.Log())
	}
	return env
}

func (z *Zypper) files() []*os.File {
	if z.o.Lock == nil {
		return nil
	}
	return []*os.File{z.o.Lock}
}

// call runs zypper with global options, and reads what it says. The error is an *Error
// when zypper ran and did not end with 0; what was read is returned with it.
func (z *Zypper) call(ctx context.Context, global []string, command ...string) (*Result, error) {
	args := append(z.arguments("--xmlout"), append(global, command...)...)
	if err := z.quiet(ctx); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err := z.o.Runner.Run(ctx, host.Command{
		Args: args, Env: z.environment(), Stdout: &limited{w: &out, left: maxOutput}, Files: z.files(),
	})
	if idle := z.Idle(context.WithoutCancel(ctx)); idle != nil {
		err = errors.Join(err, idle)
	}
	result, readErr := read(out.Bytes())
	if result == nil {
		result = &Result{}
	}
	result.Args = args
	var exit *host.ExitError
	switch {
	case errors.As(err, &exit):
		result.Code = exit.Code
		return result, &Error{Result: result, Signal: exit.Signal, Stderr: exit.Stderr}
	case err != nil:
		return result, fmt.Errorf("zypper %s: %w", strings.Join(command, " "), err)
	case readErr != nil:
		return result, fmt.Errorf("zypper %s: its output: %w", strings.Join(command, " "), readErr)
	}
	return result, nil
}

// arguments are those of every call.
func (z *Zypper) arguments(more ...string) []string {
	args := []string{"zypper", "--root", z.o.Root, "--non-interactive"}
	if z.o.Release != "" {
		args = append(args, "--releasever", z.o.Release)
	}
	if z.o.Apart != "" {
		args = append(args, "--reposd-dir", filepath.Join(z.o.Apart, "repos.d"), "--cache-dir", filepath.Join(z.o.Apart, "cache"),
			"--solv-cache-dir", z.Volatile())
	}
	return append(args, more...)
}

// Volatile is where the solver's cache of Apart is. libzypp puts that of the installed
// packages below the root at the same place, so it is one that no root keeps.
func (z *Zypper) Volatile() string {
	sum := sha256.Sum256([]byte(z.o.Apart))
	return "/run/lifeboat/zypper-" + hex.EncodeToString(sum[:6])
}

// Forget removes what Apart has left, in it and below /run.
func (z *Zypper) Forget() error {
	if z.o.Apart == "" {
		return nil
	}
	h, err := host.At(z.o.Files)
	if err != nil {
		return err
	}
	below, err := h.Path(z.Volatile())
	if err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(z.o.Apart), os.RemoveAll(z.Volatile()), os.RemoveAll(below))
}

// query runs rpm on the root's database and returns what it prints.
func (z *Zypper) query(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	err := z.o.Runner.Run(ctx, host.Command{
		Args: append([]string{"rpm", "--root", z.o.Root}, args...), Env: z.environment(),
		Stdout: &limited{w: &out, left: maxOutput}, Files: z.files(),
	})
	return out.String(), err
}

type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, errors.New("more output than expected")
	}
	l.left -= len(p)
	return l.w.Write(p)
}
