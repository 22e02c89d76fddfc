package rest

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Place says where a server keeps a repository.
type Place struct {
	URL    *url.URL // without user and password; its path begins and ends with /
	Socket string   // a Unix socket to be used in place of the URL's host; may be empty
	User   string
	secret string // a password that the address held
}

const form = "rest:https://HOST:PORT/PATH/"

// ParseURL reads restic's notation: rest:http[s]://[USER:PASSWORD@]HOST[:PORT]/PATH/
// and rest:http+unix:///SOCKET:/PATH/.
func ParseURL(address string) (Place, error) {
	rest, ok := strings.CutPrefix(address, "rest:")
	if !ok {
		return Place{}, errors.New("it is not a rest: address")
	}
	u, err := url.Parse(rest)
	if err != nil {
		// The error of url.Parse would repeat the address, password and all.
		return Place{}, fmt.Errorf("the rest: address cannot be read; it has the form %s", form)
	}
	p := Place{URL: u, User: u.User.Username()}
	p.secret, _ = u.User.Password()
	u.User = nil
	switch u.Scheme {
	case "http", "https":
		if u.Hostname() == "" {
			return Place{}, fmt.Errorf("the rest: address names no host; it has the form %s", form)
		}
	case "http+unix":
		socket, path, found := strings.Cut(u.Path, ":")
		if u.Host != "" || !found || socket == "" {
			return Place{}, errors.New("the rest: address names no socket; it has the form rest:http+unix:///SOCKET:/PATH/")
		}
		p.Socket = socket
		u.Path, u.RawPath = path, ""
	default:
		return Place{}, fmt.Errorf("a rest: address with %q; it has the form %s", u.Scheme, form)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return Place{}, errors.New("a rest: address ends with the path; write ? and # as %3F and %23")
	}
	if slices.ContainsFunc(strings.Split(u.Path, "/"), func(s string) bool { return s == "." || s == ".." }) {
		return Place{}, errors.New("a rest: address with . or .. in its path is not supported")
	}
	u.Path = "/" + strings.Trim(u.Path, "/") + "/"
	if u.Path == "//" {
		u.Path = "/"
	}
	u.RawPath = ""
	return p, nil
}

// String is the address in restic's notation, without a password.
func (p Place) String() string {
	u := *p.URL
	if p.Socket != "" {
		u.Path = p.Socket + ":" + u.Path
	}
	if p.User != "" {
		u.User = url.User(p.User)
	}
	return "rest:" + u.String()
}
