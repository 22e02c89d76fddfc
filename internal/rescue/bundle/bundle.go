// Package bundle is what an old rescue medium is brought up to date with: a signed
// list of files, and the files, in one stream (tar below zstd). It writes and reads
// them; what becomes of the files must not enter.
package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"lifeboat/internal/excerpt"
)

// PayloadType is that of the list's envelope (DSSE).
const PayloadType = "application/vnd.lifeboat.rescue-bundle+json"

// Format is the version of the list; a reader takes no other.
const Format = 1

// Bounds, in bytes and in entries.
const (
	MaxManifest = 8 << 20
	MaxFiles    = 20000
	MaxTotal    = 4 << 30 // of all files, unpacked
	// maxWindow bounds the memory that reading takes.
	maxWindow = 64 << 20
	maxName   = 1000
)

// manifestName is the first entry of the stream.
const manifestName = "manifest.json"

// Manifest lists what a bundle holds, in the order in which it comes.
type Manifest struct {
	Format int `json:"format"`
	// Version orders bundles: a medium never goes back to a lower one.
	Version int64     `json:"version"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Arch    string    `json:"arch"` // as Go names it: amd64, arm64
	Files   []File    `json:"files"`
}

// File is one file of a bundle.
type File struct {
	Path   string `json:"path"` // relative and clean; PathAllowed says where
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // in hexadecimal
	Exec   bool   `json:"exec,omitempty"`
}

// Why a bundle is refused, beside the reasons of rescue/configuration.
var (
	ErrContent = errors.New("the bundle's content is not allowed")
	ErrDiffers = errors.New("the bundle does not hold what its list says")
	ErrExpired = errors.New("the bundle is not valid now")
	ErrOlder   = errors.New("the bundle is older than one that was applied")
	ErrArch    = errors.New("the bundle is for other machines")
)

// Program is the path of lifeboat itself in a bundle.
const Program = "lifeboat"

// PathAllowed tells why a file must not stand in a bundle; nil if it may.
//
//	lifeboat                  the program
//	profiles/NAME.yaml        profiles of the site
//	modules/RELEASE/…         kernel modules for the kernel of that release
//	firmware/…                what cards load
//	tools/NAME                programs
func PathAllowed(name string) error {
	bad := func(why string) error { return fmt.Errorf("%w: %q %s", ErrContent, excerpt.Line(name, 60), why) }
	parts := strings.Split(name, "/")
	switch {
	case name == "" || len(name) > maxName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-,@/") != "":
		return bad("has a name that is too long, or holds other than letters, digits and . _ + - , @")
	case path.Clean(name) != name || path.IsAbs(name) || parts[0] == "..":
		return bad("is not a relative, clean path")
	}
	for _, p := range parts {
		if strings.HasPrefix(p, ".") || strings.HasPrefix(p, "-") {
			return bad("holds a name that begins with a dot or hyphen")
		}
	}
	switch {
	case name == Program:
	case parts[0] == "profiles" && len(parts) == 2 && strings.HasSuffix(name, ".yaml"):
	case parts[0] == "modules" && len(parts) > 2, parts[0] == "firmware" && len(parts) > 1, parts[0] == "tools" && len(parts) == 2:
	default:
		return bad("is neither lifeboat nor in profiles, modules, firmware or tools")
	}
	return nil
}

func (m *Manifest) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrContent, fmt.Sprintf(format, args...))
	}
	switch {
	case m.Format != Format:
		return bad("its format is %d, and this lifeboat reads %d", m.Format, Format)
	case m.Version < 1 || m.Created.IsZero() || !m.Expires.After(m.Created):
		return bad("it has no version, or no times")
	case m.Arch == "" || len(m.Arch) > 20 || strings.Trim(m.Arch, "abcdefghijklmnopqrstuvwxyz0123456789") != "":
		return bad("it does not say for which machines it is")
	case len(m.Files) == 0 || len(m.Files) > MaxFiles:
		return bad("it has %d files", len(m.Files))
	}
	var total int64
	last := ""
	dirs := map[string]bool{}
	for _, f := range m.Files {
		if err := PathAllowed(f.Path); err != nil {
			return err
		}
		switch {
		case f.Path <= last:
			return bad("files are not in the order of their paths, or %s is there twice", f.Path)
		case f.Size < 0 || f.Size > MaxTotal:
			return bad("%s has %d bytes", f.Path, f.Size)
		case len(f.SHA256) != 64 || strings.Trim(f.SHA256, "0123456789abcdef") != "":
			return bad("%s has no SHA-256", f.Path)
		case f.Exec != (f.Path == Program || strings.HasPrefix(f.Path, "tools/")):
			return bad("%s must be executable if it is a program, and only then", f.Path)
		}
		if total += f.Size; total > MaxTotal {
			return bad("it has more than %d bytes", int64(MaxTotal))
		}
		for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
			dirs[dir] = true
		}
		last = f.Path
	}
	for _, f := range m.Files {
		if dirs[f.Path] {
			return bad("%s is a file, and others are below it", f.Path)
		}
	}
	return nil
}

// parse reads a list that is written in its only form.
func parse(text []byte) (*Manifest, error) {
	m := new(Manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContent, err)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	if again, err := json.Marshal(m); err != nil || !bytes.Equal(again, text) {
		return nil, fmt.Errorf("%w: its list is not written the one way that is allowed", ErrContent)
	}
	return m, nil
}

// Kernels are the releases that the bundle has modules for.
func (m *Manifest) Kernels() []string {
	var all []string
	for _, f := range m.Files {
		if rest, ok := strings.CutPrefix(f.Path, "modules/"); ok {
			release, _, _ := strings.Cut(rest, "/")
			if len(all) == 0 || all[len(all)-1] != release {
				all = append(all, release)
			}
		}
	}
	return all
}
