package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
)

// Owed says that the hooks before a backup have begun and those after it have not
// ended. A backup that dies leaves it behind.
type Owed struct {
	System string    `json:"system"`
	Run    string    `json:"run"`
	Since  time.Time `json:"since"`
}

// maxOwed bounds the record, in bytes.
const maxOwed = 1 << 16

func owedPath(dir, system string) string { return filepath.Join(dir, "hooks", system+".json") }

// owe writes the record; it is durable when owe returns.
func owe(dir, system, run string) error {
	path := owedPath(dir, system)
	data, err := json.Marshal(Owed{System: system, Run: run, Since: time.Now()})
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = renameio.WriteFile(path, append(data, '\n'), 0o600, renameio.IgnoreUmask())
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("remember that hooks have begun: %w", err)
	}
	return nil
}

func settleHooks(dir, system string) error {
	path := owedPath(dir, system)
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// OwedHooks is what a dead backup of the system owes, or nil. It takes no lock: what
// a living one owes is no debt.
func OwedHooks(dir, system string) (*Owed, error) {
	if runbook.Busy(dir, system) {
		return nil, nil
	}
	return readOwed(dir, system)
}

func readOwed(dir, system string) (*Owed, error) {
	f, err := os.OpenFile(owedPath(dir, system), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hooks of an interrupted backup: %w", err)
	}
	defer f.Close()
	o := new(Owed)
	if err := json.NewDecoder(io.LimitReader(f, maxOwed)).Decode(o); err != nil {
		return nil, fmt.Errorf("hooks of an interrupted backup: %s: %w (it may be removed)", f.Name(), err)
	}
	return o, nil
}

// PayHooks runs the hooks after a backup that has died before it came to them, once,
// with the result failed, and returns which backup that was; nil if there is none.
// A system that is busy is left alone. logf gets what the hooks print; an error is
// that of hooks that failed.
func PayHooks(ctx context.Context, dir, system string, h *host.Host, hooks config.SystemHooks, logf func(string, ...any)) (*Owed, error) {
	if o, err := OwedHooks(dir, system); o == nil || err != nil {
		return nil, err
	}
	lock, err := runbook.Acquire(dir, system, "hooks")
	if errors.Is(err, runbook.ErrBusy) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	o, err := readOwed(dir, system)
	if o == nil || err != nil {
		return nil, err
	}
	var failures []error
	for _, hook := range hooks.After {
		env := []string{"LIFEBOAT_HOOK=after", "LIFEBOAT_SYSTEM=" + system, "LIFEBOAT_RUN=" + o.Run, "LIFEBOAT_RESULT=" + resultFailed}
		if err := runHook(ctx, h, hook, env, logf); err != nil {
			failures = append(failures, fmt.Errorf("hook after the backup: %w", err))
		}
		if ctx.Err() != nil {
			return o, errors.Join(failures...) // the debt stays
		}
	}
	return o, errors.Join(errors.Join(failures...), settleHooks(dir, system))
}
