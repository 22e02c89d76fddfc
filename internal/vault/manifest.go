package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
)

// ManifestFormat is the version of the manifest's JSON that this program
// writes. A reader refuses a newer one.
const ManifestFormat = 1

// Places of Lifeboat's own files in every recovery point.
const (
	Dir          = "/.lifeboat"
	ManifestPath = Dir + "/manifest.json"
	RunbookPath  = Dir + "/RUNBOOK.md"
	ProfilePath  = Dir + "/profile.yaml"
)

// maxManifest bounds a manifest read from a repository, in bytes.
const maxManifest = 64 << 20

// Trigger says why a recovery point was made.
type Trigger string

// The reasons for a recovery point.
const (
	Manual        Trigger = "manual"
	Scheduled     Trigger = "scheduled"
	BeforeUpgrade Trigger = "before-upgrade"
	Imported      Trigger = "imported"
)

// Manifest describes a recovery point. It is stored as /.lifeboat/manifest.json
// and holds no secret.
type Manifest struct {
	Format        int       `json:"format"`
	Version       string    `json:"lifeboat_version"`
	System        string    `json:"system"`
	Profile       string    `json:"profile"`
	ProfileDigest string    `json:"profile_sha256"`
	Trigger       Trigger   `json:"trigger"`
	Run           string    `json:"run,omitempty"`
	Started       time.Time `json:"started"`
	// Moment is when the quiesced components were captured: data written
	// later is not in the point. RPO counts from here.
	Moment     time.Time          `json:"moment"`
	Finished   time.Time          `json:"finished"`
	Incomplete bool               `json:"incomplete,omitempty"`
	Identity   map[string]string  `json:"identity"`
	Host       host.Facts         `json:"host"`
	Settings   map[string]string  `json:"settings"`
	Components []component.Record `json:"components"`
	// Records are answers of the running system, kept for comparison after a
	// recovery: name → rows.
	Records  map[string][][]string `json:"records,omitempty"`
	Owners   OwnerTable            `json:"owners"`
	Tools    map[string]string     `json:"tools,omitempty"`
	Warnings []string              `json:"warnings,omitempty"`
	// Unusable tells, of an import, by component why the product would not run with
	// the configuration in it.
	Unusable map[string][]string `json:"unusable,omitempty"`
}

// Component returns the entry of a component that was captured.
func (m *Manifest) Component(name string) (component.Record, error) {
	for _, r := range m.Components {
		if r.Name != name {
			continue
		}
		if r.Status != component.StatusCaptured {
			return r, fmt.Errorf("component %s is %s in this recovery point: %s: %w", name, r.Status, r.Reason, ErrNotCaptured)
		}
		return r, nil
	}
	return component.Record{}, fmt.Errorf("component %s: %w", name, ErrNotCaptured)
}

// Lacks lists the critical components that the point does not hold although
// they apply to its machine: the system cannot be recovered from it alone.
func (m *Manifest) Lacks() []string {
	var names []string
	for _, r := range m.Components {
		if r.Importance == profile.Critical && r.Status != component.StatusCaptured && r.Status != component.StatusInapplicable {
			names = append(names, r.Name)
		}
	}
	return names
}

// maxNoted bounds what Noted tells of one component.
const maxNoted = 25

// Noted lists what a person should know of the point: its own warnings and those
// of its components, of each the first few.
func (m *Manifest) Noted() []string {
	all := slices.Clone(m.Warnings)
	for _, r := range m.Components {
		all = append(all, m.NotedOf(r.Name)...)
	}
	return all
}

// NotedOf is the share of one component in Noted.
func (m *Manifest) NotedOf(name string) []string {
	var all []string
	for _, r := range m.Components {
		if r.Name != name {
			continue
		}
		for i, w := range r.Warnings {
			if i == maxNoted {
				return append(all, fmt.Sprintf("%s: and %d more warnings, see its manifest", r.Name, len(r.Warnings)-i))
			}
			all = append(all, r.Name+": "+w)
		}
	}
	return all
}

// Bytes is the size of everything captured, in bytes.
func (m *Manifest) Bytes() int64 {
	var n int64
	for _, r := range m.Components {
		n += r.Bytes
	}
	return n
}

func (m *Manifest) encode() ([]byte, error) {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(data, '\n'), nil
}

// decodeManifest reads foreign bytes.
func decodeManifest(data []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	switch {
	case m.Format < 1:
		return nil, errors.New("read manifest: no format version")
	case m.Format > ManifestFormat:
		return nil, fmt.Errorf("the manifest has format %d and this lifeboat reads up to %d: update lifeboat on this machine", m.Format, ManifestFormat)
	case m.System == "":
		return nil, errors.New("read manifest: no system name")
	}
	return &m, nil
}
