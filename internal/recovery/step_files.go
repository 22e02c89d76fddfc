package recovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
)

// OwnerOptions gives a path an owner and a group by name.
type OwnerOptions struct {
	Path      string `yaml:"path" json:"path"`
	Owner     string `yaml:"owner,omitempty" json:"owner,omitempty"`
	Group     string `yaml:"group,omitempty" json:"group,omitempty"`
	Recursive bool   `yaml:"recursive,omitempty" json:"recursive,omitempty"`
}

func ownerStep() StepType {
	return StepType{
		Definition: profile.Definition{
			Summary: "sets owner and group by name",
			Options: func() any { return &OwnerOptions{} },
		},
		Target: func(o any) string { return o.(*OwnerOptions).Path },
		Compile: func(r *Recovery, o any) (runbook.Step, error) {
			opts := o.(*OwnerOptions)
			names := opts.Owner + ":" + opts.Group
			flag := ""
			if opts.Recursive {
				flag = "-R "
			}
			return runbook.Step{
				Title:  "Owner of " + opts.Path + " is " + names,
				Repeat: runbook.RepeatSafe,
				Hand:   "```sh\n" + r.ifThere(opts.Path) + "chown -h " + flag + quote(names) + " " + quote(opts.Path) + "\n```\n",
				When:   r.exists(opts.Path), Arrives: r.brings(opts.Path),
				Run: func(ctx context.Context, task runbook.Task) error {
					uid, gid, err := r.ids(opts.Owner, opts.Group)
					if err != nil {
						return err
					}
					changed, err := r.Host.Chown(ctx, opts.Path, uid, gid, opts.Recursive)
					task.Logf("%d of the entries below %s had another owner", changed, opts.Path)
					return err
				},
			}, nil
		},
	}
}

// ids resolves names; -1 leaves an id as it is.
func (r *Recovery) ids(owner, group string) (uid, gid int, err error) {
	uid, gid = -1, -1
	if owner != "" {
		u, err := r.Host.User(owner)
		if err != nil {
			return 0, 0, fmt.Errorf("%w (is the product installed on this machine?)", err)
		}
		uid = int(u.UID)
	}
	if group != "" {
		g, err := r.Host.GroupID(group)
		if err != nil {
			return 0, 0, fmt.Errorf("%w (is the product installed on this machine?)", err)
		}
		gid = int(g)
	}
	return uid, gid, nil
}

// brings tells whether the recovery puts something at, above or below a path.
func (r *Recovery) brings(path string) bool {
	within := func(path, top string) bool { return path == top || strings.HasPrefix(path, top+"/") }
	return slices.ContainsFunc(r.Manifest.Components, func(c component.Record) bool {
		return c.Status == component.StatusCaptured && r.wanted(c.Name) &&
			slices.ContainsFunc(c.Paths, func(p string) bool { return within(path, p) || within(p, path) })
	})
}

// exists makes a step apply only where a path is there.
func (r *Recovery) exists(path string) func(context.Context) (bool, string, error) {
	return func(context.Context) (bool, string, error) {
		p, err := r.Host.Path(path)
		if err != nil {
			return false, "", err
		}
		if _, err := os.Lstat(p); errors.Is(err, os.ErrNotExist) {
			return false, path + " is not there", nil
		} else if err != nil {
			return false, "", err
		}
		return true, "", nil
	}
}

// ACLOptions sets entries of a POSIX ACL by name, as setfacl -m takes them.
type ACLOptions struct {
	Path string   `yaml:"path" json:"path"`
	Set  []string `yaml:"set" json:"set"`
}

