// Package recovery turns a profile, the facts of a machine and a recovery point
// into the runbook that brings the system back, and into the same runbook
// written out for a person. The step types of profiles are defined here; what
// a component or a product is stays in their own packages.
package recovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// Catalog is everything that a profile may refer to by name.
type Catalog struct {
	Profile  *profile.Registry
	Kinds    map[string]component.Kind
	Products product.Registry
	Steps    map[string]StepType
}

// Options says what is recovered where.
type Options struct {
	System  string
	Profile *profile.Profile
	Catalog *Catalog
	Host    *host.Host
	Point   *vault.Point // nil only for writing the runbook out
	// Manifest describes the point; taken from Point when that is set.
	Manifest *vault.Manifest
	// Settings are those of the machine; those recorded in the point win.
	Settings map[string]string
	// Given are settings of this recovery alone, a new name say; they win.
	Given map[string]string
	// Named are facts that a signed recovery configuration says of this machine, and
	// that count instead of its own: the name of a rescue system says nothing.
	Named map[string]string
	Force []string // identity checks that are overridden by name
	Only  []string // components; empty means the whole system
	// Around says, with Only, that the system is stopped before, and afterwards
	// fitted to what was restored and started, as in a recovery of the whole.
	// What a person must look at is left out.
	Around  bool
	KeepOld bool // keep what was set aside after success
	// Without are components that are left out as if the point did not have them.
	Without []string
	// Still says that nobody has written since the records were made: what is missing
	// of them is a fault, and no sign of life.
	Still bool
	// Rehearsal is set where the recovery is tried out in a sandbox.
	Rehearsal *Rehearsal
}

// Recovery compiles the runbook of one recovery. Its functions may be called
// from several goroutines.
type Recovery struct {
	Options
	settings map[string]string
	owners   *vault.Owners
	since    time.Time // see TakeBack
	killed   bool
	theirs   map[string][]string // component → places of what was restored later, see TakeBack
	planned  map[string][]string // component → what a restore would change, from LookAhead
	renamed  map[string][]string // part → what the new name would change, from LookAhead
	replaced []Replaced
	restores map[string]string // id of a step → the component it puts back
}

// New prepares a recovery. Settings recorded at backup are used, not those of a
// freshly installed system.
func New(opts Options) (*Recovery, error) {
	r := &Recovery{Options: opts, settings: maps.Clone(opts.Settings), restores: map[string]string{}}
	if r.settings == nil {
		r.settings = map[string]string{}
	}
	if opts.Point != nil {
		r.Manifest = opts.Point.Manifest
	}
	if r.Manifest == nil {
		return nil, errors.New("a recovery needs a recovery point")
	}
	maps.Copy(r.settings, r.Manifest.Settings)
	maps.Copy(r.settings, r.Given)
	r.owners = r.Manifest.Owners.Owners(opts.Host)
	for _, name := range opts.Only {
		if _, err := r.spec(name); err != nil {
			return nil, err
		}
	}
	return r, r.checkName()
}

// ErrNothingToRestore says that a component was chosen of which nothing would be
// written.
var ErrNothingToRestore = errors.New("nothing would be restored")

