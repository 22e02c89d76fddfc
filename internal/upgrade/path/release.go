package path

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Release is one release of a product on one architecture.
type Release struct {
	Product string `json:"product"`        // as the catalogue names it: SLES
	Version string `json:"version"`        // 11, 12
	SP      int    `json:"sp"`             // service pack; 0 is the first edition
	Arch    string `json:"arch,omitempty"` // as of uname(2); "" where it does not matter
}

// String is the release for people: SLES 11 SP3 (x86_64).
func (r Release) String() string {
	text := r.Name()
	if r.Arch != "" {
		text += " (" + r.Arch + ")"
	}
	return text
}

// Name is the release without its architecture: SLES 11 SP3.
func (r Release) Name() string { return r.Product + " " + r.Edition() }

// Edition is version and service pack alone: 11 SP3.
func (r Release) Edition() string {
	if r.SP == 0 {
		return r.Version
	}
	return fmt.Sprintf("%s SP%d", r.Version, r.SP)
}

// same compares what is installed, whatever the machine.
func (r Release) same(other Release) bool {
	return r.Product == other.Product && r.Version == other.Version && r.SP == other.SP
}

// maxText bounds what is read as the name of a release, in bytes.
const maxText = 200

// edition is a version with its service pack in the ways that people and machines
// write it: 12, 12 GA, 12 SP1, 12-SP1, 12.1, 12sp1.
var edition = regexp.MustCompile(`(?i)^([1-9][0-9]{0,3})(?:\.([0-9]{1,2})|[ ._-]*SP ?([0-9]{1,2})|[ ._-]*GA)?$`)

// ParseEdition reads version and service pack. The product and architecture of
// what it returns are empty.
func ParseEdition(text string) (Release, error) {
	m := edition.FindStringSubmatch(strings.TrimSpace(text))
	if len(text) > maxText || m == nil {
		return Release{}, fmt.Errorf("%q is no version; write one like 12 or 12 SP1", shorten(text))
	}
	r := Release{Version: m[1]}
	if pack := m[2] + m[3]; pack != "" {
		r.SP, _ = strconv.Atoi(pack) // two digits at most
	}
	return r, nil
}

func shorten(text string) string {
	if len(text) > 60 {
		return text[:60] + "…"
	}
	return text
}
