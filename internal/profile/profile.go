// Package profile is what a product is made of, as data: its components, how
// it is recognised, quiesced, restored and checked. It loads the YAML strictly,
// reads settings from the system's own configuration and decides conditions.
// Which component kinds, step types and predicates exist is told to it by a
// Registry, so that no kind or product is known here.
package profile

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Profile is one product's description. Files are in the catalogue (package
// lifeboat/profiles) or beside it on the site.
type Profile struct {
	Name       string             `yaml:"profile" jsonschema:"required"`
	Title      string             `yaml:"title" jsonschema:"required"`
	Summary    string             `yaml:"summary,omitempty"`
	Detect     *Condition         `yaml:"detect" jsonschema:"required"`
	Settings   map[string]Setting `yaml:"settings,omitempty"`
	Identity   Identity           `yaml:"identity,omitempty"`
	Quiesce    Quiesce            `yaml:"quiesce,omitempty"`
	Components []Component        `yaml:"components,omitempty"` // missing only where there is an upgrade
	Notices    []Notice           `yaml:"notices,omitempty"`
	Elsewhere  []Elsewhere        `yaml:"elsewhere,omitempty"`
	Recovery   Recovery           `yaml:"recovery,omitempty"` // missing only where there is an upgrade
	Upgrade    *Upgrade           `yaml:"upgrade,omitempty"`

	Source string `yaml:"-"` // file the profile was read from, for messages
	Text   []byte `yaml:"-"` // its bytes, kept in every recovery point
}

// Upgrade is which release of a product may follow which, and by what means. What
// it holds is told by the Registry.
type Upgrade struct {
	Options any // what the Registry's Upgrade gave
	Line    int
}

// Protects says whether there is something to back up. A profile may also be about
// upgrades alone.
func (p *Profile) Protects() bool { return len(p.Components) > 0 }

// Digest is the SHA-256 of the profile's text, in hex.
func (p *Profile) Digest() string {
	sum := sha256.Sum256(p.Text)
	return hex.EncodeToString(sum[:])
}

// Component finds a component by name.
func (p *Profile) Component(name string) (Component, bool) {
	for _, c := range p.Components {
		if c.Name == name {
			return c, true
		}
	}
	return Component{}, false
}

// Public returns the settings that may be recorded and shown: those that the
// profile knows and does not call secret.
func (p *Profile) Public(settings map[string]string) map[string]string {
	out := map[string]string{}
	for name, value := range settings {
		if s, ok := p.Settings[name]; ok && !s.Secret {
			out[name] = value
		}
	}
	return out
}

// Secrets returns the values of the secret settings, so that they can be kept
// out of journals and messages.
func (p *Profile) Secrets(settings map[string]string) []string {
	var out []string
	for name, value := range settings {
		if p.Settings[name].Secret && value != "" {
			out = append(out, value)
		}
	}
	return out
}

// Importance says whether a system can be recovered without a component.
type Importance string

// The three degrees of importance.
const (
	Critical    Importance = "critical"    // a backup without it leaves no recovery point
	Recommended Importance = "recommended" // without it the point is marked incomplete
	Optional    Importance = "optional"    // backed up only when chosen
)

// Capture says in which state of the system a component is read.
type Capture string

// The two ways to capture.
const (
	Quiesced Capture = "quiesced" // while the system is stopped
	Live     Capture = "live"     // while it runs
)

// Component is a part captured and restored as a unit.
type Component struct {
	Name       string     `yaml:"name" jsonschema:"required"`
	Kind       string     `yaml:"kind" jsonschema:"required"`
	Title      string     `yaml:"title,omitempty"` // default: the name
	Importance Importance `yaml:"importance" jsonschema:"required,enum=critical,enum=recommended,enum=optional"`
	Capture    Capture    `yaml:"capture,omitempty" jsonschema:"enum=quiesced,enum=live"` // default: quiesced
	Loss       string     `yaml:"loss" jsonschema:"required"`                             // what is gone without it
	Regain     string     `yaml:"regain,omitempty"`                                       // how an optional part comes back without a backup, say by mirroring again
	Secret     bool       `yaml:"secret,omitempty"`                                       // never readable by others than root once restored aside
	Needs      []string   `yaml:"needs,omitempty"`                                        // components restored before this one
	When       string     `yaml:"when,omitempty"`                                         // expr over settings and facts
	// SavedElsewhere are places outside of every component to which symbolic links of
	// this one lead on purpose.
	SavedElsewhere []string `yaml:"saved_elsewhere,omitempty"`

	// Options are the kind's own keys, decoded into what the Registry's Kind
	// gave; nil until loaded.
	Options any `yaml:"-"`
	Line    int `yaml:"-"`
}

// Quiesce says how a system is stopped for capture and started again. The
// conditions of stop and start are both decided before anything is stopped, so a
// start may depend on what runs then.
type Quiesce struct {
	Stop    []Command `yaml:"stop,omitempty"`
	Start   []Command `yaml:"start,omitempty"`
	WaitFor []WaitFor `yaml:"wait_for,omitempty"` // the product's own running jobs
	// Running is true while the system runs; nothing is stopped or started
	// when it was not running before. Without it the system counts as running.
	Running *Condition `yaml:"running,omitempty"`
	// Hold keeps the system stopped, across reboots too, while a recovery is
	// not finished; Release is its reverse.
	Hold    []Command `yaml:"hold,omitempty"`
	Release []Command `yaml:"release,omitempty"`
}

