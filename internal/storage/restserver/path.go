package restserver

import (
	"errors"
	"strings"

	"lifeboat/internal/storage"
)

// request is what a path asks for.
type request struct {
	repository string // its segments, joined by slashes; "" for the root
	what       what
	handle     storage.Handle // of a file; of a list only the type
}

type what int

const (
	theRepository what = iota
	theList
	theFile
)

// space is what a quota is for, and in private repositories the user.
func (r request) space() string {
	space, _, _ := strings.Cut(r.repository, "/")
	return space
}

// Bounds of paths.
const (
	maxSegments = 8
	maxSegment  = 128 // bytes
)

var errPath = errors.New("there is no such place")

// parse reads a path: /REPOSITORY/, /REPOSITORY/config, /REPOSITORY/TYPE/ or
// /REPOSITORY/TYPE/NAME, where REPOSITORY is any number of segments, and may be
// none. What it returns leads out of no directory.
func parse(path string) (request, error) {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return request{}, errPath
	}
	segments := strings.Split(rest, "/")
	last := len(segments) - 1
	var r request
	switch {
	case segments[last] == "config":
		r.what, r.handle = theFile, storage.Handle{Type: storage.Config}
		segments = segments[:last]
	case last >= 1 && storage.ValidName(segments[last]):
		t, ok := kind(segments[last-1])
		if !ok {
			return request{}, errPath
		}
		r.what, r.handle = theFile, storage.Handle{Type: t, Name: segments[last]}
		segments = segments[:last-1]
	case segments[last] == "":
		segments = segments[:last]
		if last >= 1 {
			if t, ok := kind(segments[last-1]); ok {
				r.what, r.handle = theList, storage.Handle{Type: t}
				segments = segments[:last-1]
			}
		}
	default: // restic sends some requests without the last slash
		if t, ok := kind(segments[last]); ok {
			r.what, r.handle = theList, storage.Handle{Type: t}
			segments = segments[:last]
		}
	}
	if len(segments) > maxSegments {
		return request{}, errPath
	}
	for _, s := range segments {
		if !validSegment(s) {
			return request{}, errPath
		}
	}
	r.repository = strings.Join(segments, "/")
	return r, nil
}

func kind(dir string) (storage.Type, bool) {
	for _, t := range storage.Types {
		if t.Dir() == dir {
			return t, true
		}
	}
	return 0, false
}

// validSegment allows what is a plain file name everywhere and no part of a
// repository: letters, digits, and . _ - @ + = within.
func validSegment(s string) bool {
	if s == "" || len(s) > maxSegment || s[0] == '.' || s == "config" {
		return false
	}
	if _, reserved := kind(s); reserved {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("._-@+=", c) >= 0:
		default:
			return false
		}
	}
	return true
}
