package medium

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"lifeboat/internal/excerpt"
)

// ErrAddress says that an address cannot be used.
var ErrAddress = errors.New("it is no address of an installation source")

// place is an address, taken apart.
type place struct {
	scheme string // dir, iso, http, https, ftp, nfs, smb, tftp
	host   string // name or address
	port   string // "" is the usual one
	path   string // absolute, decoded; of a file or directory of this machine
	query  string
}

// schemes are those of servers.
var schemes = map[string]string{"http": "80", "https": "443", "ftp": "21", "nfs": "", "smb": "445", "tftp": "69"}

// parse takes an address apart: a path of this machine, or a URL. One with a password is
// refused: it would stand in the list of processes and in reports.
func parse(text string) (place, error) {
	bad := func(format string, args ...any) (place, error) {
		return place{}, fmt.Errorf("%w: %s", ErrAddress, fmt.Sprintf(format, args...))
	}
	if !excerpt.Plain(text, 4096) || text == "" {
		return bad("it is empty, too long, or holds characters that do not print")
	}
	scheme, _, isURL := strings.Cut(text, ":")
	if !isURL || strings.Contains(scheme, "/") {
		abs, err := filepath.Abs(text)
		if err != nil {
			return place{}, err
		}
		return local(abs)
	}
	u, err := url.Parse(text)
	if err != nil {
		return bad("%q cannot be read", excerpt.Line(text, 200))
	}
	switch u.Scheme {
	case "dir", "file", "hd", "iso":
		if u.Host != "" || !path.IsAbs(u.Path) {
			return bad("%s names a path of this machine, such as %s:///media/dvd", u.Scheme, u.Scheme)
		}
		return local(u.Path)
	case "cifs":
		u.Scheme = "smb"
	case "slp":
		return bad("SLP is not asked; give the address that slptool findsrvs install.suse shows")
	}
	if _, known := schemes[u.Scheme]; !known {
		return bad("%q is none of http, https, ftp, nfs, smb, tftp, and no path of this machine", excerpt.Line(u.Scheme, 20))
	}
	switch {
	case u.User != nil:
		return bad("name and password do not belong in it; put them into a file and give that with --credentials")
	case u.Host == "" || u.Hostname() == "":
		return bad("it names no server; one looks like %s://server/path", u.Scheme)
	case strings.HasPrefix(u.Hostname(), "-"):
		return bad("%q is no name of a server", excerpt.Line(u.Hostname(), 100))
	case u.Fragment != "" || u.RawQuery != "" && !strings.HasPrefix(u.Scheme, "http"):
		return bad("there is something behind a ? or # in it")
	}
	if !excerpt.Plain("/"+u.Path, 4096) || strings.Contains(u.Path, "\\") {
		return bad("its path holds characters that do not print")
	}
	return place{scheme: u.Scheme, host: u.Hostname(), port: u.Port(), path: path.Clean("/" + u.Path), query: u.RawQuery}, nil
}

func local(name string) (place, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return place{}, fmt.Errorf("installation source: %w", err)
	case info.IsDir():
		return place{scheme: "dir", path: name}, nil
	case info.Mode().IsRegular() || info.Mode()&fs.ModeDevice != 0 && info.Mode()&fs.ModeCharDevice == 0:
		return place{scheme: "iso", path: name}, nil
	}
	return place{}, fmt.Errorf("%w: %s is neither a directory nor an image", ErrAddress, name)
}

// server is host and port to dial.
func (p place) server() string {
	port := p.port
	if port == "" {
		port = schemes[p.scheme]
	}
	return net.JoinHostPort(p.host, port)
}

// String is the address as people write it; a file of this machine is its path. What is
// behind a ? may be a secret of the mirror, and is not shown.
func (p place) String() string {
	switch p.scheme {
	case "dir", "iso":
		return p.path
	}
	host := p.host
	if p.port != "" {
		host = net.JoinHostPort(p.host, p.port)
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return (&url.URL{Scheme: p.scheme, Host: host, Path: p.path}).String()
}

// goodName tells whether a name that a source gives is one of a file below it, and means
// the same to every protocol.
func goodName(name string) bool {
	return fs.ValidPath(name) && name != "." && excerpt.Plain(name, 1024) && !strings.ContainsAny(name, "\\:*?\"<>|")
}

// Login is a name and password, for servers that ask.
type Login struct{ Domain, User, Password string }

// ReadLogin reads a file in the form of mount.cifs(8): username=, password=, domain=, a
// line each. Others must not be able to read it.
func ReadLogin(name string) (Login, error) {
	var l Login
	f, err := os.Open(name)
	if err != nil {
		return l, fmt.Errorf("credentials: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return l, fmt.Errorf("credentials: %w", err)
	case !info.Mode().IsRegular() || info.Size() > maxLogin:
		return l, fmt.Errorf("credentials: %s is no short file", name)
	case info.Mode().Perm()&0o077 != 0:
		return l, fmt.Errorf("credentials: others than its owner can read %s; chmod 600 it", name)
	}
	text, err := bounded(f, maxLogin)
	if err != nil {
		return l, fmt.Errorf("credentials: %s: %w", name, err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimLeft(lines.Text(), " \t")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		switch strings.TrimSpace(key) {
		case "username", "user":
			l.User = value
		case "password", "pass":
			l.Password = value
		case "domain", "dom", "workgroup":
			l.Domain = value
		default:
			ok = false
		}
		if !ok {
			return l, fmt.Errorf("credentials: %s:%d: it is none of username=, password=, domain=", name, n)
		}
	}
	if err := lines.Err(); err != nil {
		return l, fmt.Errorf("credentials: %s: %w", name, err)
	}
	if l.User == "" {
		return l, fmt.Errorf("credentials: %s names no user", name)
	}
	return l, nil
}

const maxLogin = 16 << 10
