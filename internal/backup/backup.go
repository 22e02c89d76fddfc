// Package backup turns a profile and the facts of a machine into the runbook
// that makes a recovery point: look, quiesce, capture, start again whatever
// happens, capture what may be captured live, seal, copy to further repositories.
// How a component is read is its kind's affair; what a point is made of is the
// vault's.
package backup

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/config"
	"lifeboat/internal/guard"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// Kind of runs made here.
const Kind = "backup"

// Options says what is backed up where.
type Options struct {
	System   string
	Profile  *profile.Profile
	Catalog  *recovery.Catalog
	Host     *host.Host
	Vault    *vault.Vault
	Settings map[string]string // overrides from the site's configuration
	// Choose takes optional components in (true) or leaves others out (false).
	Choose   map[string]bool
	Trigger  vault.Trigger
	StateDir string
	Version  string // of this program, for the manifest
	// Still is set when nothing runs that would have to be stopped: the source
	// is a directory of files saved by hand.
	Still bool
	// Narrow is set when components are asked for one by one: nothing is said of
	// the others.
	Narrow bool
	// Facts identify the machine where Host cannot tell: the files of an import
	// come without a machine. They go before what Host says.
	Facts map[string]string
	// Accounts names the owners of files; nil is Host.
	Accounts *host.Host
	// Substitute stands for components by name: an import has its database in
	// a private server.
	Substitute map[string]component.Component
	// Saved are the paths that an import has, by component.
	Saved map[string][]string
	// Hooks are commands of the site around the backup and its components.
	Hooks config.SystemHooks
	// SavedElsewhere are places whose content no point needs to have.
	SavedElsewhere []string
	// Further repositories get a copy of the point, and of those they lack.
	Further []Further
}

// Backup is one backup in the making. Its functions belong to the one run that
// its runbook is executed by.
type Backup struct {
	Options
	scope    profile.Scope
	identity map[string]string
	facts    host.Facts
	runID    string

	mu        sync.Mutex
	parts     []*part
	draft     *vault.Draft
	guard     *guard.Guard
	moment    time.Time
	started   time.Time
	records   map[string][][]string
	tools     map[string]string
	warnings  []string
	point     *vault.Point
	closed    bool
	unreached map[string]error // by further repository
	partial   bool             // parts of critical components are known to be missing
	hooked    bool             // the hooks before it have begun
	unusable  map[string][]string
}

// part is one component of the backup.
type part struct {
	spec       profile.Component
	chosen     bool
	reason     string   // why it is not chosen
	needless   bool     // its condition does not hold on this machine
	places     []string // that the profile names
	inspection component.Inspection
	component  component.Component
	record     component.Record
	astray     []component.Link
	elsewhere  []component.Link
}

// New looks at the machine: settings, identity, and which components there are.
// It changes nothing.
func New(ctx context.Context, opts Options) (*Backup, error) {
	b := &Backup{Options: opts, started: time.Now(), unreached: map[string]error{}}
	b.runID = runbook.NewID(opts.System, Kind, b.started)
	scope := profile.Scope{Host: opts.Host}
	settings, err := opts.Catalog.Profile.Resolve(ctx, opts.Profile, scope, opts.Settings)
	if err != nil {
		return nil, fmt.Errorf("read the settings of %s: %w", opts.System, err)
	}
	scope.Settings = settings
	if b.identity, err = opts.Catalog.Profile.Facts(ctx, opts.Profile, scope); err != nil {
		return nil, err
	}
	if b.facts, err = opts.Host.Facts(ctx); err != nil {
		return nil, fmt.Errorf("read this machine's facts: %w", err)
	}
	if b.Still { // it is not the machine that this program runs on
		delete(b.identity, "architecture")
		b.facts.Arch = ""
	}
	maps.Copy(b.identity, opts.Facts)
	b.facts.Hostname, b.facts.FQDN = cmp.Or(b.facts.Hostname, b.identity["hostname"]), cmp.Or(b.facts.FQDN, b.identity["fqdn"])
	scope.Facts = b.identity
	b.scope = scope
	return b, b.look(ctx)
}

