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

// Place is where a path of the point, with node there, is written. A symbolic link of
// this machine at the path of a directory or a file is its administrator's word on where
// the data belong: they go to where it leads, and through is true. A link that the point
// itself may have brought is no such word. Where a link cannot be followed a directory is
// refused; a file takes the link's place, and why says what kept it from being followed.
func (c *Component) Place(ctx context.Context, source component.Source, path string, node *repository.Node) (entry string, through bool, why string, err error) {
	if entry, err = c.env.Host.Entry(path); err != nil || node.Type != repository.Dir && node.Type != repository.File {
		return entry, false, "", err
	}
	target, err := os.Readlink(entry)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTDIR) {
		return entry, false, "", nil
	}
	if err != nil {
		return "", false, "", err
	}
	real, why, err := c.behind(ctx, source, path, node)
	switch {
	case err != nil:
		return "", false, "", err
	case why == "":
		return real, true, "", nil
	case node.Type == repository.Dir:
		return "", false, "", fmt.Errorf("it is a symbolic link to %s on this machine, %s; %w", Shown(target), why, errLink)
	}
	return entry, false, fmt.Sprintf("a symbolic link to %s, %s", Shown(target), why), nil
}

// behind finds what a link of the machine leads to, or why it cannot be written there.
func (c *Component) behind(ctx context.Context, source component.Source, path string, node *repository.Node) (real, why string, err error) {
	on := hops(c.env.Host, path)
	if len(on) == 0 {
		return "", "and nothing is there (is a disk not mounted?)", nil
	}
	for _, hop := range on {
		if node.Type == repository.File && foreseen(hop) {
			return "", "which the system itself fills", nil
		}
		for above := hop; above != "/"; above = filepath.Dir(above) {
			if n, err := Node(ctx, source, above); err == nil && n.Type == repository.Symlink {
				return "", "on whose way the recovery point has a link of its own, " + Shown(above), nil
			} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", "", err
			}
		}
	}
	last := on[len(on)-1]
	if real, err = c.env.Host.Entry(last); err != nil {
		return "", "", err
	}
	info, err := os.Lstat(real)
	switch {
	case err != nil || typeOf(info.Mode()) != node.Type:
		return "", fmt.Sprintf("which is no %s that the data could be put into", writable[node.Type]), nil
	case last == "/":
		return "", "which is the root directory", nil
	}
	return real, "", nil
}

// writable are the types that are written through links, in words.
var writable = map[repository.NodeType]string{repository.Dir: "directory", repository.File: "file"}

// leadsTo is the directory or file that a symbolic link at path leads to, "" where there
// is no such link.
func (c *Component) leadsTo(path string, kind repository.NodeType) string {
	on := hops(c.env.Host, path)
	if len(on) == 0 || kind == repository.File && slices.ContainsFunc(on, foreseen) {
		return ""
	}
	real, err := c.env.Host.Entry(on[len(on)-1])
	if err != nil {
		return ""
	}
	if info, err := os.Lstat(real); err != nil || typeOf(info.Mode()) != kind {
		return ""
	}
	return real
}

// Behind is where a file of the point is found: what a link of the machine at its path
// leads to, if that may be written through, else the path's own entry.
func (c *Component) Behind(path string) (string, error) {
	if real := c.leadsTo(path, repository.File); real != "" {
		return real, nil
	}
	return c.env.Host.Entry(path)
}

// written is where one of the component's paths is written.
type written struct {
	entry   string
	through bool
}

// placed is place, told, and refused where another path is written to already.
func (r *restorer) placed(ctx context.Context, path string, node *repository.Node) (string, error) {
	entry, through, why, err := r.Place(ctx, r.source, path, node)
	if err != nil {
		return "", err
	}
	if through {
		r.tell(r.opts, fmt.Sprintf("%s is a symbolic link on this machine and a %s in the recovery point; the link stays, and the data are in %s", Shown(path), writable[node.Type], Shown(entry)))
	}
	if why != "" {
		r.tell(r.opts, fmt.Sprintf("%s was %s; a plain file takes its place", Shown(path), why))
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
