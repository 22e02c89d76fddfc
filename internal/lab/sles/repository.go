package sles

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// build makes rpm files of the packages into dir, signed.
func build(ctx context.Context, keys keyring, dir string, packs []pack) (err error) {
	work, err := os.MkdirTemp("", "lab-rpm-")
	if err != nil {
		return err
	}
	defer func() {
		if gone := os.RemoveAll(work); err == nil {
			err = gone
		}
	}()
	// Packages with a changelog of their own, or with a file that another has
	// with another content, get a spec and a tree of their own.
	groups := map[string][]pack{}
	for _, p := range packs {
		group := "sles"
		if len(p.changes) > 0 || strings.HasSuffix(p.release, ".99") {
			group = p.name
		}
		groups[group] = append(groups[group], p)
	}
	args := []string{"-bb", "--quiet", "--define", "_topdir " + work, "--define", "_rpmdir " + dir, "--define", "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm", "--define", "_buildhost lab"}
	for name, group := range groups {
		tree := filepath.Join(work, "tree-"+name)
		if err := plant(tree, group); err != nil {
			return err
		}
		file := filepath.Join(work, name+".spec")
		if err := os.WriteFile(file, spec(name, tree, group), 0o600); err != nil {
			return err
		}
		args = append(args, file)
	}
	if err := run(ctx, "", nil, "rpmbuild", args...); err != nil {
		return err
	}
	var names []string
	for _, p := range packs {
		names = append(names, filepath.Join(dir, p.rpm()))
	}
	return keys.use(ctx, func(k keyring) error { return k.signPackages(ctx, names) })
}

// plant writes the files of packages below tree.
func plant(tree string, packs []pack) error {
	for _, p := range packs {
		for _, f := range p.files {
			if err := plantFile(filepath.Join(tree, f.path), f); err != nil {
				return fmt.Errorf("%s of %s: %w", f.path, p.name, err)
			}
		}
	}
	return os.MkdirAll(tree, 0o755)
}

func plantFile(name string, f file) error {
	if f.dir {
		return os.MkdirAll(name, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if f.link != "" {
		return os.Symlink(f.link, name)
	}
	var from io.Reader = strings.NewReader(f.content)
	if f.noise > 0 {
		from = io.LimitReader(rand.Reader, f.noise)
	}
	if f.host != "" {
		in, err := os.Open(f.host)
		if err != nil {
			return err
		}
		defer in.Close()
		from = in
	}
	out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, from); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// metadata describes the rpm files in dir as a package repository, signed.
// Products and notices are files for repodata, "" for none.
func metadata(ctx context.Context, keys keyring, dir, products, notices string) error {
	if err := os.RemoveAll(filepath.Join(dir, "repodata")); err != nil {
		return err
	}
	if err := run(ctx, "", nil, "createrepo_c", "--quiet", "--general-compress-type=gz", dir); err != nil {
		return err
	}
	for name, content := range map[string]string{"products": products, "updateinfo": notices} {
		if content == "" {
			continue
		}
		file := filepath.Join(dir, name+".xml")
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
		if err := run(ctx, "", nil, "modifyrepo_c", "--mdtype="+name, file, filepath.Join(dir, "repodata")); err != nil {
			return err
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	if keys.home == "" {
		return nil
	}
	index := filepath.Join(dir, "repodata", "repomd.xml")
	return keys.use(ctx, func(k keyring) error {
		if err := k.sign(ctx, index); err != nil {
			return err
		}
		return run(ctx, "", nil, "cp", k.public(), index+".key")
	})
}
