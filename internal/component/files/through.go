package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"lifeboat/internal/component"
	"lifeboat/internal/component/aside"
	"lifeboat/internal/repository"
)

// errLink says that a symbolic link of the machine cannot be written through.
var errLink = errors.New("make what it leads to, or remove the link, and restore again")

// place is where a path of the point, with node there, is written. A symbolic link of
// this machine at the path of a directory is its administrator's word on which disk
// the data belong to: they go to where it leads, and through is true. A link that the
// point itself may have brought is no such word.
func (c *Component) place(ctx context.Context, source component.Source, path string, node *repository.Node) (entry string, through bool, err error) {
	if entry, err = c.env.Host.Entry(path); err != nil || node.Type != repository.Dir {
		return entry, false, err
	}
	target, err := os.Readlink(entry)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTDIR) {
		return entry, false, nil
	}
	if err != nil {
		return "", false, err
	}
	refuse := func(why string) (string, bool, error) {
		return "", false, fmt.Errorf("it is a symbolic link to %s on this machine, %s; %w", Shown(target), why, errLink)
	}
	on := hops(c.env.Host, path)
	if len(on) == 0 {
		return refuse("and nothing is there (is a disk not mounted?)")
	}
	for _, hop := range on {
		for above := hop; above != "/"; above = filepath.Dir(above) {
			if n, err := Node(ctx, source, above); err == nil && n.Type == repository.Symlink {
				return refuse("on whose way the recovery point has a link of its own, " + Shown(above))
			} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", false, err
			}
		}
	}
	last := on[len(on)-1]
	real, err := c.env.Host.Entry(last)
	if err != nil {
		return "", false, err
	}
	if info, err := os.Lstat(real); err != nil || !info.IsDir() || last == "/" {
		return refuse("which is no directory that the data could be put into")
	}
	return real, true, nil
}

// leadsTo is the directory that a symbolic link at path leads to, "" where there is
// no such link.
func (c *Component) leadsTo(path string) string {
	on := hops(c.env.Host, path)
	if len(on) == 0 {
		return ""
	}
	real, err := c.env.Host.Entry(on[len(on)-1])
	if err != nil {
		return ""
	}
	if info, err := os.Lstat(real); err != nil || !info.IsDir() {
		return ""
	}
	return real
}

// written is where one of the component's paths is written.
type written struct {
	entry   string
	through bool
}

// placed is place, told, and refused where another path is written to already.
func (r *restorer) placed(ctx context.Context, path string, node *repository.Node) (string, error) {
	entry, through, err := r.place(ctx, r.source, path, node)
	if err != nil {
		return "", err
	}
	if through {
		r.tell(r.opts, fmt.Sprintf("%s is a symbolic link on this machine and a directory in the recovery point; the link stays, and the data are in %s", Shown(path), Shown(entry)))
	}
	if to, err := os.Readlink(entry); err == nil && node.Type == repository.Symlink && to != LinkTarget(node) {
		r.tell(r.opts, fmt.Sprintf("%s was a symbolic link to %s on this machine; it leads to %s now, as in the recovery point", Shown(path), Shown(to), Shown(LinkTarget(node))))
	}
	if slices.ContainsFunc(r.places, func(p written) bool {
		return (p.through || through) && (aside.Below(p.entry, entry) || aside.Below(entry, p.entry))
	}) {
		return "", fmt.Errorf("on this machine a symbolic link leads it to %s, where another path of the component is too; remove the link and restore again", Shown(entry))
	}
	r.places = append(r.places, written{entry, through})
	return entry, nil
}

// ousts tells whether something that cannot be written over stands where the point
// has a link, a device or the like: a directory, or a link that leads elsewhere.
func ousts(entry string, node *repository.Node) bool {
	info, err := os.Lstat(entry)
	if err != nil || node.Type == repository.Dir || node.Type == repository.File {
		return false
	}
	to, err := os.Readlink(entry)
	return info.IsDir() || err == nil && to != LinkTarget(node)
}
