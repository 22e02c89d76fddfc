package drill

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"lifeboat/internal/host"
	"lifeboat/internal/mysqld"
	"lifeboat/internal/recovery"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/storage/inherit"
	"lifeboat/internal/storage/rest"
	"lifeboat/internal/vault"
)

// Main does what a process in a sandbox is for, and then never returns; in any other
// process it returns at once. It belongs behind sandbox.Init at the beginning of main.
func Main(catalog func() *recovery.Catalog) {
	if os.Args[0] != insideName {
		return
	}
	syscall.Umask(0o077)
	syscall.CloseOnExec(socketFile)
	syscall.CloseOnExec(jobFile)
	ctx, hard, stop := runbook.Interrupts(context.Background())
	defer stop()
	orders := os.NewFile(jobFile, "orders")
	decoder := json.NewDecoder(orders)
	var j job
	err := decoder.Decode(&j)
	if err == nil {
		err = (&rehearsal{job: j, catalog: catalog(), hard: hard}).run(ctx, func() {
			if j.Hold {
				_ = decoder.Decode(new(any)) // returns when the parent closes the pipe
			}
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// rehearsal is the recovery in the sandbox.
type rehearsal struct {
	job
	catalog *recovery.Catalog
	hard    context.Context //nolint:containedctx // the second interrupt
	point   *vault.Point
	recover *recovery.Recovery
}

// stateDir is where the run's journal is, inside.
const stateDir = "/var/lib/lifeboat"

// run does everything and tells the parent, who may want to look at what is there
// before hold returns.
func (r *rehearsal) run(ctx context.Context, hold func()) error {
	if err := r.furnish(); err != nil {
		return err
	}
	repo, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer repo.Close()
	if r.point, err = vault.New(repo).Find(ctx, r.Point, vault.Filter{}); err != nil {
		return err
	}
	for _, s := range r.Servers {
		private, err := s.start(ctx)
		if err != nil {
			return err
		}
		defer private.Stop(context.Background())
	}
	if r.Postgres != "" {
		private, err := startPostgres(ctx, r.Postgres)
		if err != nil {
			return err
		}
		defer private.Stop()
	}
	o, err := r.rehearse(ctx)
	if err != nil {
		return err
	}
	o.Type = outcomeType
	if err := json.NewEncoder(os.Stdout).Encode(o); err != nil {
		return err
	}
	hold()
	return nil
}

// furnish makes what a boot makes and programs expect.
func (r *rehearsal) furnish() error {
	dirs := []string{stateDir, "/run/lock", "/var/tmp"}
	if r.Systemd && r.Services {
		dirs = append(dirs, "/run/systemd/system")
	}
	for _, dir := range dirs {
		if err := public(dir); err != nil {
			return fmt.Errorf("furnish the sandbox: %w", err)
		}
	}
	return errors.Join(os.Chmod(stateDir, 0o700), os.Chmod("/var/tmp", 0o1777|os.ModeSticky))
}

// open opens the repository that the parent hands in.
func (r *rehearsal) open(ctx context.Context) (*repository.Repository, error) {
	dial, err := inherit.Dialer(os.NewFile(socketFile, "repository"))
	if err != nil {
		return nil, err
	}
	place, err := rest.ParseURL("rest:http://parent/")
	if err != nil {
		return nil, err
	}
	opts := rest.Options{}
	opts.ReadOnly, opts.Transport.Dial = true, dial
	store, err := rest.Open(place, opts)
	if err != nil {
		return nil, err
	}
	// The parent holds a lock as long as this process lives.
	repo, err := repository.Open(ctx, store, r.Password, repository.Options{NoLock: true})
	clear(r.Password)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return repo, nil
}

// public makes a directory that every account can go through, whatever the umask.
func public(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := public(filepath.Dir(dir)); err != nil {
		return err
	}
	return errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755))
}

// start starts the server where the machine's own would be, and nobody else is.
func (s server) start(ctx context.Context) (*mysqld.Server, error) {
	account, err := host.Local().User("mysql")
	if err != nil {
		return nil, fmt.Errorf("the database server's account: %w", err)
	}
	for _, dir := range []string{filepath.Dir(s.Socket), filepath.Dir(s.Data)} {
		if err := public(dir); err != nil {
			return nil, err
		}
	}
	if !strings.HasPrefix(s.Socket, "/tmp/") {
		if err := os.Chown(filepath.Dir(s.Socket), int(account.UID), int(account.GID)); err != nil {
			return nil, err
		}
	}
	opts := mysqld.Options{Dir: "/var/tmp/lifeboat-mysqld", Data: s.Data, Socket: s.Socket, Args: s.Args}
	if s.Port != "" {
		if _, err := fmt.Sscan(s.Port, &opts.Port); err != nil {
			return nil, fmt.Errorf("port %q of the database server: %w", s.Port, err)
		}
	}
	return mysqld.Start(ctx, opts)
}

func (r *rehearsal) rehearse(ctx context.Context) (*outcome, error) {
	p, err := r.catalog.Profile.Load(r.Source, r.Profile)
	if err != nil {
		return nil, err
	}
	r.recover, err = recovery.New(recovery.Options{
		System: r.System, Profile: p, Catalog: r.catalog, Host: host.Local(), Point: r.point, Settings: r.Settings,
		Force: r.Force, Only: r.Only, Without: r.Without, Rehearsal: &recovery.Rehearsal{Services: r.Services},
	})
	if err != nil {
		return nil, err
	}
	book, err := r.recover.Runbook()
	if err != nil {
		return nil, err
	}
	book.Kind, book.Title = Kind, "Rehearse: "+book.Title
	book.Stages = append(book.Stages, runbook.Stage{Name: proofStage, Title: "Prove what a recovery does not", Steps: r.proofs(p)})
	engine := runbook.New(runbook.Options{Dir: stateDir, Observers: []runbook.Observer{runbook.NewJSONWriter(os.Stdout)}, Hard: r.hard})
	engine.Conceal(r.recover.Secrets(ctx)...)
	if len(r.CAPassword) > 0 {
		engine.Conceal(string(r.CAPassword))
		defer clear(r.CAPassword)
	}
	run, runErr := engine.Start(ctx, book, runbook.Meta{ID: r.ID, Point: r.point.ID()})
	o := &outcome{Run: run, Replaced: r.recover.Replaced(), Restores: r.recover.Restores()}
	if runErr != nil {
		o.Error = runErr.Error()
	}
	if run != nil {
		o.Checks = run.Checks()
		o.Error = cmp.Or(run.Error, o.Error) // in which secrets are concealed
	}
	return o, nil
}