func aclStep() StepType {
	return StepType{
		Definition: profile.Definition{
			Summary: "sets POSIX ACL entries by name",
			Options: func() any { return &ACLOptions{} },
		},
		Target: func(o any) string { return o.(*ACLOptions).Path },
		Compile: func(r *Recovery, o any) (runbook.Step, error) {
			opts := o.(*ACLOptions)
			args := []string{"setfacl", "-m", strings.Join(opts.Set, ","), "--", opts.Path}
			return runbook.Step{
				Title:  "ACL of " + opts.Path + " has " + strings.Join(opts.Set, ", "),
				Repeat: runbook.RepeatSafe,
				Hand:   "```sh\n" + r.ifThere(opts.Path) + quoteAll(r.aclByHand(opts)) + "\n```\n",
				When:   r.exists(opts.Path), Arrives: r.brings(opts.Path),
				Run: func(ctx context.Context, task runbook.Task) error {
					return r.run(ctx, task, args, "", 0)
				},
			}, nil
		},
	}
}

// aclByHand also takes away the entries of the lost machine's numbers, which stock
// tools restore and which may be somebody else's on this machine.
func (r *Recovery) aclByHand(opts *ACLOptions) []string {
	args := []string{"setfacl"}
	for _, entry := range opts.Set {
		tag, rest, _ := strings.Cut(entry, ":")
		name, _, _ := strings.Cut(rest, ":")
		names := r.Manifest.Owners.Users
		if strings.HasPrefix(tag, "g") {
			names = r.Manifest.Owners.Groups
		}
		for _, id := range slices.Sorted(maps.Keys(names)) {
			if names[id] == name && id != 0 {
				args = append(args, "-x", fmt.Sprintf("%s:%d", tag, id))
			}
		}
	}
	return append(args, "-m", strings.Join(opts.Set, ","), "--", opts.Path)
}

// WriteOptions is a small file written whole.
type WriteOptions struct {
	Path    string `yaml:"path" json:"path"`
	Content string `yaml:"content" json:"content"`
	Mode    string `yaml:"mode,omitempty" json:"mode,omitempty"` // octal text; default 0644
	Owner   string `yaml:"owner,omitempty" json:"owner,omitempty"`
	Group   string `yaml:"group,omitempty" json:"group,omitempty"`
}

// Validate refuses a mode that is no octal number.
func (o *WriteOptions) Validate() error {
	_, err := o.mode()
	return err
}

func (o *WriteOptions) mode() (os.FileMode, error) {
	if o.Mode == "" {
		return 0o644, nil
	}
	m, err := strconv.ParseUint(o.Mode, 8, 12)
	if err != nil {
		return 0, fmt.Errorf("mode %q is no octal number", o.Mode)
	}
	return os.FileMode(m), nil
}

func writeStep() StepType {
	return StepType{
		Definition: profile.Definition{
			Summary: "writes a small file, the present one being set aside",
			Options: func() any { return &WriteOptions{} },
		},
		Target: func(o any) string { return o.(*WriteOptions).Path },
		Compile: func(r *Recovery, o any) (runbook.Step, error) {
			opts := o.(*WriteOptions)
			aside := func(task runbook.Task) string {
				return filepath.Join(task.Dir(), "written", slug(opts.Path))
			}
			return runbook.Step{
				Title:   "Write " + opts.Path,
				Repeat:  runbook.RepeatSafe,
				Effects: []string{opts.Path},
				Hand:    "Write this to `" + opts.Path + "`:\n\n```\n" + opts.Content + "\n```\n",
				Run: func(_ context.Context, task runbook.Task) error {
					mode, err := opts.mode()
					if err != nil {
						return err
					}
					uid, gid, err := r.ids(opts.Owner, opts.Group)
					if err != nil {
						return err
					}
					return r.Host.WriteFile(opts.Path, []byte(opts.Content), host.WriteOptions{Mode: mode, UID: uid, GID: gid, Aside: aside(task)})
				},
				Undo: func(_ context.Context, task runbook.Task) error {
					if err := r.keepEdited(task, "written files", opts.Path); err != nil {
						return err
					}
					return r.Host.UnwriteFile(opts.Path, aside(task))
				},
			}, nil
		},
	}
}
