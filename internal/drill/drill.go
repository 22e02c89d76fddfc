// Package drill rehearses a recovery: it assembles a sandbox in which nothing of the
// system is left, carries out the recovery's own runbook in it, measures it, and
// reports what was proved and what was not. The live system is looked at and not
// touched. How a system is recovered belongs to package recovery, and what a sandbox is
// to package sandbox; no product may enter.
package drill

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"lifeboat/internal/component/files"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/sandbox"
	"lifeboat/internal/storage"
	"lifeboat/internal/storage/inherit"
	"lifeboat/internal/storage/restserver"
	"lifeboat/internal/vault"
)

// Kind of runs made here.
const Kind = "drill"

// Options says what is rehearsed.
type Options struct {
	System  string
	Profile *profile.Profile
	Catalog *recovery.Catalog
	Point   *vault.Point
	// Newest is the newest point of the system; the same as Point, usually.
	Newest *vault.Point
	// Before is the point before Point that can be used; nil without one.
	Before *vault.Point
	// Store is the repository as the sandbox reads it; it is not written to.
	Store    storage.Store
	Password []byte
	// CAPassword opens the authority's key, for the proof that it can sign. It goes to
	// the process in the sandbox through a pipe and into no file. nil for none.
	CAPassword []byte
	// Settings are those of the machine's configuration.
	Settings map[string]string
	Force    []string
	Depth    Depth
	Share    float64 // of the files of optional components that a Subset reads; above 0, at most 1
	State    string  // state directory of this machine
	// Without are places of the machine that must not be seen in the sandbox, say
	// the repository's own directory.
	Without   []string
	Observers []runbook.Observer
	Limits    Limits
	// Keep leaves the sandbox on disk, to be looked at.
	Keep bool
	// Visit is called while the sandbox of a drill that has ended still runs.
	Visit   func(ctx context.Context, box *sandbox.Sandbox) error
	Version string
	// Remarks are warnings that stand in the report from the beginning.
	Remarks []string
	// Objectives are what the owner of the system wants to be true.
	Objectives Objectives
}

// Depth says how much of a recovery is rehearsed.
type Depth string

// The depths of a drill.
const (
	Full   Depth = "full"   // everything that the recovery point holds
	Quick  Depth = "quick"  // the critical components; the system is not started
	Subset Depth = "subset" // all but optional components, of which files are read at random
)

// chosen tells whether a drill of this depth restores a component.
func (d Depth) chosen(importance profile.Importance) bool {
	switch d {
	case Quick:
		return importance == profile.Critical
	case Subset:
		return importance != profile.Optional
	}
	return true
}

// Objectives bound what a recovery may take and what it may lose; 0 is no bound.
type Objectives struct{ RTO, RPO time.Duration }

// Run rehearses the recovery. The report is also there when the drill has failed:
// then its State says so and the error is nil. An error means that it was not carried
// out. Only root can.
func Run(ctx context.Context, o Options) (*Report, error) {
	if os.Geteuid() != 0 {
		return nil, sandbox.ErrNotRoot
	}
	d := &drill{Options: o, id: runbook.NewID(o.System, Kind, time.Now()), started: time.Now(), host: host.Local()}
	lock, err := runbook.Acquire(o.State, "drill."+o.System, d.id)
	if err != nil {
		return nil, fmt.Errorf("drill: %w", err)
	}
	defer lock.Release()
	if d.facts, err = d.host.Facts(ctx); err != nil {
		return nil, fmt.Errorf("drill: %w", err)
	}
	if err := d.measure(ctx); err != nil {
		return nil, err
	}
	if d.claim, err = claim(o.State, d.id); err != nil {
		return nil, err
	}
	report, err := d.run(ctx)
	return report, errors.Join(err, d.end(o.Keep && err == nil))
}

// drill is one drill under way.
type drill struct {
	Options
	id      string
	started time.Time
	host    *host.Host
	facts   host.Facts
	claim   *claimed
	box     *sandbox.Sandbox
	group   *group   // of control; nil without a limit of memory
	size    int64    // of what may be written inside, in bytes
	foreign []string // what belongs to others than in the point before
}

func (d *drill) run(ctx context.Context) (*Report, error) {
	job, err := d.job(ctx)
	if err != nil {
		return nil, err
	}
	empty, err := d.empty(ctx, job)
	if err != nil {
		return nil, err
	}
	if job.Empty, err = files.Really(d.host, empty); err != nil {
		return nil, fmt.Errorf("drill: %w", err)
	}
	before := d.packages()
	if d.box, err = sandbox.Create(ctx, sandbox.Options{
		Dir: d.claim.box(), Hostname: d.otherName(), Empty: empty, Size: d.size, Volatile: true, DieWithParent: true,
	}); err != nil {
		return nil, fmt.Errorf("drill: %w", err)
	}
	if err := d.box.Start(ctx); err != nil {
		return nil, fmt.Errorf("drill: %w", err)
	}
	if d.Limits.Memory > 0 {
		pid, err := d.box.Pid()
		if err == nil {
			d.group, err = limitMemory(d.id, d.Limits.Memory)
		}
		if err = errors.Join(err, d.group.add(pid)); err != nil {
			return nil, err
		}
	}
	assembled := time.Now()
	outcome, err := d.inside(ctx, job)
	if err != nil {
		return nil, err
	}
	if d.foreign, err = foreign(ctx, d.Before, d.Point); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("drill: %w", runbook.ErrInterrupted)
		}
		d.foreign = []string{err.Error()} // the point before is not the one that is rehearsed
	}
	report := d.report(outcome, assembled)
	if after := d.packages(); !slices.Equal(before, after) {
		report.State = Invalid
		report.Error = "packages of this machine were changed during the drill, and it worked on a mixture of both; run it again"
	}
	return report, nil
}

// otherName is the name that the sandbox gets where the point is another machine's:
// a spare machine rehearses under the name of the one it stands for.
func (d *drill) otherName() string {
	identity := d.Point.Manifest.Identity
	name := identity["hostname"]
	if name == "" || host.SameName(name, d.facts.Hostname) || host.SameName(name, d.facts.FQDN) {
		return ""
	}
	if fqdn := identity["fqdn"]; fqdn != "" {
		return fqdn
	}
	return name
}

// inside carries the recovery out in the sandbox and returns what came of it.
func (d *drill) inside(ctx context.Context, job job) (*outcome, error) {
	listener, socket, err := inherit.Pair()
	if err != nil {
		return nil, fmt.Errorf("drill: %w", err)
	}
	server, err := restserver.New(restserver.Options{
		Repositories: restserver.Single(d.Store), ReadOnly: func(*http.Request) bool { return true }, Grace: time.Second,
	})
	if err != nil {
		return nil, errors.Join(err, listener.Close(), socket.Close())
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(serving, listener) // ends with the sandbox
	}()
	defer func() { stop(); <-served }()
	return d.talk(ctx, job, socket)
}

// end takes the sandbox down, and away unless it is kept.
func (d *drill) end(keep bool) error {
	if !keep {
		// The init is our child. Once it is reaped no process of the sandbox is left;
		// before that they are seen among those of the machine.
		var err error
		if d.box != nil {
			err = d.box.Kill()
		}
		return errors.Join(err, d.claim.remove())
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(d.box.Stop(ctx), d.claim.keep())
}

// Directory is where the drill's sandbox stands, while it is kept.
func Directory(state, id string) string { return filepath.Join(state, drillsDir, id) }
