package sftp

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strings"
)

// Place says where a repository lies on which host.
type Place struct {
	User string // empty for the name of the local user
	Host string
	Port string // "22" if the address has none
	Path string // relative to the user's home directory unless it begins with /
}

// ParseURL reads restic's notation: sftp:[USER@]HOST:PATH, or
// sftp://[USER@]HOST[:PORT]/PATH, in which an absolute path begins with a second
// slash.
func ParseURL(address string) (Place, error) {
	rest, ok := strings.CutPrefix(address, "sftp:")
	if !ok {
		return Place{}, fmt.Errorf("%q is not an sftp: address", address)
	}
	var p Place
	if strings.HasPrefix(rest, "//") {
		u, err := url.Parse(address)
		if err != nil {
			return Place{}, errors.New("the sftp: address cannot be read; it has the form sftp://USER@HOST:PORT//PATH")
		}
		if _, set := u.User.Password(); set {
			return Place{}, errors.New("a password does not belong into an sftp: address; use a key, or give the password by file, command or environment")
		}
		p = Place{User: u.User.Username(), Host: u.Hostname(), Port: u.Port(), Path: strings.TrimPrefix(u.Path, "/")}
		if u.RawQuery != "" || u.Fragment != "" {
			return Place{}, fmt.Errorf("%s: an sftp: address ends with the path; write ? and # as %%3F and %%23", address)
		}
	} else {
		host := rest
		if at := strings.LastIndex(host[:max(0, strings.Index(host, ":"))], "@"); at >= 0 {
			p.User, host = host[:at], host[at+1:]
		}
		if strings.HasPrefix(host, "[") { // an IPv6 address
			end := strings.Index(host, "]:")
			if end < 0 {
				return Place{}, fmt.Errorf("%s: it has the form sftp:USER@HOST:PATH", address)
			}
			p.Host, p.Path = host[1:end], host[end+2:]
		} else {
			var found bool
			if p.Host, p.Path, found = strings.Cut(host, ":"); !found {
				return Place{}, fmt.Errorf("%s names no directory; it has the form sftp:USER@HOST:PATH", address)
			}
		}
	}
	if p.Host == "" || strings.ContainsAny(p.Host, "/@ ") {
		return Place{}, fmt.Errorf("%s names no host; it has the form sftp:USER@HOST:PATH", address)
	}
	if p.Path == "" {
		return Place{}, fmt.Errorf("%s names no directory; it has the form sftp:USER@HOST:PATH", address)
	}
	if p.Port == "" {
		p.Port = "22"
	}
	p.Path = path.Clean(p.Path)
	return p, nil
}

// String is the address in restic's notation.
func (p Place) String() string {
	u := url.URL{Scheme: "sftp", Host: p.Host, Path: "/" + p.Path}
	if strings.Contains(p.Host, ":") {
		u.Host = "[" + p.Host + "]"
	}
	if p.Port != "22" {
		u.Host = net.JoinHostPort(p.Host, p.Port)
	}
	if p.User != "" {
		u.User = url.User(p.User)
	}
	return u.String()
}
