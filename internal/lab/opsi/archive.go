package opsi

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"  //nolint:gosec // what opsi uses
	"crypto/sha1" //nolint:gosec // what zsync uses
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// packed is when all packages were made.
var packed = time.Date(2024, 1, 10, 12, 0, 0, 0, time.UTC)

// fileName is the name of a product's package.
func (p product) fileName() string { return p.id + "_" + p.version + "-" + p.release + ".opsi" }

// archive is the product's package: an archive of two compressed archives, the
// description and what clients get. It is the same at each build.
func (p product) archive() ([]byte, error) {
	control, err := archiveOf([]file{{"control", p.control(), 0o644, ""}, {"postinst", "#!/bin/sh\nexit 0\n", 0o755, ""}})
	if err != nil {
		return nil, err
	}
	data, err := archiveOf(p.content())
	if err != nil {
		return nil, err
	}
	return writeTar([]file{{"OPSI.tar.gz", control, 0o644, ""}, {"CLIENT_DATA.tar.gz", data, 0o644, ""}})
}

func archiveOf(files []file) (string, error) {
	raw, err := writeTar(files)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(raw); err != nil {
		return "", err
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	return out.String(), nil
}

func writeTar(files []file) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.path, Mode: int64(f.mode), Size: int64(len(f.text)), ModTime: packed, Typeflag: tar.TypeReg}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write([]byte(f.text)); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// readTar returns the files of an archive, in order.
func readTar(r io.Reader) ([]file, error) {
	var files []file
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if !filepath.IsLocal(h.Name) {
			return nil, fmt.Errorf("%q leads out of the package", h.Name)
		}
		raw, err := io.ReadAll(t)
		if err != nil {
			return nil, err
		}
		files = append(files, file{path.Clean(h.Name), string(raw), os.FileMode(h.Mode).Perm(), fileOwner})
	}
}

// readPackage returns the product of a package and the files that clients get.
func readPackage(name string, raw []byte) (product, []file, error) {
	var p product
	outer, err := readTar(bytes.NewReader(raw))
	if err != nil {
		return p, nil, fmt.Errorf("%s: %w", name, err)
	}
	parts := map[string][]file{}
	for _, f := range outer {
		z, err := gzip.NewReader(strings.NewReader(f.text))
		if err != nil {
			return p, nil, fmt.Errorf("%s: %s: %w", name, f.path, err)
		}
		if parts[f.path], err = readTar(z); err != nil {
			return p, nil, fmt.Errorf("%s: %s: %w", name, f.path, err)
		}
	}
	for _, f := range parts["OPSI.tar.gz"] {
		if f.path == "control" {
			p = parseControl(f.text)
		}
	}
	if p.id == "" || p.version == "" {
		return p, nil, fmt.Errorf("%s is no package: it describes no product", name)
	}
	return p, parts["CLIENT_DATA.tar.gz"], nil
}

func parseControl(text string) product {
	p, section := product{kind: "LocalbootProduct"}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, _ := strings.Cut(line, ": ")
		switch {
		case strings.HasPrefix(line, "["):
			section = line
		case section == "[Package]" && key == "version":
			p.release = value
		case section == "[ProductProperty]" && key == "name":
			p.properties = append(p.properties, value)
		case section != "[Product]":
		case key == "version":
			p.version = value
		case key == "id":
			p.id = value
		case key == "name":
			p.name = value
		case key == "type" && value == "netboot":
			p.kind = "NetbootProduct"
		}
	}
	return p
}

// keep puts a product's package into the repository.
func (p product) keep() error {
	raw, err := p.archive()
	if err != nil {
		return err
	}
	return p.store(raw)
}

// store puts a package into the repository with its sum and what zsync needs.
func (p product) store(raw []byte) error {
	sum, long := md5.Sum(raw), sha1.Sum(raw) //nolint:gosec // what opsi and zsync use
	base := filepath.Join(repositoryDir, p.fileName())
	zsync := fmt.Sprintf("zsync: 0.6.2\nFilename: %s\nMTime: %s\nBlocksize: 2048\nLength: %d\nHash-Lengths: 1,2,4\nURL: %s\nSHA-1: %s\n\n",
		p.fileName(), packed.Format(time.RFC1123Z), len(raw), p.fileName(), hex.EncodeToString(long[:]))
	files := []file{{base, string(raw), 0o660, fileOwner}, {base + ".md5", hex.EncodeToString(sum[:]), 0o660, fileOwner}, {base + ".zsync", zsync, 0o660, fileOwner}}
	if err := writeFiles(files); err != nil {
		return err
	}
	return os.Chtimes(base, packed, packed)
}

// kept tells whether the repository has the product's package, whole.
func (p product) kept() bool {
	base := filepath.Join(repositoryDir, p.fileName())
	raw, err := os.ReadFile(base)
	want, err2 := os.ReadFile(base + ".md5")
	sum := md5.Sum(raw) //nolint:gosec // what opsi uses
	return err == nil && err2 == nil && string(want) == hex.EncodeToString(sum[:])
}
