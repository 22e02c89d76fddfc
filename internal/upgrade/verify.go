package upgrade

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/runbook"
	"lifeboat/internal/zypper"
)

// Outcome is what an upgrade has left: what a person should look at.
type Outcome struct {
	Release  string `json:"release"`
	Packages int    `json:"packages"`
	// Beside are files that were put beside edited ones: .rpmnew, .rpmsave, .rpmorig.
	Beside []string `json:"beside,omitempty"`
	// Orphans are packages that no package repository has any more.
	Orphans []string `json:"orphans,omitempty"`
	// Off are package repositories of the old release.
	Off []string `json:"off,omitempty"`
}

// outcomeName is the file of a run's directory with the Outcome.
const outcomeName = "outcome.json"

// verify sees that the host is the new release, wholly.
func (u *Upgrade) verify(ctx context.Context, task runbook.Task) error {
	found, err := u.present(ctx)
	name := found.Name()
	if err != nil {
		name = err.Error()
	}
	task.Check(runbook.Check{Name: "release", OK: err == nil && name == u.To.Name(), Expected: u.To.Name(), Found: name})
	z, err := u.zypper(ctx, true)
	if err != nil {
		return err
	}
	expected, err := kept[[]string](task, keptExpected)
	if err != nil {
		return err
	}
	list, err := z.Packages(ctx)
	if err != nil {
		return err
	}
	have := texts(list)
	task.Check(runbook.Check{Name: "packages", OK: slices.Equal(have, expected), Expected: fmt.Sprint(len(expected), " packages of the plan"), Found: told(expected, have)})
	if err := u.consistent(ctx, task, z); err != nil {
		return err
	}
	out := Outcome{Release: name, Packages: len(have)}
	if out.Orphans, err = z.Orphans(ctx); err != nil {
		return err
	}
	if err := u.repositories(ctx, task, &out); err != nil {
		return err
	}
	if _, err := task.Kept(keptBeside, &out.Beside); err != nil {
		return err
	}
	if err := u.beside(&out); err != nil {
		return err
	}
	return u.report(task, out)
}

// consistent sees that no package lacks what it needs.
func (u *Upgrade) consistent(ctx context.Context, task runbook.Task, z *zypper.Zypper) error {
	lacking, err := z.Inconsistent(ctx)
	if err != nil {
		return err
	}
	task.Check(runbook.Check{Name: "dependencies of packages", OK: len(lacking) == 0, Expected: "all are met", Found: strings.Join(lacking[:min(len(lacking), shown)], "; ")})
	return nil
}

// report keeps what a person should look at.
func (u *Upgrade) report(task runbook.Task, out Outcome) error {
	for _, name := range out.Beside {
		task.Logf("beside an edited file: %s", name)
	}
	for _, name := range out.Orphans {
		task.Logf("no package repository has %s", name)
	}
	if err := save(task, outcomeName, out); err != nil {
		return err
	}
	return task.Keep(keptOutcome, out)
}

func told(expected, have []string) string {
	if text := difference(expected, have); text != "" {
		return text
	}
	return fmt.Sprint(len(have), " packages")
}

// repositories sees that those of the new release are on and all others off.
func (u *Upgrade) repositories(ctx context.Context, task runbook.Task, out *Outcome) error {
	z, err := u.zypper(ctx, false)
	if err != nil {
		return err
	}
	list, err := z.Repositories()
	if err != nil {
		return err
	}
	var wrong []string
	for _, r := range u.Repositories {
		if !slices.ContainsFunc(list, func(h zypper.Repository) bool { return h.Alias == r.Alias && h.Enabled }) {
			wrong = append(wrong, r.Alias+" is not on")
		}
	}
	for _, h := range list {
		ours := slices.ContainsFunc(u.Repositories, func(r zypper.Repository) bool { return r.Alias == h.Alias })
		switch {
		case ours:
		case h.Enabled:
			wrong = append(wrong, h.Alias+" is still on")
		default:
			out.Off = append(out.Off, h.Alias)
		}
	}
	task.Check(runbook.Check{Name: "package repositories", OK: len(wrong) == 0, Expected: "those of " + u.To.Name() + " are on, the others off", Found: strings.Join(wrong, ", ")})
	return nil
}

// maxBeside bounds how many files beside edited ones are told.
const maxBeside = 10000

// beside adds what lies beside edited files of /etc: a killed zypper cannot tell.
func (u *Upgrade) beside(out *Outcome) error {
	dir, err := u.host.Path("/etc")
	if err != nil {
		return err
	}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || len(out.Beside) >= maxBeside {
			return nil //nolint:nilerr // what cannot be read is not listed
		}
		switch filepath.Ext(name) {
		case ".rpmnew", ".rpmsave", ".rpmorig":
			out.Beside = append(out.Beside, filepath.Join("/etc", strings.TrimPrefix(name, dir)))
		}
		return nil
	})
	slices.Sort(out.Beside)
	out.Beside = slices.Compact(out.Beside)
	return err
}
