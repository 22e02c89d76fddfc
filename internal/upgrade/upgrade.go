// Package upgrade takes a host to a later release, with a way back: it compiles the
// runbook of one step of the way, from the facts of the host to the last check, and
// runs it. Everything that can fail before the first package changes is tried before
// that: the path, the preflight checks, the solver, the download, conflicts of files,
// and the transaction itself, in a sandbox. What comes behind that is verified, or
// taken back. Which releases there are, what a finding means, how a root goes back and
// how an installer is started belong to the packages below this one.
package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/hook"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/upgrade/preflight"
	"lifeboat/internal/upgrade/server"
	"lifeboat/internal/upgrade/wayback"
	"lifeboat/internal/zypper"
)

// Kind is that of the runs of this package.
const Kind = "upgrade"

// Policy says what becomes of an upgrade in which a script of a package has failed,
// with all packages in place.
type Policy string

// The policies.
const (
	Stop Policy = "stop" // it goes no further, and behind the point of no return it goes back
	Warn Policy = "warn" // it goes on, with a warning
)

// Request is what an upgrade was asked for: one step, from one release to the next. It
// is kept with its run, and holds no secret.
type Request struct {
	Format int    `json:"format"` // 1
	Root   string `json:"root"`   // where the root stands for this process; "/" is this machine's own
	// Identity tells the root from others that are mounted there later; nil in requests
	// of earlier versions.
	Identity *wayback.Identity `json:"identity,omitempty"`

	From   path.Release `json:"from"`
	To     path.Release `json:"to"`
	Method string       `json:"method"` // of the catalogue: online, boot-entry …

	// Repositories are those of the new release, for the online method.
	Repositories []zypper.Repository `json:"repositories,omitempty"`
	Terms        zypper.Terms        `json:"terms"`
	Unrehearsed  bool                `json:"unrehearsed,omitempty"`
	Scripts      Policy              `json:"scripts"`
	Accept       preflight.Accepted  `json:"accept,omitempty"` // findings of the preflight checks
	WayBack      string              `json:"way_back,omitempty"`
	System       string              `json:"system,omitempty"` // configured, whose recovery points hold the host
	// Servers are configured systems on the host that are not the host itself.
	Servers []string `json:"servers,omitempty"`
	// Stay leaves the root as it is when something fails behind the point of no return.
	Stay bool `json:"stay,omitempty"`

	Hooks     hook.Policy   `json:"hooks"`
	OnHook    hook.Answer   `json:"on_hook,omitempty"`
	HookLimit time.Duration `json:"hook_limit,omitempty"` // nanoseconds; 0 is hook.DefaultLimit

	// For the installer: where its kernel and initrd are, and what is appended.
	Medium string   `json:"medium,omitempty"`
	Auto   bool     `json:"auto,omitempty"`
	Append []string `json:"append,omitempty"`
	// Control is the control file of the automatic upgrade.
	Control string `json:"control,omitempty"`

	// Way is nil for a step by itself.
	Way *Way `json:"way,omitempty"`
}

// Format is that of the requests made here.
const Format = 1

// Entry is a boot entry that starts an installer once.
type Entry interface {
	// Add makes the entry and selects it; what it says is for people.
	Add(ctx context.Context, r Request) (said string, err error)
	// Try tells whether Add could make it by now, and changes nothing.
	Try(ctx context.Context, r Request) error
	// Remove takes it away again, byte for byte. Without one it does nothing.
	Remove(ctx context.Context) error
}

// Setup is what upgrades are made with. State, Catalogue and Ways are needed.
type Setup struct {
	State     string // the state directory of runs and journals
	Catalogue *path.Catalogue
	Ways      []wayback.Means
	// Point tells of the recovery points of the root; nil knows of none.
	Point func(ctx context.Context) preflight.Point
	// Ask asks a person what becomes of a hook that has failed.
	Ask   func(ctx context.Context, q hook.Question) (hook.Answer, error)
	Entry Entry
	// Servers are those that the request names.
	Servers []*server.Server
}

// Upgrade is one step of the way of one root.
type Upgrade struct {
	Setup
	Request
	System string // what its runs are called by
	host   *host.Host
	hooks  *hook.Runner
}

// New checks a request. The way itself is judged when it runs.
func New(system string, r Request, s Setup) (*Upgrade, error) {
	if r.Format != Format {
		return nil, fmt.Errorf("the upgrade was asked for in format %d, and this program knows %d; use the program that has begun it", r.Format, Format)
	}
	u := &Upgrade{Setup: s, Request: r, System: system, host: host.Local()}
	if r.Root != "/" {
		var err error
		if u.host, err = host.At(r.Root); err != nil {
			return nil, err
		}
	}
	u.hooks = &hook.Runner{Host: u.host, Policy: r.Hooks, OnFailure: r.OnHook, Limit: r.HookLimit, Ask: s.Ask}
	return u, nil
}