// Chosen refuses components that were named and of which a restore would write
// nothing: those that the point lacks, and those that no recovery writes.
func (r *Recovery) Chosen() error {
	var problems []error
	for _, name := range r.Only {
		spec, err := r.spec(name)
		if err != nil {
			return err
		}
		if _, err := r.record(name); err != nil {
			problems = append(problems, fmt.Errorf("%w; it has %s", err, strings.Join(r.captured(), ", ")))
		} else if r.passive(spec) {
			problems = append(problems, fmt.Errorf("component %s is never written by a recovery, only looked at: lifeboat restore %s %s --target DIR writes it into a directory", name, r.System, name))
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w: %w", ErrNothingToRestore, errors.Join(problems...))
	}
	return nil
}

// captured names what the point has and a restore can write.
func (r *Recovery) captured() []string {
	var names []string
	for _, spec := range r.Profile.Components {
		if _, err := r.record(spec.Name); err == nil && !r.passive(spec) {
			names = append(names, spec.Name)
		}
	}
	return names
}

// passive tells whether no step writes a component to the machine.
func (r *Recovery) passive(spec profile.Component) bool {
	if r.Catalog.Kinds[spec.Kind].Passive {
		return true
	}
	for _, stage := range r.Profile.Recovery.Stages() {
		for _, step := range stage.Steps {
			if o, ok := step.Options.(*RestoreOptions); ok && o.Component == spec.Name {
				return false
			}
		}
	}
	return true
}

// Kind of runs made here.
const Kind = "recover"

// Runbook compiles the whole recovery.
func (r *Recovery) Runbook() (runbook.Runbook, error) {
	book := runbook.Runbook{
		Kind:   Kind,
		System: r.System,
		Title:  fmt.Sprintf("Recover %s (%s)", r.System, r.Profile.Title),
	}
	stages := []struct {
		name, title string
		steps       []profile.Step
		before      []runbook.Step
		after       []runbook.Step
	}{
		{name: "preflight", title: "Look before anything is changed", before: r.preflight()},
		{name: "prepare", title: "Bring the machine to where the system can be restored", steps: r.Profile.Recovery.Prepare},
		{name: "restore", title: "Put back what was saved", before: r.hold(), steps: r.Profile.Recovery.Restore},
		{name: "repair", title: "Fit what was restored to this machine", steps: r.Profile.Recovery.Repair},
		{name: "start", title: "Start the system", before: r.release(), steps: r.Profile.Recovery.Start},
		{name: "synchronize", title: "Bring the data up to date", steps: r.Profile.Recovery.Synchronize},
		{name: "verify", title: "Prove that it works", steps: r.Profile.Recovery.Verify},
		{name: "finish", title: "Remove what was set aside", after: r.finish()},
	}
	for _, s := range stages {
		if len(r.Only) > 0 {
			s.steps = r.onlyWanted(s.name, s.steps)
		}
		stage := runbook.Stage{Name: s.name, Title: s.title}
		stage.Steps = append(stage.Steps, s.before...)
		steps, err := r.compile(s.name, s.steps, stage.Steps)
		if err != nil {
			return runbook.Runbook{}, err
		}
		stage.Steps = append(append(stage.Steps, steps...), s.after...)
		if len(stage.Steps) > 0 {
			book.Stages = append(book.Stages, stage)
		}
	}
	return book, nil
}

// onlyWanted leaves the steps that put the chosen components back: restoring a
// part neither prepares the machine nor, but for Around, starts the system.
func (r *Recovery) onlyWanted(stage string, steps []profile.Step) []profile.Step {
	var out []profile.Step
	for _, s := range steps {
		if r.Around && (stage == "repair" || stage == "start") {
			if o, ok := s.Options.(*RenameOptions); !(ok && o.Own) && s.Type != "confirm" {
				out = append(out, s)
			}
			continue
		}
		if o, ok := s.Options.(*RestoreOptions); ok && r.wanted(o.Component) {
			// What a person names must come back: to fail is no warning then.
			s.Needs, s.Done, s.Warn = []string{}, nil, false
			out = append(out, s)
		} else if slices.ContainsFunc(s.Follows, r.comes) {
			out = append(out, s)
		}
	}
	return out
}

// Scope is what conditions of the profile look at: the machine as it is now,
// the point's settings, and those secret settings that only the machine holds.
func (r *Recovery) Scope(ctx context.Context) profile.Scope {
	settings := maps.Clone(r.settings)
	// Configuration may have been restored since the last look.
	now, err := r.Catalog.Profile.Resolve(ctx, r.Profile, profile.Scope{Host: r.Host}, r.settings)
	var unresolved *profile.UnresolvedError
	if err == nil || errors.As(err, &unresolved) {
		maps.Copy(settings, now)
	}
	scope := profile.Scope{Host: r.Host, Settings: settings}
	scope.Facts = r.Manifest.Identity
	scope.Point = r.pointView()
	return scope
}

// Secrets are values that must not be told, as the machine holds them now.
func (r *Recovery) Secrets(ctx context.Context) []string {
	return r.Profile.Secrets(r.Scope(ctx).Settings)
}

// pointView is what expr conditions see as "point": what is not restored is not
// in it.
func (r *Recovery) pointView() map[string]any {
	m, captured := r.Manifest, map[string]any{}
	for _, c := range m.Components {
		captured[c.Name] = c.Status == component.StatusCaptured && r.wanted(c.Name)
	}
	identity := map[string]any{}
	for k, v := range m.Identity {
		identity[k] = v
	}
	return map[string]any{"captured": captured, "identity": identity, "system": m.System, "trigger": string(m.Trigger)}
}

// ErrNoComponent says that a component was named which the profile does not have.
var ErrNoComponent = errors.New("no component")

func (r *Recovery) spec(name string) (profile.Component, error) {
	i := slices.IndexFunc(r.Profile.Components, func(c profile.Component) bool { return c.Name == name })
	if i < 0 {
		names := make([]string, 0, len(r.Profile.Components))
		for _, c := range r.Profile.Components {
			names = append(names, c.Name)
		}
		return profile.Component{}, fmt.Errorf("profile %s has %w %q; it has %s", r.Profile.Name, ErrNoComponent, name, strings.Join(names, ", "))
	}
	return r.Profile.Components[i], nil
}

// component makes a component of this run. What it has to remember is in its
// state directory; it is made anew each time, because settings that only the
// machine holds, a password say, change when its configuration is restored.
func (r *Recovery) component(ctx context.Context, task runbook.Task, name string) (component.Component, error) {
	spec, err := r.spec(name)
	if err != nil {
		return nil, err
	}
	return r.make(ctx, task.RunID(), task.Dir(), spec)
}

// make makes a component of a run whose directory is dir.
func (r *Recovery) make(ctx context.Context, run, dir string, spec profile.Component) (component.Component, error) {
	return component.Make(r.Catalog.Kinds, component.Env{
		Host:     r.Host,
		Settings: r.Scope(ctx).Settings,
		Run:      run,
		State:    filepath.Join(dir, "components", spec.Name),
		Since:    r.since, Killed: r.killed, Theirs: r.theirs[spec.Name],
	}, spec)
}

// record returns the point's entry of a component.
func (r *Recovery) record(name string) (component.Record, error) {
	return r.Manifest.Component(name)
}

// comes tells whether a component is restored by this recovery.
func (r *Recovery) comes(name string) bool {
	record, err := r.record(name)
	return err == nil && record.Status == component.StatusCaptured && r.wanted(name)
}

// wanted tells whether a component is part of this recovery.
func (r *Recovery) wanted(name string) bool {
	return (len(r.Only) == 0 || slices.Contains(r.Only, name)) && !slices.Contains(r.Without, name)
}
