package sles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// run runs a program of the machine to its end. What it said is in the error.
func run(ctx context.Context, dir string, env []string, name string, args ...string) error {
	_, err := output(ctx, dir, env, name, args...)
	return err
}

func output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	// What is built is the same for any umask of the caller.
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `umask 022; exec "$@"`, "sh", name}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.Env = append(cmd.Env, env...)
	cmd.WaitDelay = 10 * time.Second // an agent it has started may hold its output
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return out.String(), fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String(), nil
}

// environment is what zypper and rpm of Debian need to act on a root as those of
// SUSE do: Debian's rpm has its database in the home directory, and zypper's log
// would be the machine's.
func (l *Lab) environment() []string {
	return []string{
		"HOME=" + l.Home, "ZYPP_LOGFILE=" + filepath.Join(l.Dir, "zypper.log"), "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
	}
}

// Zypper runs the real zypper on the root, without questions, and returns what
// it printed. An exit code other than 0 is an *exec.ExitError.
func (l *Lab) Zypper(ctx context.Context, args ...string) (string, error) {
	return output(ctx, "", l.environment(), "zypper", append([]string{"--root", l.Root, "--non-interactive"}, args...)...)
}

// RPM runs the real rpm on the root.
func (l *Lab) RPM(ctx context.Context, args ...string) (string, error) {
	return output(ctx, "", l.environment(), "rpm", append([]string{"--root", l.Root}, args...)...)
}

// Packages are the names, versions and releases of all installed packages, in
// order. Signing keys are no packages.
func (l *Lab) Packages(ctx context.Context) ([]string, error) {
	out, err := l.RPM(ctx, "-qa", "--queryformat", `%{NAME}-%{VERSION}-%{RELEASE}\n`)
	if err != nil {
		return nil, err
	}
	return sortedPackages(out), nil
}
