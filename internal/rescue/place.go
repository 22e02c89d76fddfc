package rescue

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/runbook"
)

// Placed is one file that was put in place.
type Placed struct {
	Path  string `json:"path"`
	Aside string `json:"aside,omitempty"` // where what was there is now
	Same  bool   `json:"same,omitempty"`  // it was there already, and was left
}

// Where the secrets that are in no file of the host are put.
const (
	ownDir      = "/etc/lifeboat/rescue"
	environment = ownDir + "/environment.json"
)

// PasswordFile is where the password of a repository is put.
func PasswordFile(repository string) string { return ownDir + "/" + repository + ".password" }

// Files are all that a configuration brings; what is secret wins over what is not.
func (f *Fetched) Files() ([]configuration.File, error) {
	all := slices.Clone(f.Config.Files)
	if f.Secret != nil {
		for _, s := range f.Secret.Files {
			all = slices.DeleteFunc(all, func(o configuration.File) bool { return o.Path == s.Path })
			all = append(all, s)
		}
		for name, password := range f.Secret.Passwords {
			all = append(all, configuration.File{Path: PasswordFile(name), Mode: 0o600, Content: []byte(password)})
		}
		if text, err := encodeEnvironment(f.Secret.Environment); err != nil || text != nil {
			if err != nil {
				return nil, err
			}
			all = append(all, configuration.File{Path: environment, Mode: 0o600, Content: text})
		}
	}
	if n := f.Name(); n.Hostname != "" {
		kept, err := n.file()
		if err != nil {
			return nil, err
		}
		all = append(all, kept)
	}
	slices.SortFunc(all, func(a, b configuration.File) int { return strings.Compare(a.Path, b.Path) })
	for i, file := range all {
		if i > 0 && all[i-1].Path == file.Path {
			return nil, runbook.Refuse("", "the recovery configuration brings %s twice; nothing was written", file.Path)
		}
	}
	return all, nil
}

// Place puts files below a root, with rights for root alone. What was there is set
// aside beside it. Everything is looked at before anything is written: a symbolic
// link or something else than a directory on the way refuses all of it.
func Place(root string, files []configuration.File, now time.Time) ([]Placed, error) {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("put the recovery configuration in place: %w", err)
	}
	defer dir.Close()
	for _, f := range files {
		if path.Dir(f.Path) != ownDir { // which no configuration may name
			if err := configuration.FileAllowed(f.Path, f.Mode); err != nil {
				return nil, refusal(err)
			}
		}
		if err := free(dir, f.Path); err != nil {
			return nil, runbook.Refuse("", "%v; nothing was written", err)
		}
	}
	var placed []Placed
	for _, f := range files {
		p, err := place(dir, f, now)
		if err != nil {
			return placed, fmt.Errorf("put %s in place: %w", f.Path, err)
		}
		placed = append(placed, p)
	}
	return placed, nil
}

// free tells why a file cannot stand where it should.
func free(dir *os.Root, name string) error {
	name = strings.TrimPrefix(name, "/")
	for at, c := range name {
		if c != '/' {
			continue
		}
		info, err := dir.Lstat(name[:at])
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("/%s is on the way to /%s and is no directory (%v)", name[:at], name, info.Mode().Type())
		}
	}
	info, err := dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("/%s is a directory, and should become a file", name)
	}
	return nil
}

func place(dir *os.Root, f configuration.File, now time.Time) (Placed, error) {
	name := strings.TrimPrefix(f.Path, "/")
	mode := f.Mode & 0o700
	p := Placed{Path: f.Path}
	if same(dir, name, f.Content, mode) {
		p.Same = true
		return p, nil
	}
	if err := dir.MkdirAll(path.Dir(name), 0o700); err != nil {
		return p, err
	}
	temp := path.Join(path.Dir(name), ".lifeboat-"+rand.Text())
	if err := write(dir, temp, f.Content, mode); err != nil {
		return p, errors.Join(err, ignoreMissing(dir.Remove(temp)))
	}
	if _, err := dir.Lstat(name); err == nil {
		aside := name + ".aside-" + now.UTC().Format("20060102-150405")
		for n := 2; exists(dir, aside); n++ {
			aside = fmt.Sprintf("%s.aside-%s-%d", name, now.UTC().Format("20060102-150405"), n)
		}
		if err := dir.Rename(name, aside); err != nil {
			return p, errors.Join(err, dir.Remove(temp))
		}
		p.Aside = "/" + aside
	}
	if err := dir.Rename(temp, name); err != nil {
		return p, errors.Join(err, dir.Remove(temp))
	}
	return p, syncDir(dir, path.Dir(name))
}

func write(dir *os.Root, name string, content []byte, mode fs.FileMode) error {
	f, err := dir.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func same(dir *os.Root, name string, content []byte, mode fs.FileMode) bool {
	info, err := dir.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != mode || info.Size() != int64(len(content)) {
		return false
	}
	f, err := dir.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, int64(len(content))+1))
	return err == nil && bytes.Equal(text, content)
}

func exists(dir *os.Root, name string) bool {
	_, err := dir.Lstat(name)
	return err == nil
}

func syncDir(dir *os.Root, name string) error {
	d, err := dir.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