// look finds out which components there are, and inspects them.
func (b *Backup) look(ctx context.Context) error {
	for name := range b.Choose {
		if !slices.ContainsFunc(b.Profile.Components, func(c profile.Component) bool { return c.Name == name }) {
			return fmt.Errorf("system %s: profile %s has no component %q", b.System, b.Profile.Name, name)
		}
	}
	for _, spec := range b.Profile.Components {
		p := &part{spec: spec, chosen: true}
		if chosen, said := b.Choose[spec.Name]; said {
			p.chosen, p.reason = chosen, "left out by configuration"
			if b.Still {
				p.reason = "not among what was saved"
			}
		} else if spec.Importance == profile.Optional {
			p.chosen, p.reason = false, "optional and not chosen"
		}
		if spec.When != "" {
			holds, err := profile.Expr(spec.When, b.scope)
			if err != nil {
				return fmt.Errorf("component %s: %w", spec.Name, err)
			}
			if !holds {
				p.chosen, p.needless, p.reason = false, true, spec.When+" does not hold"
			}
		}
		b.parts = append(b.parts, p)
	}
	return b.inspect(ctx)
}

// inspect looks at every component, twice over: what others hold is excluded.
func (b *Backup) inspect(ctx context.Context) error {
	for _, p := range b.parts {
		// What this machine does not use may not be there to be looked at, and
		// must take no path from the others. This machine's own is no part of what
		// was saved elsewhere.
		if p.needless || b.Still && !p.chosen {
			continue
		}
		c, err := b.make(p.spec, nil)
		if err != nil {
			return err
		}
		if placed, ok := c.(component.Placed); ok {
			p.places = placed.Places()
		}
		if p.inspection, err = c.Inspect(ctx); err != nil {
			return fmt.Errorf("look at component %s: %w", p.spec.Name, err)
		}
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	for _, p := range b.parts {
		var err error
		if p.component, err = b.make(p.spec, b.others(p)); err != nil {
			return err
		}
	}
	return nil
}

func (b *Backup) make(spec profile.Component, exclude []string) (component.Component, error) {
	if c, ok := b.Substitute[spec.Name]; ok {
		return c, nil
	}
	env := component.Env{
		Host:     b.Host,
		Accounts: b.Accounts,
		Settings: b.scope.Settings,
		Run:      b.runID,
		State:    filepath.Join(b.state(), spec.Name),
		Exclude:  exclude,
		Partial:  b.Still,
		Saved:    b.Saved[spec.Name],
	}
	return component.Make(b.Catalog.Kinds, env, spec)
}

// RunID is the id under which the run is to be started.
func (b *Backup) RunID() string { return b.runID }

// state is where components keep what they need while the run lasts.
func (b *Backup) state() string {
	return filepath.Join(runbook.RunDir(b.StateDir, b.runID), "components")
}

// Part is a component as a review shows it.
type Part struct {
	Spec       profile.Component
	Chosen     bool
	Reason     string // why it is not chosen
	Needless   bool   // its condition does not hold on this machine
	Inspection component.Inspection
}

// Parts lists the components in the profile's order.
func (b *Backup) Parts() []Part {
	var out []Part
	for _, p := range b.parts {
		out = append(out, Part{Spec: p.spec, Chosen: p.chosen, Reason: p.reason, Needless: p.needless, Inspection: p.inspection})
	}
	return out
}

// Secrets are values that must not be told.
func (b *Backup) Secrets() []string { return b.Profile.Secrets(b.scope.Settings) }

// Identity is what makes this machine this machine.
func (b *Backup) Identity() map[string]string { return b.identity }

// Notices lists what is worth knowing about the system; with warnings set only
// what each backup warns of.
func (b *Backup) Notices(ctx context.Context, warnings bool) ([]string, error) {
	return b.Catalog.Profile.Notices(ctx, b.Profile, b.scope, warnings)
}

// Point is the sealed point once the run has ended well.
func (b *Backup) Point() *vault.Point {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.point
}

// Stats is what the run has stored so far.
func (b *Backup) Stats() (read, stored int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.draft == nil {
		return 0, 0
	}
	s := b.draft.Stats()
	return s.Bytes, s.Stored
}

// Runbook compiles the backup.
func (b *Backup) Runbook() runbook.Runbook {
	look, take, title := "Look before anything is stopped", "Capture while nothing changes", "Back up"
	if b.Still {
		look, take, title = "Look at what was saved", "Take it over", "Take in what was saved of"
	}
	stages := []runbook.Stage{{Name: "preflight", Title: look, Steps: b.preflight()}}
	if !b.Still {
		stages = append(stages, runbook.Stage{Name: "quiesce", Title: "Stop the system", Steps: b.quiesce()})
	}
	stages = append(stages, runbook.Stage{Name: "capture", Title: take, Steps: b.captures(profile.Quiesced)})
	if !b.Still {
		stages = append(stages, runbook.Stage{Name: "resume", Title: "Start the system again", Always: true, Steps: b.resume()})
	}
	stages = append(stages,
		runbook.Stage{Name: "live", Title: "Capture what may change meanwhile", Steps: b.captures(profile.Live)},
		runbook.Stage{Name: "seal", Title: "Make it a recovery point", Steps: b.seal()},
		runbook.Stage{Name: "copy", Title: "Copy it to further repositories", Steps: b.copies()},
	)
	stages = b.hookStages(stages)
	book := runbook.Runbook{Kind: Kind, System: b.System, Title: fmt.Sprintf("%s %s (%s)", title, b.System, b.Profile.Title)}
	for _, s := range stages {
		if len(s.Steps) > 0 {
			book.Stages = append(book.Stages, s)
		}
	}
	return book
}

func (b *Backup) preflight() []runbook.Step {
	asked := "Ask the running system what a recovery will be compared with"
	if b.Still {
		asked = "Note what a recovery will be compared with"
	}
	steps := []runbook.Step{
		{
			ID: "preflight/components", Title: "Everything critical is there", EachTime: true,
			Run: func(_ context.Context, task runbook.Task) error {
				if err := b.behindLinks(); err != nil {
					return err
				}
				var missing []string
				for _, p := range b.parts {
					for _, w := range p.inspection.Warnings {
						task.Warnf("%s: %s", p.spec.Name, w)
					}
					if p.chosen && !p.inspection.Present {
						switch p.spec.Importance {
						case profile.Critical:
							missing = append(missing, p.spec.Name)
						case profile.Recommended:
							task.Logf("%s is not on this machine", p.spec.Name)
						}
					}
				}
				for _, p := range b.parts {
					if p.spec.Importance == profile.Critical && !p.chosen && !p.needless {
						text := fmt.Sprintf("the critical component %s is %s; a recovery point without it is incomplete: %s", p.spec.Name, p.reason, p.spec.Loss)
						task.Warnf("%s", text)
						b.warn(text)
					}
				}
				if len(missing) > 0 {
					return fmt.Errorf("critical components are not on this machine: %s; a recovery would be impossible without them (if that is right, leave them out under components: in the configuration)", strings.Join(missing, ", "))
				}
				return nil
			},
		},
		{
			ID: "preflight/notices", Title: "What is worth knowing about this system", EachTime: true,
			Run: func(ctx context.Context, task runbook.Task) error {
				for _, w := range b.warnings { // of an import
					task.Warnf("%s", w)
				}
				refusals, err := b.Catalog.Profile.Refusals(ctx, b.Profile, b.scope)
				if err != nil {
					return err
				}
				if len(refusals) > 0 && !b.Still {
					return runbook.Refuse("", "%s", strings.Join(refusals, "; "))
				}
				for _, text := range refusals { // what was saved is what there is
					task.Warnf("%s", text)
					b.warn(text)
				}
				notices, err := b.Notices(ctx, true)
				if err != nil {
					return err
				}
				for _, n := range notices {
					task.Warnf("%s", n)
					b.warn(n)
				}
				return nil
			},
		},
		{
			ID: "preflight/records", Title: asked, EachTime: true,
			Run: func(ctx context.Context, task runbook.Task) error {
				records, warnings := recovery.Records(ctx, b.Host, b.Profile, b.scope, b.database)
				if ctx.Err() != nil { // every question has failed then
					return ctx.Err()
				}
				for _, w := range warnings {
					task.Warnf("%s", w)
				}
				b.mu.Lock()
				b.records = records
				b.mu.Unlock()
				return nil
			},
		},
		{
			ID: "preflight/repository", Title: "Open the repository", EachTime: true,
			Run: func(ctx context.Context, task runbook.Task) error {
				draft, err := b.Vault.Begin(ctx, vault.DraftOptions{System: b.System, Host: b.Host, Accounts: b.Accounts})
				if err != nil {
					return err
				}
				told(task, draft.Survey())
				for _, text := range draft.Losses() {
					task.Warnf("%s", text)
				}
				if parent := draft.Parent(); parent != nil {
					task.Logf("unchanged files are taken over from point %s", parent.Short())
				}
				b.mu.Lock()
				b.draft = draft
				b.mu.Unlock()
				return nil
			},
		},
	}
	if !b.Still { // what was saved is what there is
		steps = append(steps, b.missed(), b.strays())
	}
	return steps
}

// told passes on what a look at a repository has shown: a point made in one that
// was turned back, or exchanged, is not all that is to be said.
func told(task runbook.Task, survey *vault.Survey) {
	for _, text := range survey.Remarks() {
		task.Logf("%s", text)
	}
	for _, text := range survey.Warnings() {
		task.Warnf("%s", text)
	}
}

func (b *Backup) warn(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.warnings, text) {
		b.warnings = append(b.warnings, text)
	}
}
