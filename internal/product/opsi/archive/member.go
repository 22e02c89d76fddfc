package archive

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
)

// Part is what a member belongs to.
type Part string

// The parts of an archive, named as the directories below CONTENT.
const (
	Configuration Part = "CONF"                   // /etc/opsi
	Files         Part = "BACKENDS/FILE"          // baseDir of a file backend
	HostKeys      Part = "BACKENDS/FILE_HOSTKEYS" // its hostKeyFile, when that is elsewhere
	Database      Part = "BACKENDS/MYSQL"         // database.sql
	DHCP          Part = "BACKENDS/DHCP"          // dhcpd.conf
)

// Names in an archive.
const (
	content      = "CONTENT"
	control      = "CONTROL"
	sumsName     = control + "/checksums"
	infoName     = control + "/sysinfo"
	dumpName     = "database.sql"
	oddBackend   = "%{backend['name']}" // opsi-backup before July 2022 wrote this for the name
	backendsName = content + "/BACKENDS"
)

// Type is what a member is.
type Type int

// The types of members. Others are refused.
const (
	Regular Type = iota
	Directory
	Symlink
	Hardlink
)

// Member is one entry below CONTENT.
type Member struct {
	// Name is where the member is unpacked: slashes, relative, cleaned. It is
	// that of the archive but for names that opsi-backup is known to spoil.
	Name    string
	Part    Part
	Backend string // "" for Configuration
	// Path is relative to the part: to /etc/opsi, baseDir …; "." is that itself.
	Path string
	Type Type
	Mode fs.FileMode // permissions; setgid and sticky of directories
	// UID and GID are named by Archive.Accounts.
	UID, GID uint32
	User     string // as the archive has it; "" for a number without a name
	Group    string
	ModTime  time.Time
	Size     int64  // content, in bytes
	Target   string // of a symbolic link: never followed; of a hard link: Name of a member

	index int // position in the stream
	raw   string
	sum   digest
	to    *Member // of a hard link
	tail  []byte  // the end of a dump
}

// Lengths of names, in bytes.
const (
	maxName = 4096
	maxPart = 255
)

// cleanName checks a name from the archive. What opsi-backup never writes, and
// what leads elsewhere on some reader's way, is refused and not mended.
func cleanName(raw string, depth int) (string, error) {
	bad := func(why string) error { return fmt.Errorf("a name %s: %s: %w", why, quote(raw), ErrHostile) }
	switch {
	case raw == "":
		return "", bad("is empty")
	case len(raw) > maxName:
		return "", bad("is too long")
	case strings.HasPrefix(raw, "/"):
		return "", bad("is absolute")
	case strings.ContainsRune(raw, 0):
		return "", bad("holds a zero byte")
	}
	parts := strings.Split(raw, "/")
	if len(parts) > depth {
		return "", bad(fmt.Sprintf("has more than %d parts", depth))
	}
	for _, p := range parts {
		if p == ".." {
			return "", bad("leads out of the archive")
		}
		if len(p) > maxPart {
			return "", bad("has a part that is too long")
		}
	}
	return path.Clean(raw), nil
}

// quote makes a foreign name fit to be told.
func quote(s string) string {
	if len(s) > 200 {
		return fmt.Sprintf("%.200q…", s)
	}
	return fmt.Sprintf("%q", s)
}

// place is what a name says about its member; known is false for what no
// opsi-backup wrote, and above for the directories that only lead to parts.
func place(name string) (part Part, backend, rel string, known, above bool) {
	rest, ok := strings.CutPrefix(name, content+"/")
	if !ok {
		return "", "", "", false, name == content
	}
	if rest == string(Configuration) {
		return Configuration, "", ".", true, false
	}
	if rel, ok := strings.CutPrefix(rest, string(Configuration)+"/"); ok {
		return Configuration, "", rel, true, false
	}
	for _, p := range []Part{Files, HostKeys, Database, DHCP} {
		if rest == string(p) {
			return p, "", "", false, true
		}
		below, ok := strings.CutPrefix(rest, string(p)+"/")
		if !ok {
			continue
		}
		backend, rel, deeper := strings.Cut(below, "/")
		if !deeper {
			rel = "."
		}
		return p, backend, rel, true, false
	}
	return "", "", "", false, name == backendsName
}

// nameOf is where a member is unpacked.
func nameOf(p Part, backend, rel string) string {
	if p == Configuration {
		return path.Join(content, string(p), rel)
	}
	return path.Join(content, string(p), backend, rel)
}
