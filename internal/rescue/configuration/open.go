// Package configuration is the recovery configuration of a host: what a rescue
// system needs to know to recover exactly that host. It is data and nothing in it
// is a program. Its open half holds no secret; its secret half rests sealed under
// the fleet's key and travels sealed under a one-time code. What is sent is signed.
// Files, networks and the recovery itself must not enter: this room turns bytes into
// checked values and back, for the host, the fleet server and the rescue system.
package configuration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/fleet/record"
)

// Format is the version of everything in this package; a reader takes no other.
const Format = 1

// Bounds, in bytes and in entries.
const (
	MaxEnvelope = 24 << 20 // of the signed whole as it is sent
	MaxOpen     = 8 << 20  // of the open half in JSON
	MaxSecret   = 6 << 20  // of the secret half in JSON
	MaxRecord   = 1 << 20  // of the layout, or the network, as it comes
	MaxFiles    = 2000
	MaxSystems  = 200
	MaxName     = 255
	maxLocation = 4096
)

// Errors that say why content is not taken; they are wrapped with what was found.
var (
	ErrContent = errors.New("the content is not allowed")
	ErrFormat  = errors.New("the format is not known")
)

// Open is what of a recovery configuration anybody may see who knows the host's
// name: a record of our own, and no text that somebody has written, since any of it may
// hold a password. The same state of a host gives the same bytes (Encode): times and
// recovery points are not in it.
type Open struct {
	Format int `json:"format"`
	// Identity is the machine's as it was; a rescue system compares it with its own.
	Identity     record.Identity `json:"identity"`
	Systems      []System        `json:"systems"` // none: a host that ReaR alone recovers
	Repositories []Repository    `json:"repositories"`
	Network      json.RawMessage `json:"network,omitempty"` // the record of kind network
	Layout       json.RawMessage `json:"layout,omitempty"`  // the record of the disks
	// Files are read and put in place, for files that a site signs itself; the fleet
	// gives none here but Mark (Conceal).
	Files []File `json:"files,omitempty"`
}

// System is one system to recover, in the order in which they are recovered.
type System struct {
	Name    string `json:"name"`
	Profile string `json:"profile"`
	// Digest is "": by it, what is short and secret in a site's own profile could be
	// guessed. Hosts with an older lifeboat send it.
	Digest string `json:"digest"`
	// Repositories are names; points come from the first that can be used.
	Repositories []string `json:"repositories"`
}

// Repository says where recovery points are.
type Repository struct {
	Name     string `json:"name"`
	Location string `json:"location"` // as redact.Public gives it
}

// Encode checks the open half and gives its only form in JSON.
func (o *Open) Encode() ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("recovery configuration: %w: %w", ErrContent, err)
	}
	if len(text) > MaxOpen {
		return nil, fmt.Errorf("recovery configuration: %w: it has %d bytes, more than %d", ErrContent, len(text), MaxOpen)
	}
	return text, nil
}

// ParseOpen reads what Encode wrote, and nothing that only looks alike: unknown,
// doubled and misspelt keys are refused.
func ParseOpen(text []byte) (*Open, error) {
	o := new(Open)
	return o, parse(text, MaxOpen, o)
}

// checked are the parts of a configuration: they have a format, and one form.
type checked interface {
	check() error
	format() int
}

func (o *Open) format() int { return o.Format }

// parse reads bounded JSON that is exactly what writing the value gives.
func parse(text []byte, most int, into checked) error {
	if len(text) > most {
		return fmt.Errorf("recovery configuration: %w: a part of it has more than %d bytes", ErrContent, most)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("recovery configuration: %w: %w", ErrContent, err)
	}
	if f := into.format(); f != Format {
		return fmt.Errorf("recovery configuration: %w: it is %d and this lifeboat reads %d: use a lifeboat of the same age (lifeboat rescue update)", ErrFormat, f, Format)
	}
	if err := into.check(); err != nil {
		return err
	}
	again, err := json.Marshal(into)
	if err != nil || !bytes.Equal(again, text) {
		return fmt.Errorf("recovery configuration: %w: it is not written the one way that is allowed", ErrContent)
	}
	return nil
}

func (o *Open) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("recovery configuration: %w: %s", ErrContent, fmt.Sprintf(format, args...))
	}
	switch {
	case o.Format != Format:
		return fmt.Errorf("recovery configuration: %w: it is %d", ErrFormat, o.Format)
	case len(o.Systems) == 0 && !slices.ContainsFunc(o.Files, File.forReaR):
		return bad("it names no system to recover, and holds nothing for ReaR")
	case len(o.Systems) > MaxSystems || len(o.Repositories) > MaxSystems:
		return bad("it names more than %d systems or repositories", MaxSystems)
	case len(o.Network) > MaxRecord || len(o.Layout) > MaxRecord:
		return bad("the record of the network or the disks has more than %d bytes", MaxRecord)
	}
	id := o.Identity
	for _, text := range append([]string{id.Hostname, id.Serial, id.UUID}, id.MACs...) {
		if !excerpt.Plain(text, MaxName) {
			return bad("the machine's identity %q holds control characters or is too long", excerpt.Line(text, 60))
		}
	}
	repositories := map[string]bool{}
	for _, r := range o.Repositories {
		switch {
		case !Name(r.Name):
			return bad("%q is no name of a repository", excerpt.Line(r.Name, 60))
		case repositories[r.Name]:
			return bad("repository %s is there twice", r.Name)
		case r.Location == "" || !excerpt.Plain(r.Location, maxLocation):
			return bad("the location of repository %s is empty, too long or holds control characters", r.Name)
		}
		repositories[r.Name] = true
	}
	systems := map[string]bool{}
	for _, s := range o.Systems {
		switch {
		case !Name(s.Name) || !Name(s.Profile):
			return bad("%q with profile %q is no system", excerpt.Line(s.Name, 60), excerpt.Line(s.Profile, 60))
		case systems[s.Name]:
			return bad("system %s is there twice", s.Name)
		case !excerpt.Plain(s.Digest, MaxName):
			return bad("the profile's digest of system %s holds control characters or is too long", s.Name)
		case len(s.Repositories) == 0:
			return bad("system %s has no repository", s.Name)
		}
		for i, r := range s.Repositories {
			if !repositories[r] || slices.Contains(s.Repositories[:i], r) {
				return bad("system %s: the repository %q is unknown or named twice", s.Name, excerpt.Line(r, 60))
			}
		}
		systems[s.Name] = true
	}
	return checkFiles(o.Files, false)
}

// Name tells whether a text may name a system, profile or repository: lower-case
// letters, digits, dots, hyphens and underscores, as lifeboat.yaml has them.
func Name(text string) bool {
	if text == "" || len(text) > MaxName || strings.ContainsRune("._-", rune(text[0])) {
		return false
	}
	return strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}
