package zypper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/host"
)

// keeping does something with zypper, and puts the addresses of package repositories
// back as they were. Whenever libzypp 17.25 writes a file of repositories it drops the
// passwords out of the addresses of all that stand in it, without a word.
func (z *Zypper) keeping(ctx context.Context, act func(context.Context) error) error {
	before, err := z.Repositories()
	if err != nil {
		return err
	}
	if err := act(ctx); err != nil {
		return errors.Join(err, z.readdress(before))
	}
	return z.readdress(before)
}

func (z *Zypper) readdress(before []Repository) error {
	if !slices.ContainsFunc(before, func(r Repository) bool { return slices.ContainsFunc(r.URLs, hasPassword) }) {
		return nil
	}
	after, err := z.Repositories()
	if err != nil {
		return err
	}
	for _, now := range after {
		i := slices.IndexFunc(before, func(r Repository) bool { return r.Alias == now.Alias })
		if i < 0 || slices.Equal(before[i].URLs, now.URLs) || !slices.ContainsFunc(before[i].URLs, hasPassword) {
			continue
		}
		if err := z.rewrite(now, before[i].URLs); err != nil {
			return fmt.Errorf("put back the address of package repository %s: %w", now.Alias, err)
		}
	}
	return nil
}

// hasPassword tells whether an address holds one. Variables make some of them no URL.
func hasPassword(address string) bool {
	_, rest, ok := strings.Cut(address, "://")
	user, _, at := strings.Cut(strings.SplitN(rest, "/", 2)[0], "@")
	if u, err := url.Parse(address); err == nil && u.User != nil {
		_, has := u.User.Password()
		return has
	}
	return ok && at && strings.Contains(user, ":")
}

// rewrite replaces the addresses of one repository in its file.
func (z *Zypper) rewrite(r Repository, urls []string) error {
	path, data, err := z.file(r)
	if err != nil {
		return err
	}
	var out []byte
	inside, written, skip := false, false, false
	for line := range bytes.Lines(data) {
		text := bytes.TrimSpace(line)
		if line[0] == '[' && bytes.HasSuffix(text, []byte("]")) {
			inside = string(bytes.TrimSpace(text[1:len(text)-1])) == r.Alias
		}
		key, _, _ := bytes.Cut(text, []byte("="))
		isAddress := inside && strings.EqualFold(string(bytes.TrimSpace(key)), "baseurl")
		if skip = isAddress || skip && len(text) > 0 && (line[0] == ' ' || line[0] == '\t'); !skip {
			out = append(out, line...)
			continue
		}
		if !written {
			out = append(out, "baseurl="+strings.Join(urls, "\n        ")+"\n"...)
			written = true
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return z.write(r.File, out, info.Mode().Perm())
}

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
