package zypper

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/host"
)

// Package repositories are switched and removed in the text of their files, as a person
// does it with an editor. zypper would do it too, but whenever libzypp 17.25 writes a file
// it drops, of all that stand in it, the passwords of addresses, user names and passwords,
// comments, and every key that it does not know, without a word.

// DisableRepositories switches package repositories off; they stay listed.
func (z *Zypper) DisableRepositories(aliases ...string) error {
	return z.edit("switch off", aliases, func(text []byte) []byte { return switched(text, "0") })
}

// EnableRepositories switches package repositories on.
func (z *Zypper) EnableRepositories(aliases ...string) error {
	return z.edit("switch on", aliases, func(text []byte) []byte { return switched(text, "1") })
}

// RemoveRepositories removes package repositories, with their caches. A file that held
// nothing else is removed.
func (z *Zypper) RemoveRepositories(aliases ...string) error {
	if err := z.edit("remove", aliases, func([]byte) []byte { return nil }); err != nil {
		return err
	}
	h, err := host.At(z.o.Files)
	if err != nil {
		return err
	}
	for _, alias := range aliases {
		for _, kind := range []string{"raw", "solv", "packages"} {
			dir, err := h.Path(filepath.Join("/var/cache/zypp", kind, alias))
			if err == nil {
				err = os.RemoveAll(dir)
			}
			if err != nil {
				return fmt.Errorf("remove the cache of package repository %s: %w", alias, err)
			}
		}
	}
	return nil
}

// edit changes the sections of package repositories in their files, each file in one step.
// A section of which nothing is left goes.
func (z *Zypper) edit(what string, aliases []string, change func([]byte) []byte) error {
	if err := checkAliases(aliases); err != nil {
		return err
	}
	all, err := z.Repositories()
	if err != nil {
		return err
	}
	files := map[string][]string{}
	for _, alias := range aliases {
		at := slices.IndexFunc(all, func(r Repository) bool { return r.Alias == alias })
		if at < 0 {
			return fmt.Errorf("%s package repository %s: there is none of that alias", what, alias)
		}
		files[all[at].File] = append(files[all[at].File], alias)
	}
	for name, inside := range files {
		if err := z.editFile(name, inside, change); err != nil {
			return fmt.Errorf("%s package repositories %s: %w", what, strings.Join(inside, ", "), err)
		}
	}
	return nil
}

func (z *Zypper) editFile(name string, aliases []string, change func([]byte) []byte) error {
	path, data, err := z.file(Repository{File: name})
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	list := sections(data)
	var out []byte
	if len(list) > 0 {
		out = append(out, data[:len(data)-total(list)]...)
	}
	left := 0
	for _, s := range list {
		text := s.text
		if slices.Contains(aliases, s.alias) {
			text = change(text)
		}
		if len(text) > 0 {
			left++
		}
		out = append(out, text...)
	}
	if left > 0 {
		return z.write(name, out, info.Mode().Perm())
	}
	return os.Remove(path)
}

func total(list []section) (n int) {
	for _, s := range list {
		n += len(s.text)
	}
	return n
}

var enabledLine = regexp.MustCompile(`(?mi)^[ \t]*enabled[ \t]*=.*$`)

// switched is a section that says whether it is on. The last line of a key counts, so all
// of them are changed.
func switched(text []byte, to string) []byte {
	line := []byte("enabled=" + to)
	if enabledLine.Match(text) {
		return enabledLine.ReplaceAllLiteral(text, line)
	}
	head, rest, _ := bytes.Cut(text, []byte("\n"))
	return slices.Concat(head, []byte("\n"), line, []byte("\n"), rest)
}

// secret tells whether the text of a section may hold a password.
var secret = regexp.MustCompile(`(?mi)^[ \t]*[a-z_]*pass(?:word)?[ \t]*=|://[^\s/]*@|[?&][^\s=&]*pass[^\s=&]*=`)

// file is the file of a repository, bounded.
func (z *Zypper) file(r Repository) (path string, data []byte, err error) {
	h, err := host.At(z.o.Files)
	if err != nil {
		return "", nil, err
	}
	if path, err = h.Path(filepath.Join(repositoryDir, filepath.Base(r.File))); err != nil {
		return "", nil, err
	}
	in, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", nil, errors.Join(err, fmt.Errorf("%s is no file", r.File))
	}
	data, err = io.ReadAll(io.LimitReader(in, maxRepositoryFile+1))
	if err == nil && len(data) > maxRepositoryFile {
		err = fmt.Errorf("%s is larger than %d bytes", r.File, maxRepositoryFile)
	}
	return path, data, err
}

// write writes a file of repositories in one step.
func (z *Zypper) write(name string, data []byte, mode os.FileMode) error {
	h, err := host.At(z.o.Files)
	if err != nil {
		return err
	}
	return h.WriteFile(filepath.Join(repositoryDir, filepath.Base(name)), data, host.WriteOptions{Mode: mode, UID: -1, GID: -1})
}
