// Package component is the contract of everything that is captured and
// restored as a unit, and the table of its kinds; one sub-package is one kind.
// Kinds reach the machine only through package host and the repository only
// through the Sink and Source given here. No product name may enter.
package component

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
)

// Kind is one technical sort of component: files, mysql, network …
type Kind struct {
	profile.Definition
	Name string
	// New makes the component that spec describes. Options have had their
	// ${settings} expanded. It looks at nothing on the machine yet.
	New func(env Env, spec profile.Component) (Component, error)
	// Passive says that Restore compares and records, and changes nothing.
	Passive bool
	// ByHand tells a person, in Markdown, how stock tools put back what is not
	// restored with the files: a database, say. Nil when there is nothing to tell.
	ByHand func(record Record) string
	// Schema tells which product's data a captured record holds, and in which
	// version of its schema; "" for what is not known. Nil for kinds without one.
	Schema func(record Record) (product, version string)
	// Server is the program that keeps the data; nil for kinds without one.
	Server *Server
}

// Server is a database server as distributions run it.
type Server struct {
	Services  []string // by these names
	Directory string   // the statement that tells where its files are
}

// Make builds the component that spec describes, with the kind's options
// expanded by the settings in env.
func Make(kinds map[string]Kind, env Env, spec profile.Component) (Component, error) {
	kind, ok := kinds[spec.Kind]
	if !ok {
		return nil, fmt.Errorf("component %s: unknown kind %q", spec.Name, spec.Kind)
	}
	options, err := profile.ExpandOptions(spec.Options, env.Settings)
	if err != nil {
		return nil, fmt.Errorf("component %s: %w", spec.Name, err)
	}
	spec.Options = options
	c, err := kind.New(env, spec)
	if err != nil {
		return nil, fmt.Errorf("component %s: %w", spec.Name, err)
	}
	return c, nil
}

// Querier is implemented by components that are databases.
type Querier interface {
	// Query runs one reading statement as administrator and returns its rows.
	// NULL is the text "NULL".
	Query(ctx context.Context, statement string) ([][]string, error)
	// Exec runs one changing statement as administrator.
	Exec(ctx context.Context, statement string) error
	// Login tries the application's own account with its configured password.
	Login(ctx context.Context) error
}

// Admitter is implemented by databases that can let the application's own account in.
type Admitter interface {
	// Refused tells whether an error of Login is one of the account or its
	// password, and not of the way to the server.
	Refused(err error) bool
	// Admit gives the account the configured password, and rights on the
	// database if it has none. It returns what was done, "" when Login works
	// already. No error has the password. What was before is kept in Env.State.
	Admit(ctx context.Context) (string, error)
	// Withdraw makes the account what it was before Admit; it may be repeated.
	Withdraw(ctx context.Context) error
}

// Counter is implemented by databases that can count what is in them.
type Counter interface {
	// Count counts what is in the database now. An error is also that a product is
	// just changing its schema.
	Count(ctx context.Context) (Census, error)
}

// Census is what is in a database.
type Census struct {
	Schema  string           `json:"schema,omitempty"`  // its version, by the product's own record
	Rows    map[string]int64 `json:"rows"`              // by table
	Lacking []string         `json:"lacking,omitempty"` // tables that belong to this version of the schema
}

// Reacher is implemented by kinds that restore through a service, which has to run.
type Reacher interface {
	// Reach returns why the service does not answer; it changes nothing.
	Reach(ctx context.Context) error
}

// Transactor is implemented by databases that can change rows all at once.
type Transactor interface {
	// Transact runs changing statements on one connection, as administrator and
	// in one transaction. Statements that define tables end it early.
	Transact(ctx context.Context, statements []string) error
}

// Stager is implemented by databases that can be looked at as they were captured.
type Stager interface {
	// Stage loads the content into a private server, beside the machine's own.
	// State is a directory for what the server's access needs.
	Stage(ctx context.Context, source Source, state string) (Staged, error)
}

// Staged is a database in a private server, to be looked at and closed.
type Staged interface {
	Query(ctx context.Context, statement string) ([][]string, error)
	Close(ctx context.Context) error
}

// Lasting is implemented by kinds whose Rollback may leave something.
type Lasting interface {
	// Lasts tells a person what stays after Rollback; "" when nothing does.
	Lasts() string
}

