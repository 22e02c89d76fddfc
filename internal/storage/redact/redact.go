// Package redact takes out of the address of a repository what is a secret, for messages
// and for others to see. It is apart from the stores for those who only show addresses.
package redact

import (
	"net/url"
	"regexp"
	"strings"
)

// URL returns a repository's URL without the password that rest: URLs may
// hold, for messages and logs. What it cannot read it cuts off behind the
// scheme when there may be a password in it.
func URL(address string) string {
	scheme, rest, found := strings.Cut(address, ":")
	if !found || !strings.Contains(rest, "@") || strings.HasPrefix(address, "/") || strings.HasPrefix(address, ".") || scheme == "local" {
		return address
	}
	if !strings.Contains(rest, "://") {
		// sftp:user@host:path has no place for a password; sftp://… is a URL.
		if scheme == "sftp" && !strings.HasPrefix(rest, "//") {
			return address
		}
		scheme, rest = "", address
	} else {
		scheme += ":"
	}
	u, err := url.Parse(rest)
	if err != nil || u.Opaque != "" {
		return address[:strings.Index(address, ":")+1] + "…"
	}
	if _, set := u.User.Password(); set {
		u.User = url.User(u.User.Username())
	}
	return scheme + u.String()
}

// Public returns a repository's URL for everybody to see: without password, and, where
// the store is reached by HTTP, without the user's name and parameters, which may let
// one in there. sftp keeps its user's name: it takes a key beside it.
func Public(address string) string {
	address = URL(address)
	scheme, rest, found := strings.Cut(address, "://")
	if before, _, _ := strings.Cut(scheme, ":"); !found || before != "rest" && before != "s3" {
		return address
	}
	rest = rest[:strings.IndexAny(rest+"?", "?#")]
	server, place, _ := strings.Cut(rest, "/")
	return scheme + "://" + server[strings.LastIndex(server, "@")+1:] + "/" + place
}

// userinfo is who signs in to a store that is reached by HTTP, as it stands in a text or
// in JSON.
var userinfo = regexp.MustCompile(`\b((?:rest|s3):https?://)[^/\s"\\]*@`)

// Text returns a text, or JSON, with the addresses of repositories in it as Public gives
// them, but for their parameters.
func Text(text []byte) []byte { return userinfo.ReplaceAll(text, []byte("$1")) }