// Command is one program call. In YAML it is a line split on spaces, without any
// quoting; a list of arguments; or a mapping of run and when.
type Command struct {
	Run  []string `yaml:"run" jsonschema:"required"`
	When string   `yaml:"when,omitempty"` // expr over settings, facts and the machine
	Line int      `yaml:"-"`
}

// String is the command for people, with its ${settings}.
func (c Command) String() string { return strings.Join(c.Run, " ") }

// WaitFor is a running job that must end before the system is stopped.
type WaitFor struct {
	// Lock is a file that holds a pid; a dead pid counts as no job.
	Lock string `yaml:"lock,omitempty"`
	// Process is a program's name, for jobs that leave no such file: a process
	// that has it among the words of its command line is one.
	Process string `yaml:"process,omitempty"`
	// Program must occur in the command line of that pid, so that another
	// process that was given the same number is not waited for.
	Program string `yaml:"program,omitempty"`
	Title   string `yaml:"title,omitempty"`                                                                      // what is waited for
	Timeout string `yaml:"timeout,omitempty" jsonschema:"pattern=^([0-9]+(\\.[0-9]+)?(ms|sec|s|min|m|h|d|w))+$"` // as strict.ParseDuration reads it; default 4h
}

// Notice is something worth telling in a review, a backup or a recovery.
type Notice struct {
	When *Condition `yaml:"when" jsonschema:"required"`
	Say  string     `yaml:"say" jsonschema:"required"`
	Hint string     `yaml:"hint,omitempty"`
	// Warn makes it a warning of each backup, and part of the recovery point.
	// Otherwise only a review tells it.
	Warn bool `yaml:"warn,omitempty"`
	// Refuse keeps a backup from being made, because it would lack what nobody
	// would miss before the recovery.
	Refuse bool `yaml:"refuse,omitempty"`
}

// Elsewhere is a secret that a recovery may need and that no recovery point holds.
// The recovery kit lists it, with who has it from the site's configuration.
type Elsewhere struct {
	What string `yaml:"what" jsonschema:"required"`
	For  string `yaml:"for" jsonschema:"required"` // what cannot be done without it
}

// Identity names what must agree between a recovery point and the machine it
// is restored to. Facts are named values; those of HostFacts are always there.
type Identity struct {
	Facts     map[string]Setting `yaml:"facts,omitempty"` // e.g. version, line, schema
	MustMatch []string           `yaml:"must_match,omitempty"`
	Warn      []string           `yaml:"warn,omitempty"`
	// Compare names, per fact, a comparison registered by a product, for facts
	// that may differ along a known path (a schema).
	Compare map[string]string `yaml:"compare,omitempty"`
}

// Recovery is the order of a recovery, stage by stage.
type Recovery struct {
	Prepare     []Step `yaml:"prepare,omitempty"`
	Restore     []Step `yaml:"restore,omitempty"`
	Repair      []Step `yaml:"repair,omitempty"`
	Start       []Step `yaml:"start,omitempty"`
	Synchronize []Step `yaml:"synchronize,omitempty"`
	Verify      []Step `yaml:"verify,omitempty"`
}

// Stage is one part of a recovery.
type Stage struct {
	Name  string
	Steps []Step
}

// Stages lists the stages in their order, also empty ones.
func (r Recovery) Stages() []Stage {
	return []Stage{
		{"prepare", r.Prepare},
		{"restore", r.Restore},
		{"repair", r.Repair},
		{"start", r.Start},
		{"synchronize", r.Synchronize},
		{"verify", r.Verify},
	}
}

// Step is one typed step of a recovery. The YAML mapping has exactly one key
// that names a registered step type; what stands under it is that type's
// options, and the keys below are common to all.
type Step struct {
	Type    string `yaml:"-"`
	Options any    `yaml:"-"`
	ID      string `yaml:"id,omitempty"`    // default: type and target
	Title   string `yaml:"title,omitempty"` // default: made by the type
	// Needs are ids given in the same stage. Without the key a step needs the
	// one before it; an empty list frees it to run beside others.
	Needs  []string   `yaml:"needs,omitempty"`
	When   string     `yaml:"when,omitempty"` // expr over settings, facts, point and the machine
	Done   *Condition `yaml:"done,omitempty"` // how to see that it happened
	Repeat string     `yaml:"repeat,omitempty" jsonschema:"enum=ask,enum=safe"`
	Warn   bool       `yaml:"warn,omitempty"` // a failure is a warning
	// Follows are components after whose restore the step runs also where only parts are
	// restored; else it belongs to a recovery of the whole.
	Follows []string `yaml:"follows,omitempty"`
	Drill   *Step    `yaml:"drill,omitempty"` // what stands for it where the outside world is out of reach
	Line    int      `yaml:"-"`
}
