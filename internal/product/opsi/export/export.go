// Package export writes a recovery point of an opsi server as an archive that
// opsi-backup verifies and restores. It only reads the point; nothing of this
// machine may enter here.
package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/product/opsi/archive"
	"lifeboat/internal/product/opsi/backend"
	"lifeboat/internal/repository"
	"lifeboat/internal/vault"
)

// Options say what of a point goes into the archive.
type Options struct {
	Compression archive.Compression
	// Without leaves parts out.
	Without map[archive.Part]bool
}

// Report tells what was written.
type Report struct {
	Members  int
	Bytes    int64 // content
	Info     archive.Info
	Warnings []string // what opsi-backup will not give back as it was
}

// exporter is one export.
type exporter struct {
	point    Point
	manifest *vault.Manifest
	opts     Options
	w        *archive.Writer
	server   *backend.Server
	report   *Report
	// inodes are files with several names, by what the point knows them by.
	inodes map[inode]string
	split  int // hard links that became files
	told   map[string]bool
}

type inode struct{ device, number uint64 }

// Point is what a recovery point gives.
type Point interface {
	component.Source
	Find(ctx context.Context, at string) (*repository.Node, error)
}

// Write writes the archive to w.
func Write(ctx context.Context, w io.Writer, point Point, manifest *vault.Manifest, opts Options) (*Report, error) {
	a, err := archive.NewWriter(w, opts.Compression)
	if err != nil {
		return nil, err
	}
	e := &exporter{
		point: point, manifest: manifest, opts: opts, w: a,
		report: &Report{Info: infoOf(manifest)}, inodes: map[inode]string{}, told: map[string]bool{},
	}
	if err := e.all(ctx); err != nil {
		a.Abort()
		return nil, err
	}
	return e.report, a.Close(e.report.Info)
}

func (e *exporter) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !e.told[text] {
		e.told[text] = true
		e.report.Warnings = append(e.report.Warnings, text)
	}
}

// all writes the parts in the order of opsi-backup.
func (e *exporter) all(ctx context.Context) error {
	if err := e.backends(ctx); err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{e.files, e.database, e.dhcp, e.configuration} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	if e.report.Members == 0 {
		return errors.New("nothing of the point belongs into an archive of opsi-backup")
	}
	if e.split > 0 {
		e.warn("%d hard links in the file backend became files of their own: opsi-backup would restore each as a directory", e.split)
	}
	return nil
}

// backends reads how the backends are called: opsi-backup looks for its parts by
// these names.
func (e *exporter) backends(ctx context.Context) error {
	e.server = &backend.Server{}
	if !e.has("configuration") {
		return nil
	}
	etc, err := readEtc(ctx, e.point)
	if err != nil {
		return err
	}
	e.server, err = backend.ReadFS(etc)
	return err
}

// has tells whether the point holds a component.
func (e *exporter) has(name string) bool {
	_, err := e.manifest.Component(name)
	return err == nil
}

func (e *exporter) wants(p archive.Part, component string) bool {
	return !e.opts.Without[p] && e.has(component)
}

// name is what the used backend of a kind is called.
func (e *exporter) name(kind backend.Kind, otherwise string) string {
	used, _ := e.server.Used(e.manifest.Settings["opsi_version"])
	for _, confs := range [][]backend.Conf{used, e.server.Confs} {
		for _, c := range confs {
			if c.Kind() == kind {
				return c.Name
			}
		}
	}
	return otherwise
}

func (e *exporter) files(ctx context.Context) error {
	if !e.wants(archive.Files, "file-backend") {
		return nil
	}
	name, base, keys := e.name(backend.File, "file"), e.manifest.Settings["file_base"], e.manifest.Settings["host_keys"]
	if err := e.tree(ctx, archive.Files, name, base, ".", 0); err != nil {
		return err
	}
	if keys == "" || keys == base || strings.HasPrefix(keys, base+"/") {
		return nil
	}
	return e.single(ctx, archive.HostKeys, name, keys)
}

func (e *exporter) dhcp(ctx context.Context) error {
	if !e.wants(archive.DHCP, "dhcp") || e.manifest.Settings["dhcpd_conf"] == "" {
		return nil
	}
	return e.single(ctx, archive.DHCP, e.name(backend.DHCP, "dhcpd"), e.manifest.Settings["dhcpd_conf"])
}

func (e *exporter) configuration(ctx context.Context) error {
	if !e.wants(archive.Configuration, "configuration") {
		return nil
	}
	return e.tree(ctx, archive.Configuration, "", backend.Dir, ".", 0)
}

// single writes one file, whatever links lead to it.
func (e *exporter) single(ctx context.Context, part archive.Part, name, at string) error {
	node, _, err := e.resolve(ctx, at)
	if err != nil || node.Type != repository.File {
		e.warn("%s is not in the point as a file and is left out", at)
		return ctx.Err()
	}
	return e.add(ctx, e.member(part, name, path.Base(at), node), node)
}

