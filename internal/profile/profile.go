// Package profile is what a product is made of, as data: its components, how
// it is recognised, quiesced, restored and checked. It loads the YAML strictly,
// reads settings from the system's own configuration and decides conditions.
// Which component kinds, step types and predicates exist is told to it by a
// Registry, so that no kind or product is known here.
package profile

// Profile is one product's description. Files are in the catalogue (package
// lifeboat/profiles) or beside it on the site.
type Profile struct {
	Name       string             `yaml:"profile"`
	Title      string             `yaml:"title"`
	Summary    string             `yaml:"summary,omitempty"`
	Detect     *Condition         `yaml:"detect"`
	Settings   map[string]Setting `yaml:"settings,omitempty"`
	Identity   Identity           `yaml:"identity,omitempty"`
	Quiesce    Quiesce            `yaml:"quiesce,omitempty"`
	Components []Component        `yaml:"components"`
	Notices    []Notice           `yaml:"notices,omitempty"`
	Recovery   Recovery           `yaml:"recovery"`

	Source string `yaml:"-"` // file the profile was read from, for messages
	Text   []byte `yaml:"-"` // its bytes, kept in every recovery point
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
	Name       string     `yaml:"name"`
	Kind       string     `yaml:"kind"`
	Title      string     `yaml:"title,omitempty"`
	Importance Importance `yaml:"importance"`
	Capture    Capture    `yaml:"capture,omitempty"` // default: quiesced
	Loss       string     `yaml:"loss"`              // what is gone without it
	Regain     string     `yaml:"regain,omitempty"`  // how an optional part comes back without a backup, say by mirroring again
	Secret     bool       `yaml:"secret,omitempty"`  // never readable by others than root once restored aside
	Needs      []string   `yaml:"needs,omitempty"`   // components restored before this one
	When       string     `yaml:"when,omitempty"`    // expr over settings and facts

	// Options are the kind's own keys, decoded into what the Registry's Kind
	// gave; nil until loaded.
	Options any `yaml:"-"`
	Line    int `yaml:"-"`
}

// Quiesce says how a system is stopped for capture and started again.
// Each entry is an argument list split on spaces (quotes are honoured).
type Quiesce struct {
	Stop    []string  `yaml:"stop,omitempty"`
	Start   []string  `yaml:"start,omitempty"`
	WaitFor []WaitFor `yaml:"wait_for,omitempty"` // the product's own running jobs
	// Running is true while the system runs; nothing is stopped or started
	// when it was not running before.
	Running *Condition `yaml:"running,omitempty"`
	// Hold keeps the system stopped, across reboots too, while a recovery is
	// not finished; Release is its reverse.
	Hold    []string `yaml:"hold,omitempty"`
	Release []string `yaml:"release,omitempty"`
}

// WaitFor is a running job that must end before the system is stopped.
type WaitFor struct {
	Lock    string `yaml:"lock"`              // pid file; a dead pid counts as no job
	Title   string `yaml:"title,omitempty"`   // what is waited for
	Timeout string `yaml:"timeout,omitempty"` // Go duration; default 4h
}

// Notice is something worth telling in a review, a backup or a recovery.
type Notice struct {
	When *Condition `yaml:"when"`
	Say  string     `yaml:"say"`
	Hint string     `yaml:"hint,omitempty"`
}

// Identity names what must agree between a recovery point and the machine it
// is restored to. Facts are named values; hostname, os and addresses are always
// there.
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

// Step is one typed step of a recovery. The YAML mapping has exactly one key
// that names a registered step type; what stands under it is that type's
// options, and the keys below are common to all.
type Step struct {
	Type    string     `yaml:"-"`
	Options any        `yaml:"-"`
	ID      string     `yaml:"id,omitempty"`    // default: type and target
	Title   string     `yaml:"title,omitempty"` // default: made by the type
	Needs   []string   `yaml:"needs,omitempty"` // ids of steps; default: the step before
	When    string     `yaml:"when,omitempty"`  // expr over settings, facts and point
	Done    *Condition `yaml:"done,omitempty"`  // how to see that it happened
	Repeat  string     `yaml:"repeat,omitempty"`
	Warn    bool       `yaml:"warn,omitempty"` // a failure is a warning
	Drill   *Step      `yaml:"drill,omitempty"`
	Line    int        `yaml:"-"`
}