// Watcher is implemented by kinds that can tell what others changed, after
// Env.Since, of what Restore has put in place. Rollback does not remove that.
type Watcher interface {
	// Changed lists it for people; it changes nothing.
	Changed(ctx context.Context) ([]string, error)
	// Kept names where Rollback has left it.
	Kept(ctx context.Context) ([]string, error)
}

// Replacer is implemented by kinds that put files in the place of present ones.
type Replacer interface {
	// Replaced tells whether a file of the machine came with Restore, so that
	// Rollback takes it away.
	Replaced(path string) (bool, error)
	// Put lists the places of the machine at which Restore has put something, also
	// after a Rollback.
	Put() ([]string, error)
}

// Holder is implemented by kinds that can tell where Restore has set what was there
// before.
type Holder interface {
	// Held is empty once that was removed or brought back.
	Held(ctx context.Context) ([]Held, error)
}

// Held is something that was set aside.
type Held struct {
	Place string `json:"place"` // for people: a path, or a database
	Bytes int64  `json:"bytes"`
}

// Planner is implemented by kinds that can tell what Restore would change.
type Planner interface {
	Plan(ctx context.Context, source Source, record Record) ([]string, error)
}

// Env is what every component is given.
type Env struct {
	Host *host.Host
	// Accounts names the owners of what is captured, where Host has no accounts
	// of its own; nil is Host.
	Accounts *host.Host
	Settings map[string]string
	// Run is the id of the run that acts; names of what is set aside carry it.
	Run string
	// State is a directory that is kept with the run's journal, on this machine,
	// 0700: a component keeps there what Resume and Rollback need. It may not exist yet.
	State string
	// Exclude lists absolute paths that belong to other components of the system.
	Exclude []string
	// Since is when the run that is taken back has acted last, see Watcher; zero
	// when that is not looked at. Killed says that it may have set owners later.
	Since  time.Time
	Killed bool
	// Theirs are places of the machine at which components that the run restored
	// later have put something: what was changed there is theirs.
	Theirs []string
	// Partial is set when the source is what a person saved by hand: a path
	// that is not there is then no error beside one that is.
	Partial bool
	// Saved are, of a partial source, the paths of this component that a
	// person saved. Of a directory of which only parts were saved, those parts
	// are the component's: restoring must not take away the rest.
	Saved []string
}

// Component is one part of one system. Methods may be called from different
// goroutines, but not two at once on one component. Every method honours ctx.
type Component interface {
	// Inspect looks at the live part and changes nothing.
	Inspect(ctx context.Context) (Inspection, error)
	// Capture writes the part to the sink and returns what a later Check
	// needs. An error means that nothing written counts.
	Capture(ctx context.Context, sink Sink) (Captured, error)
	// Restore puts the part back as it was captured. What was there is set
	// aside first and nothing of it is deleted. It may be called again after it
	// was killed at any point, with the same Env, and then completes.
	Restore(ctx context.Context, source Source, opts RestoreOptions) error
	// Check compares what is on the machine with what was captured.
	Check(ctx context.Context, record Record) ([]Check, error)
	// Rollback brings back what Restore set aside, also after a Restore that
	// was killed half-way, and may be repeated. Without a Restore it does nothing.
	Rollback(ctx context.Context) error
	// Discard removes what Restore set aside; after a Rollback, what that has kept
	// of others, see Watcher. It may be repeated.
	Discard(ctx context.Context) error
}

// Placed is implemented by kinds whose content stands at paths of the machine.
type Placed interface {
	// Places are absolute paths, which may be patterns of doublestar.
	Places() []string
}

// Extractor is implemented by kinds that can also write their content into
// another directory, without touching the machine.
type Extractor interface {
	Extract(ctx context.Context, source Source, dir string) error
}

// Inspection is what a review shows of a live component.
type Inspection struct {
	Present  bool
	Bytes    int64 // size of the content, in bytes, hard links counted once
	Items    int64 // files, tables …
	Paths    []string
	Followed []string // those of Paths that only a declared symbolic link leads to
	Links    []string // symbolic links among the content, as far as they are looked at
	Warnings []string
	// Unsettled says why the system must not be stopped now, say an upgrade that
	// is under way: it might not start again.
	Unsettled string
	Detail    map[string]string // short facts for people: schema version, certificate expiry
	Facts     map[string]string // identity facts that follow from the content, by the profile's names
}

// Captured is what Capture returns for the manifest.
type Captured struct {
	Bytes    int64
	Items    int64
	Paths    []string // absolute paths held at their real place in the point
	Streams  []string // names below /.lifeboat
	Warnings []string
	Tools    map[string]string // tool → version
	Detail   any               // the kind's own record, stored as JSON in the manifest
}

