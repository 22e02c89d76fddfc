package upgrade

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
	"lifeboat/internal/sandbox"
	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/zypper"
)

// Rehearsed is what the rehearsal found.
type Rehearsed struct {
	Code       int                `json:"code"` // zypper's exit code
	Scriptlets []zypper.Scriptlet `json:"scriptlets,omitempty"`
	Packages   int                `json:"packages"` // installed afterwards
}

// rehearse runs the transaction itself, from the packages that were downloaded, on the
// root as an overlay: scripts that fail are found while the root is untouched. Network
// and services are not there, as in any root that zypper changes from outside.
func (u *Upgrade) rehearse(ctx context.Context, task runbook.Task) (err error) {
	dir := filepath.Join(task.Dir(), "rehearsal")
	if err := sandbox.Remove(ctx, dir); err != nil { // what a killed one has left
		return err
	}
	var planned zypper.Transaction
	if err := load(task, transactionName, &planned); err != nil {
		return err
	}
	options := sandbox.Options{
		Dir: dir, Covers: []sandbox.Cover{{Path: u.apart()}}, DieWithParent: true, Volatile: true,
		// The file is sparse. Packages unpack to several times what they weigh.
		Size: sandbox.DefaultSize + 8*planned.Download + max(planned.Space, 0),
	}
	if u.Root == "/" {
		// Packages that own /sys have rpm change its mode, which a sandbox forbids.
		empty := filepath.Join(task.Dir(), "sys")
		if err := os.MkdirAll(empty, 0o755); err != nil {
			return fmt.Errorf("rehearse: %w", err)
		}
		options.Binds = append(options.Binds, sandbox.Bind{Source: empty, Target: "/sys"})
	} else {
		options.Covers = append(options.Covers, sandbox.Cover{Path: u.Root, System: true})
	}
	box, err := sandbox.Create(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Destroy(context.WithoutCancel(ctx))) }()
	if err := box.Start(ctx); err != nil {
		return err
	}
	z, err := zypper.New(zypper.Options{
		Root: u.Root, Dir: filepath.Join(u.apart(), "home"), Apart: filepath.Join(u.apart(), "apart"),
		Release: releasever(u.To), Runner: inside{box},
	})
	if err != nil {
		return err
	}
	r, err := z.Upgrade(ctx, u.Terms)
	if err := u.judgeScripts(task, "the rehearsal", r, err); err != nil {
		return fmt.Errorf("the rehearsal, of which the host has noticed nothing: %w", err)
	}
	if err := u.compare(ctx, task, z); err != nil {
		return fmt.Errorf("after the rehearsal, of which the host has noticed nothing: %w", err)
	}
	if err := u.arrived(box); err != nil {
		return fmt.Errorf("after the rehearsal, of which the host has noticed nothing: %w", err)
	}
	expected, err := kept[[]string](task, keptExpected)
	if err != nil {
		return err
	}
	return task.Keep(keptRehearsal, Rehearsed{Code: r.Code, Scriptlets: r.Scriptlets, Packages: len(expected)})
}

// judgeScripts takes the end of a transaction for what it is: a failure, scripts that
// have failed with all packages in place, or success.
func (u *Upgrade) judgeScripts(task runbook.Task, where string, r *zypper.Result, err error) error {
	var ended *zypper.Error
	if err != nil && (!errors.As(err, &ended) || !zypper.Complete(ended.Code)) {
		return err
	}
	for _, s := range r.Scriptlets {
		text := fmt.Sprintf("%%%s of %s", s.Phase, s.Package)
		if s.Status >= 0 {
			text += fmt.Sprintf(" (exit code %d)", s.Status)
		}
		task.Check(runbook.Check{
			Name: "scripts of packages", Expected: "all succeed", Found: text + " failed in " + where, Warning: u.Scripts == Warn,
			Hint: "--scripts warn goes on all the same",
		})
	}
	switch {
	case r.Code == zypper.ExitScriptlet && len(r.Scriptlets) == 0:
		task.Check(runbook.Check{Name: "scripts of packages", Expected: "all succeed", Found: "zypper: " + zypper.Meaning(r.Code), Warning: u.Scripts == Warn})
	case r.Code == zypper.ExitReboot, r.Code == zypper.ExitRestart:
		task.Logf("zypper: %s", zypper.Meaning(r.Code))
	}
	if u.Scripts != Warn && (len(r.Scriptlets) > 0 || r.Code == zypper.ExitScriptlet) {
		return fmt.Errorf("scripts of packages failed: %s", scripts(r))
	}
	return nil
}

func scripts(r *zypper.Result) string {
	text := ""
	for _, s := range r.Scriptlets {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%%%s of %s", s.Phase, s.Package)
	}
	if text == "" {
		text = r.Said()
	}
	return text
}

// compare sees that exactly the expected packages are installed, and lack nothing.
func (u *Upgrade) compare(ctx context.Context, task runbook.Task, z *zypper.Zypper) error {
	expected, err := kept[[]string](task, keptExpected)
	if err != nil {
		return err
	}
	list, err := z.Packages(ctx)
	if err != nil {
		return err
	}
	if have := texts(list); !slices.Equal(have, expected) {
		return fmt.Errorf("the installed packages are not those of the plan: %s", difference(expected, have))
	}
	lacking, err := z.Inconsistent(ctx)
	if err != nil {
		return err
	}
	if len(lacking) > 0 {
		return fmt.Errorf("installed packages lack what they need: %s", lacking[0])
	}
	return nil
}

// arrived sees that what stands in the sandbox now is the wanted release, by its own
// files: what package metadata has said of it is a promise.
func (u *Upgrade) arrived(box *sandbox.Sandbox) error {
	pid, err := box.Pid()
	if err != nil {
		return err
	}
	h, err := host.At(filepath.Join("/proc", strconv.Itoa(pid), "root", u.Root))
	if err != nil {
		return err
	}
	return released(u.Catalogue, facts.Identify(h), u.To)
}

// released tells whether the files of a root say that it is a release, all of them.
func released(c *path.Catalogue, f *facts.Facts, to path.Release) error {
	found, err := c.Find(f.Release.ID, f.Release.Version, f.Release.SP, f.Arch)
	if err != nil {
		return fmt.Errorf("it is not %s: %w", to.Name(), err)
	}
	if found.Name() != to.Name() {
		return fmt.Errorf("it is not %s, but %s (%s)", to.Name(), found.Name(), f.Release.Source)
	}
	for _, p := range f.Products {
		if r, ok := c.Known(p.Name, p.Version); c.Knows(p.Name) && (!ok || r.Name() != to.Name()) {
			return fmt.Errorf("it is not %s: /etc/products.d has %s %s", to.Name(), p.Name, p.Version)
		}
	}
	return nil
}

// inside runs programs in a sandbox.
type inside struct{ box *sandbox.Sandbox }

// Run runs a program as host.Host does.
func (i inside) Run(ctx context.Context, c host.Command) error {
	err := i.box.Run(ctx, sandbox.Command{Args: c.Args, Dir: c.Dir, Env: c.Env, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr})
	var exit *exec.ExitError
	if !errors.As(err, &exit) || errors.Is(err, sandbox.ErrEnded) {
		return err
	}
	e := &host.ExitError{Args: c.Args, Code: exit.ExitCode()}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = status.Signal().String()
	}
	return e
}
