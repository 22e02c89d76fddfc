package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"strings"
)

// ErrTruncated says that an answer broke off before its end. Unlike ErrShort it
// says nothing about the file: the same request may well succeed later.
var ErrTruncated = errors.New("the answer broke off")

// Redact returns a repository's URL without the password that rest: URLs may
// hold, for messages and logs. What it cannot read it cuts off behind the
// scheme when there may be a password in it.
func Redact(address string) string {
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
	address = Redact(address)
	scheme, rest, found := strings.Cut(address, "://")
	if before, _, _ := strings.Cut(scheme, ":"); !found || before != "rest" && before != "s3" {
		return address
	}
	rest = rest[:strings.IndexAny(rest+"?", "?#")]
	server, place, _ := strings.Cut(rest, "/")
	return scheme + "://" + server[strings.LastIndex(server, "@")+1:] + "/" + place
}

// ValidRange refuses handles and ranges that no store takes.
func ValidRange(h Handle, offset, length int64) error {
	if err := h.Validate(); err != nil {
		return err
	}
	if offset < 0 || length < 0 || offset > math.MaxInt64-length {
		return fmt.Errorf("load %s: no file has %d bytes at %d", h, length, offset)
	}
	return nil
}

// ValidList refuses sorts of files that no store lists.
func ValidList(t Type) error {
	if t.Dir() == "" {
		return fmt.Errorf("a %s file cannot be listed", t)
	}
	return nil
}

// BeyondEnd is what Load of a store answers when its server says that a range
// begins behind the end of the file: ErrShort, unless it begins just there and
// goes to the end.
func BeyondEnd(ctx context.Context, s Store, h Handle, offset, length int64) (io.ReadCloser, error) {
	info, err := s.Stat(ctx, h)
	if err != nil {
		return nil, err
	}
	if length == 0 && offset == info.Size {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return nil, fmt.Errorf("load %s: %w: %d bytes, wanted %d at %d", h, ErrShort, info.Size, length, offset)
}