// Record is a component's entry in a manifest.
type Record struct {
	Name       string             `json:"name"`
	Kind       string             `json:"kind"`
	Title      string             `json:"title,omitempty"`
	Importance profile.Importance `json:"importance"`
	Capture    profile.Capture    `json:"capture"`
	Loss       string             `json:"loss,omitempty"`
	Secret     bool               `json:"secret,omitempty"`
	Status     Status             `json:"status"`
	Reason     string             `json:"reason,omitempty"` // why it is not captured
	Bytes      int64              `json:"bytes"`
	Items      int64              `json:"items"`
	Paths      []string           `json:"paths,omitempty"`
	Streams    []string           `json:"streams,omitempty"`
	UIDs       []uint32           `json:"uids,omitempty"` // owners and ACL entries of its files
	GIDs       []uint32           `json:"gids,omitempty"`
	Warnings   []string           `json:"warnings,omitempty"`
	// Astray are links that led to what the point does not hold; not all, when there are many.
	Astray []Link `json:"astray,omitempty"`
	// Elsewhere are links to what the configuration calls saved elsewhere.
	Elsewhere []Link          `json:"elsewhere,omitempty"`
	Started   time.Time       `json:"started"`
	Finished  time.Time       `json:"finished"`
	Detail    json.RawMessage `json:"detail,omitempty"`
}

// Link is a symbolic link and a place that it leads to, both absolute.
type Link struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

// LeadsElsewhere is the link to what is saved elsewhere that a path is, or goes through.
func (r *Record) LeadsElsewhere(path string) (Link, bool) {
	for _, l := range r.Elsewhere {
		if path == l.Path || strings.HasPrefix(path, l.Path+"/") {
			return l, true
		}
	}
	return Link{}, false
}

// Status says what became of a component in a capture.
type Status string

// What can become of a component in a capture.
const (
	StatusCaptured Status = "captured"
	StatusFailed   Status = "failed"
	StatusAbsent   Status = "absent"  // not on the machine
	StatusSkipped  Status = "skipped" // left out by choice
	// StatusInapplicable says that the component's condition does not hold here.
	StatusInapplicable Status = "not applicable"
)

// RestoreOptions says how a component is put back.
type RestoreOptions struct {
	Record   Record
	Owners   Owners // ids of the point by name
	Progress func(done, total int64)
	Warn     func(message string)
}

// Owners maps the uids and gids found in a recovery point to this machine's, by name.
type Owners interface {
	UID(old uint32) (uid uint32, known bool)
	GID(old uint32) (gid uint32, known bool)
}

// Check is one statement about a restored component.
type Check = runbook.Check

// Sink takes what a component captures. Calls may run in parallel.
type Sink interface {
	// AddPath stores a file or a whole tree at its real path.
	AddPath(ctx context.Context, path string, opts repository.PathOptions) (repository.Stats, error)
	// AddStream stores a stream of unknown length as /.lifeboat/NAME, 0600.
	// When r fails nothing counts.
	AddStream(ctx context.Context, name string, r io.Reader) (repository.Stats, error)
}

// Remembering is implemented by sinks of a point that has a parent.
type Remembering interface {
	// Before is the Detail that the parent's record of this component keeps. It
	// is nil without one, and where an account has got another name since, which
	// a Detail may speak of.
	Before() json.RawMessage
}

// Source gives back what a Sink took.
type Source interface {
	// OpenStream reads /.lifeboat/NAME.
	OpenStream(ctx context.Context, name string) (io.ReadCloser, error)
	// Walk visits path, which is absolute, and everything below it in
	// lexical order. A path that is not in the point is fs.ErrNotExist.
	Walk(ctx context.Context, path string, visit func(path string, node *repository.Node) error) error
	// OpenFile reads the content of a file node.
	OpenFile(ctx context.Context, node *repository.Node) (io.ReadCloser, error)
	// RestorePath writes the tree at path of the point to target, which is
	// an absolute directory or file name on this machine, as opts say.
	RestorePath(ctx context.Context, path, target string, opts repository.RestoreOptions) (repository.Stats, error)
	// ComparePath compares the tree at path of the point with the live one at
	// place, as opts say.
	ComparePath(ctx context.Context, path, place string, opts repository.CompareOptions, report func(Difference)) (repository.CompareStats, error)
}
