package configuration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Mark stands in the open half of a host that ReaR alone recovers, in place of its
// files: the half tells by it whose it is.
var Mark = File{Path: "/var/lib/rear/lifeboat", Mode: 0o644, Content: []byte("All other files are kept sealed.\n")}

// Conceal takes the files out of an open half, and gives them to be put into the
// secret half: commands, addresses and remarks in any of them may hold a password.
func (o *Open) Conceal() []File {
	files := slices.DeleteFunc(o.Files, func(f File) bool { return reflect.DeepEqual(f, Mark) })
	o.Files = nil
	if len(o.Systems) == 0 {
		o.Files = []File{Mark}
	}
	return files
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

// Public is an encoded open half as it is given to whoever asks: one from before files
// were sealed loses them. All others come back as they are, and cost next to nothing.
func Public(open []byte) ([]byte, error) {
	if !bytes.Contains(open, []byte(`,"files":[`)) {
		return open, nil
	}
	o := new(Open)
	if err := json.Unmarshal(open, o); err != nil {
		return nil, fmt.Errorf("recovery configuration: %w: %w", ErrContent, err)
	}
	if len(o.Conceal()) == 0 {
		return open, nil
	}
	return o.Encode()
}
