package configuration

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"lifeboat/internal/excerpt"
)

// File is one file to be put into the rescue system. There is nothing but regular
// files: no links, devices, owners or times.
type File struct {
	Path    string      `json:"path"` // absolute and clean; FileAllowed says where
	Mode    fs.FileMode `json:"mode"` // permissions alone
	Content []byte      `json:"content"`
}

// places are the directories that a configuration may fill.
var places = []string{"/etc/lifeboat", "/etc/rear", "/var/lib/rear"}

// own is what the rescue system says, among it which keys count: rescue.yaml and all
// that begins so.
const own = "/etc/lifeboat/rescue"

// further are directories where sites keep what reaching a repository takes: key
// files, known hosts, certificates of authorities. Files there are not executable,
// and hidden ones are refused but for those named in hidden, since shells and ssh
// run commands from others.
var further = []string{"/root", "/srv", "/opt", "/etc/ssl", "/etc/pki"}

// FileAllowed tells why a file must not stand in a configuration; nil if it may.
// Hosts ask it before they send theirs.
func FileAllowed(name string, mode fs.FileMode) error {
	bad := func(why string) error {
		return fmt.Errorf("recovery configuration: %w: file %q %s", ErrContent, excerpt.Line(name, 60), why)
	}
	switch {
	case !excerpt.Plain(name, maxLocation):
		return bad("has a name that is too long or holds control characters")
	case !path.IsAbs(name) || path.Clean(name) != name:
		return bad("is not an absolute, clean path")
	case mode&^fs.ModePerm != 0:
		return bad("is to have more than permissions")
	case mode&0o022 != 0:
		return bad("could be written by others than its owner")
	}
	if name == own || strings.HasPrefix(name, own+".") || strings.HasPrefix(name, own+"/") {
		return bad("belongs to the rescue system itself")
	}
	if below(name, places) {
		return nil
	}
	if !below(name, further) {
		return bad("is outside of " + strings.Join(append(places[:len(places):len(places)], further...), ", "))
	}
	if mode&0o111 != 0 {
		return bad("is to be executable")
	}
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		if base := path.Base(dir); strings.HasPrefix(base, ".") && base != ".ssh" {
			return bad("is in a hidden directory")
		}
	}
	base := path.Base(name)
	inSSH := path.Base(path.Dir(name)) == ".ssh"
	switch {
	case strings.HasPrefix(base, "."):
		return bad("is hidden")
	case inSSH && !strings.HasPrefix(base, "id_") && !strings.HasPrefix(base, "known_hosts"):
		return bad("is neither a key nor a list of known hosts")
	}
	return nil
}

// forReaR tells whether ReaR is what reads the file.
func (f File) forReaR() bool { return below(f.Path, places[1:]) }

func below(name string, dirs []string) bool {
	for _, d := range dirs {
		if strings.HasPrefix(name, d+"/") {
			return true
		}
	}
	return false
}

// checkFiles checks files and their order: by path, each once, none below another.
func checkFiles(files []File, secret bool) error {
	if len(files) > MaxFiles {
		return fmt.Errorf("recovery configuration: %w: it has more than %d files", ErrContent, MaxFiles)
	}
	seen := map[string]bool{}
	last := ""
	for _, f := range files {
		if err := FileAllowed(f.Path, f.Mode); err != nil {
			return err
		}
		if f.Path <= last {
			return fmt.Errorf("recovery configuration: %w: files are not in the order of their paths, or %s is there twice", ErrContent, f.Path)
		}
		if secret && f.Mode&0o077 != 0 {
			return fmt.Errorf("recovery configuration: %w: the secret file %s could be read by others than its owner", ErrContent, f.Path)
		}
		last, seen[f.Path] = f.Path, true
	}
	for _, f := range files {
		for dir := path.Dir(f.Path); dir != "/"; dir = path.Dir(dir) {
			if seen[dir] {
				return fmt.Errorf("recovery configuration: %w: %s is a file, and %s is below it", ErrContent, dir, f.Path)
			}
		}
	}
	return nil
}