// tree writes a directory of the point and everything below it.
func (e *exporter) tree(ctx context.Context, part archive.Part, name, from, to string, depth int) error {
	return e.point.Walk(ctx, from, func(at string, node *repository.Node) error {
		rel := path.Join(to, strings.TrimPrefix(strings.TrimPrefix(at, from), "/"))
		m := e.member(part, name, rel, node)
		switch node.Type {
		case repository.Dir:
			return e.add(ctx, m, nil)
		case repository.File:
			return e.add(ctx, m, node)
		case repository.Symlink:
			if part == archive.Configuration {
				return e.add(ctx, m, nil)
			}
			return e.followed(ctx, m, at, depth)
		}
		e.warn("%s is a %s and is left out", at, node.Type)
		return nil
	})
}

// maxFollowed bounds links to directories within each other.
const maxFollowed = 8

// followed writes what a symbolic link of the file backend leads to: opsi-backup
// would restore the link as an empty directory.
func (e *exporter) followed(ctx context.Context, m archive.Member, at string, depth int) error {
	node, real, err := e.resolve(ctx, at)
	loop := real == path.Dir(at) || strings.HasPrefix(at, real+"/")
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil || loop || depth == maxFollowed:
		e.warn("the symbolic link %s is left out: what it leads to, %s, is not in the point, and opsi-backup would restore it as an empty directory", at, m.Target)
		return nil
	case node.Type == repository.Dir:
		e.warn("the symbolic link %s became a copy of the directory that it leads to: opsi-backup would restore it as an empty one", at)
		return e.tree(ctx, m.Part, m.Backend, real, m.Path, depth+1)
	case node.Type == repository.File:
		e.warn("the symbolic link %s became a copy of the file that it leads to: opsi-backup would restore it as an empty directory", at)
		return e.add(ctx, e.member(m.Part, m.Backend, m.Path, node), node)
	}
	return nil
}

// resolve follows symbolic links within the point.
func (e *exporter) resolve(ctx context.Context, at string) (*repository.Node, string, error) {
	for range 40 {
		node, err := e.point.Find(ctx, at)
		if err != nil || node.Type != repository.Symlink {
			return node, at, err
		}
		if path.IsAbs(node.LinkTarget) {
			at = path.Clean(node.LinkTarget)
		} else {
			at = path.Join(path.Dir(at), node.LinkTarget)
		}
	}
	return nil, "", fmt.Errorf("%s: too many symbolic links", at)
}

// member takes over what the point knows of an entry.
func (e *exporter) member(part archive.Part, name, rel string, node *repository.Node) archive.Member {
	m := archive.Member{
		Part: part, Backend: name, Path: rel, Mode: node.Mode, ModTime: node.ModTime, UID: node.UID, GID: node.GID,
		User: e.manifest.Owners.Users[node.UID], Group: e.manifest.Owners.Groups[node.GID],
	}
	switch node.Type {
	case repository.Dir:
		m.Type = archive.Directory
		// An owner without a name ends opsi-backup's restore in the middle.
		for _, owner := range []*string{&m.User, &m.Group} {
			if *owner == "" {
				*owner = "root"
				e.warn("the directory %s has an owner or a group without a name; in the archive it is root, since opsi-backup would stop there", m.Path)
			}
		}
	case repository.Symlink:
		m.Type, m.Target = archive.Symlink, node.LinkTarget
	case repository.File:
		m.Size = int64(node.Size) //nolint:gosec // a file's size
	}
	return m
}

// add writes one member; node is the file that has the content.
func (e *exporter) add(ctx context.Context, m archive.Member, node *repository.Node) error {
	var content io.ReadCloser = io.NopCloser(strings.NewReader(""))
	full := path.Join("CONTENT", string(m.Part), m.Backend, m.Path)
	if node != nil && node.Links > 1 {
		key := inode{node.DeviceID, node.Inode}
		first, seen := e.inodes[key]
		switch {
		case !seen:
			e.inodes[key] = full
		case m.Part == archive.Configuration:
			m.Type, m.Target, m.Size, node = archive.Hardlink, first, 0, nil
		default:
			e.split++
		}
	}
	if node != nil {
		var err error
		if content, err = e.point.OpenFile(ctx, node); err != nil {
			return fmt.Errorf("read %s: %w", full, err)
		}
	}
	err := e.w.Add(m, content)
	err = errors.Join(err, content.Close())
	if errors.Is(err, archive.ErrUnfit) {
		e.warn("%q is left out: opsi-backup cannot read such a name", full)
		return nil
	}
	if err != nil {
		return err
	}
	e.report.Members++
	e.report.Bytes += m.Size
	return nil
}
