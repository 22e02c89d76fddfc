// Package apt asks apt what an upgrade to another release of Debian would do to a root.
// The package lists of the new release are fetched into a directory of the caller; apt
// itself answers inside a sandbox, in which the root's sources are those of the new
// release already. Nothing of the root is changed, and nothing is installed anywhere:
// carrying an upgrade out must not enter.
package apt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"lifeboat/internal/host"
	"lifeboat/internal/sandbox"
	"lifeboat/internal/zypper"
)

// Options say what is asked.
type Options struct {
	Root     string // "/" for this machine, or where its root file system is mounted
	Dir      string // a private directory of the caller, which must be on a disk
	From, To string // code names of the two releases: bookworm, trixie
}

// Answer is what apt says.
type Answer struct {
	Transaction *zypper.Transaction `json:"transaction"` // nil where apt finds no way
	Conflicts   []string            `json:"conflicts"`   // for which it finds none, or what it must not remove
	Kept        []string            `json:"kept"`        // packages that stay old
	Left        []string            `json:"left"`        // sources of other suppliers, which are left out
}

// Simulate asks. It needs root, and the network or whatever else the sources name, for
// the package lists of the new release.
func Simulate(ctx context.Context, o Options) (a *Answer, err error) {
	if o.From == "" || o.To == "" {
		return nil, errors.New("ask apt: the code names of the releases are not known")
	}
	h, err := host.At(o.Root)
	if err != nil {
		return nil, err
	}
	etc, lists := filepath.Join(o.Dir, "etc"), filepath.Join(o.Dir, "lists")
	for _, dir := range []string{etc, filepath.Join(lists, "partial"), filepath.Join(o.Dir, "cache/archives/partial")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("ask apt: %w", err)
		}
	}
	left, err := switchSources(h, etc, o)
	if err != nil {
		return nil, err
	}
	at := func(name string) string { return filepath.Join(o.Root, name) }
	common := []string{
		"-o", "Dir=" + o.Root, "-o", "Dir::State::status=" + at("var/lib/dpkg/status"),
		"-o", "APT::Sandbox::User=root", "-o", "Dir::Log=" + o.Dir,
	}
	fetch := append(append([]string{"apt-get"}, common...),
		"-o", "Dir::Etc="+etc, "-o", "Dir::State::lists="+lists, "-o", "Dir::Cache="+filepath.Join(o.Dir, "cache"),
		"-o", "APT::Update::Error-Mode=any", "update")
	if out, err := run(ctx, host.Local().Run, fetch); err != nil {
		return nil, fmt.Errorf("fetch the package lists of %s: %w%s", o.To, err, said(out))
	}
	options := sandbox.Options{
		Dir: filepath.Join(o.Dir, "box"), DieWithParent: true, Volatile: true, Size: 4 << 30,
		Binds: []sandbox.Bind{{Source: etc, Target: at("etc/apt"), ReadOnly: true}, {Source: lists, Target: at("var/lib/apt/lists")}},
	}
	if o.Root != "/" {
		options.Covers = []sandbox.Cover{{Path: o.Root}}
	}
	box, err := sandbox.Create(ctx, options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, box.Destroy(context.WithoutCancel(ctx))) }()
	if err := box.Start(ctx); err != nil {
		return nil, err
	}
	a, err = ask(ctx, inside{box}, append([]string{"apt-get"}, common...))
	if err != nil {
		return nil, err
	}
	a.Left = append(a.Left, left...)
	return a, nil
}

// ask has apt answer twice: what it would do, and how much that is.
func ask(ctx context.Context, box inside, apt []string) (*Answer, error) {
	out, err := run(ctx, box.Run, append(apt[:len(apt):len(apt)], "--simulate", "dist-upgrade"))
	if err != nil && !ended(err) {
		return nil, fmt.Errorf("ask apt: %w%s", err, said(out))
	}
	a := read(out)
	if err != nil {
		if len(a.Conflicts) == 0 {
			return nil, fmt.Errorf("ask apt: %w%s", err, said(out))
		}
		a.Transaction = nil
		return a, nil
	}
	if out, err = run(ctx, box.Run, append(apt[:len(apt):len(apt)], "--yes", "--print-uris", "dist-upgrade")); err != nil {
		if ended(err) && len(a.Conflicts) > 0 {
			return a, nil // it will not say yes to what it was warned of
		}
		return nil, fmt.Errorf("ask apt for the sizes: %w%s", err, said(out))
	}
	a.sizes(out)
	return a, nil
}

// maxOutput bounds what apt says, in bytes.
const maxOutput = 64 << 20

func run(ctx context.Context, start func(context.Context, host.Command) error, args []string) ([]byte, error) {
	out := &limited{}
	err := start(ctx, host.Command{Args: args, Env: []string{"LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}, Stdout: out, Stderr: out})
	return out.Bytes(), err
}

// limited keeps the beginning of what is written.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxOutput - l.Len(); len(p) <= room {
		l.Buffer.Write(p)
	} else if room > 0 {
		l.Buffer.Write(p[:room])
	}
	return len(p), nil
}

// inside runs programs in a sandbox.
type inside struct{ box *sandbox.Sandbox }

func (i inside) Run(ctx context.Context, c host.Command) error {
	return i.box.Run(ctx, sandbox.Command{Args: c.Args, Env: c.Env, Stdout: c.Stdout, Stderr: c.Stderr})
}

// ended tells a program that ended badly from one that could not be run.
func ended(err error) bool {
	var exit *exec.ExitError
	var code *host.ExitError
	return (errors.As(err, &exit) || errors.As(err, &code)) && !errors.Is(err, sandbox.ErrEnded)
}
