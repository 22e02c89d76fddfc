package configuration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"lifeboat/internal/storage/redact"
)

// Mark stands in the open half of a host that ReaR alone recovers, in place of its
// files: the half tells by it whose it is.
var Mark = File{Path: "/var/lib/rear/lifeboat", Mode: 0o644, Content: []byte("All other files are kept sealed.\n")}

// Conceal takes out of an open half what hosts with an older lifeboat send: files, for
// commands, addresses and remarks in any of them may hold a password, who signs in to
// repositories, and profiles' digests. It gives the files, to be put into the secret
// half, and tells whether there was anything.
func (o *Open) Conceal() (files []File, any bool) {
	files = slices.DeleteFunc(o.Files, func(f File) bool { return reflect.DeepEqual(f, Mark) })
	any = len(files) > 0
	o.Files = nil
	if len(o.Systems) == 0 {
		o.Files = []File{Mark}
	}
	for i, r := range o.Repositories {
		o.Repositories[i].Location = redact.Public(r.Location)
		any = any || o.Repositories[i] != r
	}
	for i, s := range o.Systems {
		o.Systems[i].Digest = ""
		any = any || s.Digest != ""
	}
	return files, any
}

// Take puts files into the secret half. One that is there already stays.
func (s *Secret) Take(files []File) {
	for _, f := range files {
		if slices.ContainsFunc(s.Files, func(o File) bool { return o.Path == f.Path }) {
			continue
		}
		f.Mode &= 0o700
		s.Files = append(s.Files, f)
	}
	slices.SortFunc(s.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
}

// Public is an encoded open half as it is given to whoever asks: an older one loses what
// Conceal takes. All others come back as they are, and cost next to nothing.
func Public(open []byte) ([]byte, error) {
	if !older(open) {
		return open, nil
	}
	o := new(Open)
	if err := json.Unmarshal(open, o); err != nil {
		return nil, fmt.Errorf("recovery configuration: %w: %w", ErrContent, err)
	}
	if _, any := o.Conceal(); !any {
		return open, nil
	}
	return o.Encode()
}

// older tells that something may have to be taken out of an encoded open half, without
// taking it apart: all machines of a fleet that is lost ask for theirs at once.
func older(open []byte) bool {
	if bytes.Contains(open, []byte(`,"files":[`)) {
		return true
	}
	for value := range values(open, `"digest":"`) {
		if len(value) > 0 {
			return true
		}
	}
	for value := range values(open, `"location":"`) {
		if bytes.ContainsAny(value, "@?#\\") {
			return true
		}
	}
	return false
}

// values are the texts that stand behind a key, as far as a quotation mark.
func values(open []byte, key string) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for {
			_, rest, found := bytes.Cut(open, []byte(key))
			if !found {
				return
			}
			value, after, _ := bytes.Cut(rest, []byte(`"`))
			if !yield(value) {
				return
			}
			open = after
		}
	}
}