// options is the name under which a run keeps its request.
const options = "request"

// Meta is what a run of the upgrade says about itself.
func (u *Upgrade) Meta() (runbook.Meta, error) {
	raw, err := json.Marshal(u.Request)
	if err != nil {
		return runbook.Meta{}, err
	}
	resume := "lifeboat upgrade resume"
	if u.Root != "/" {
		resume += " --root " + u.Root
	}
	return runbook.Meta{Title: u.title(), Options: map[string]string{options: string(raw)}, Resume: resume}, nil
}

// Asked reads what a run was asked for.
func Asked(run *runbook.Run) (Request, error) {
	var r Request
	if run.Kind != Kind {
		return r, fmt.Errorf("run %s is no upgrade", run.ID)
	}
	if err := json.Unmarshal([]byte(run.Options[options]), &r); err != nil {
		return r, fmt.Errorf("what run %s was asked for: %w", run.ID, err)
	}
	return r, nil
}

func (u *Upgrade) title() string {
	title := fmt.Sprintf("Upgrade %s to %s", u.From.Name(), u.To.Name())
	if place := u.Place(); place != "" {
		title += fmt.Sprintf(" (%s to %s)", place, u.Goal().Name())
	}
	return title
}

// by finds who does the work, in the catalogue.
func (u *Upgrade) by() (path.Chosen, error) {
	m, ok := u.Catalogue.Methods[u.Method]
	if !ok {
		return path.Chosen{}, fmt.Errorf("%q is no method of an upgrade", u.Method)
	}
	return path.Chosen{ID: u.Method, Title: m.Title, By: m.By, Needs: m.Needs}, nil
}

// Runbook is what is to be done.
func (u *Upgrade) Runbook() (runbook.Runbook, error) {
	method, err := u.by()
	if err != nil {
		return runbook.Runbook{}, err
	}
	book := runbook.Runbook{Kind: Kind, System: u.System, Title: u.title()}
	switch method.By {
	case "zypper":
		book.Stages = u.online()
	case "installer":
		book.Stages = u.installer()
	default:
		return book, runbook.Refuse("", "%s is not something that this program does: %s", u.Method, method.Title)
	}
	for i := range book.Stages {
		chain(&book.Stages[i])
	}
	return book, nil
}

// chain puts the steps of a stage in a row.
func chain(st *runbook.Stage) {
	for i := 1; i < len(st.Steps); i++ {
		st.Steps[i].Needs = append(st.Steps[i].Needs, st.Steps[i-1].ID)
	}
}

// apart is where zypper's own files of the upgrade are, beside the runs: a run that
// begins anew need not download again.
func (u *Upgrade) apart() string { return filepath.Join(u.State, "upgrade", u.System) }

// zypper drives the root's packages; apart from its repositories and caches, those that
// were offered for the upgrade are used.
func (u *Upgrade) zypper(ctx context.Context, apart bool) (*zypper.Zypper, error) {
	o := zypper.Options{Root: u.Root, Dir: filepath.Join(u.apart(), "home"), Lock: runbook.LockFile(ctx)}
	if apart {
		o.Apart, o.Release = filepath.Join(u.apart(), "apart"), releasever(u.To)
	}
	return zypper.New(o)
}

// releasever is what $releasever stands for in a release.
func releasever(r path.Release) string {
	if r.SP == 0 {
		return r.Version
	}
	return fmt.Sprintf("%s.%d", r.Version, r.SP)
}

// Keys of what a run keeps.
const (
	keptRelease   = "release"       // path.Release that was found
	keptBefore    = "before"        // packages that were installed
	keptExpected  = "expected"      // packages that will be
	keptBaseline  = "baseline"      // wayback.Baseline
	keptNoReturn  = "no-return"     // when the point of no return was passed
	keptAborting  = "aborting"      // the hooks of an abort have run
	keptDated     = "dated"         // when the directory of the package repositories was changed
	keptEnded     = "ended"         // when the upgrade was over
	keptSaved     = "saved"         // how many files that were written since are named
	keptWent      = "went-back"     // the root has gone back
	keptReached   = "reached"       // Reached
	keptBeside    = "configuration" // files put beside edited ones
	keptOutcome   = "outcome"       // Outcome
	keptRehearsal = "rehearsal"     // Rehearsed
)

// errNothing is for values that an earlier step has to have kept.
var errNothing = errors.New("an earlier step has left no record of it")

func kept[T any](task runbook.Task, key string) (T, error) {
	var v T
	found, err := task.Kept(key, &v)
	if err == nil && !found {
		err = fmt.Errorf("%s: %w", key, errNothing)
	}
	return v, err
}
