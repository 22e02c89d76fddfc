package export

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/product/opsi/backend"
	"lifeboat/internal/repository"
)

// etc is the small part of a point's /etc/opsi that tells of the backends, as a
// file system.
type etc map[string][]byte

// maxConf bounds one file of it, in bytes.
const maxConf = 1 << 20

func readEtc(ctx context.Context, p Point) (etc, error) {
	files := etc{}
	err := p.Walk(ctx, backend.Dir, func(at string, node *repository.Node) error {
		name := strings.TrimPrefix(at, backend.Dir+"/")
		known := slices.Contains([]string{"opsi.conf", "global.conf", "backendManager/dispatch.conf"}, name) ||
			path.Dir(name) == "backends" && strings.HasSuffix(name, ".conf")
		if !known || node.Type != repository.File || node.Size > maxConf {
			return nil
		}
		r, err := p.OpenFile(ctx, node)
		if err != nil {
			return err
		}
		defer r.Close()
		files[name], err = io.ReadAll(r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the point's configuration of opsi: %w", err)
	}
	return files, nil
}

// Open is for fs.FS.
func (e etc) Open(name string) (fs.File, error) {
	data, ok := e[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return file{entry{path.Base(name), int64(len(data))}, bytes.NewReader(data)}, nil
}

// ReadDir is for fs.ReadDirFS.
func (e etc) ReadDir(dir string) ([]fs.DirEntry, error) {
	var list []fs.DirEntry
	for name, data := range e {
		if path.Dir(name) == dir {
			list = append(list, fs.FileInfoToDirEntry(entry{path.Base(name), int64(len(data))}))
		}
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

type file struct {
	entry
	*bytes.Reader
}

func (f file) Stat() (fs.FileInfo, error) { return f.entry, nil }
func (f file) Close() error               { return nil }
func (f file) Size() int64                { return f.size }

type entry struct {
	name string
	size int64
}

func (e entry) Name() string     { return e.name }
func (e entry) Size() int64      { return e.size }
func (entry) Mode() fs.FileMode  { return 0o600 }
func (entry) ModTime() time.Time { return time.Time{} }
func (entry) IsDir() bool        { return false }
func (entry) Sys() any           { return nil }
