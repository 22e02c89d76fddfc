package wayback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/internal/component/boundary"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/storage"
	"lifeboat/internal/vault"
)

// What lies in the directory of a copy for the next boot. The upgrade may break any
// program that a repository is reached with, the network and this program's own file:
// the next boot uses nothing but this.
const (
	programName  = "lifeboat"
	storeName    = "repository"
	passwordName = "password"
	jobName      = "job.json"
	resultName   = "result.json"
	pointName    = "point" // its id in the copy
)

// job is what the next boot has to do.
type job struct {
	Baseline Baseline `json:"baseline"`
}

// result is what the boot has done.
type result struct {
	Equal bool   `json:"equal"`
	Error string `json:"error,omitempty"`
}

// stage makes the copy: the point in a repository of its own, and this program.
func (m *Point) stage(ctx context.Context, task runbook.Task, point *vault.Point, dir string) error {
	program := m.Program
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return err
		}
	}
	if err := copyProgram(program, filepath.Join(dir, programName)); err != nil {
		return err
	}
	password := repository.NewPassword()
	defer clear(password)
	if err := os.WriteFile(filepath.Join(dir, passwordName), password, 0o600); err != nil {
		return err
	}
	store, err := storage.OpenLocal(filepath.Join(dir, storeName), storage.Options{})
	if err != nil {
		return err
	}
	repo, err := repository.Create(ctx, store, password, repository.Options{Like: m.Vault.Repository()})
	if err != nil {
		return errors.Join(err, store.Close())
	}
	copied, err := m.copy(ctx, task, point, vault.New(repo))
	if err := errors.Join(err, repo.Close()); err != nil {
		return err
	}
	boundary.Reached(ctx, "point copied")
	return write(filepath.Join(dir, pointName), []byte(copied))
}

func (m *Point) copy(ctx context.Context, task runbook.Task, point *vault.Point, to *vault.Vault) (string, error) {
	// Of the repository only the point itself: pins of others have no place there.
	report, err := m.Vault.Repository().Copy(ctx, to.Repository(), []*repository.Snapshot{point.Snapshot}, repository.CopyOptions{
		Progress: func(p repository.CopyProgress) { task.Progress(p.Bytes, 0) },
	})
	if err != nil {
		return "", err
	}
	if len(report.Damaged) > 0 {
		return "", fmt.Errorf("recovery point %s cannot be copied: %w", point.Short(), report.Damaged[0].Err)
	}
	if len(report.Snapshots) != 1 {
		return "", fmt.Errorf("recovery point %s was not copied", point.Short())
	}
	return report.Snapshots[0].Copy.String(), nil
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// openStaged opens the copy; close it with the function.
func openStaged(ctx context.Context, dir string) (*vault.Point, func() error, error) {
	password, err := os.ReadFile(filepath.Join(dir, passwordName))
	if err != nil {
		return nil, nil, err
	}
	defer clear(password)
	id, err := os.ReadFile(filepath.Join(dir, pointName))
	if err != nil {
		return nil, nil, err
	}
	store, err := storage.OpenLocal(filepath.Join(dir, storeName), storage.Options{})
	if err != nil {
		return nil, nil, err
	}
	repo, err := repository.Open(ctx, store, password, repository.Options{NoLock: true})
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	point, err := vault.New(repo).Find(ctx, string(id), vault.Filter{})
	if err != nil {
		return nil, nil, errors.Join(err, repo.Close())
	}
	return point, repo.Close, nil
}

// checkStaged reads all of the copy that goes back.
func checkStaged(ctx context.Context, task teller, d saved) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("the copy for the next boot in %s: %w", d.Staged, err)
		}
	}()
	if _, err := os.Stat(filepath.Join(d.Staged, programName)); err != nil {
		return err
	}
	point, done, err := openStaged(ctx, d.Staged)
	if err != nil {
		return err
	}
	return errors.Join(readBack(ctx, task, point, d), done())
}

// write replaces a file durably.
func write(path string, text []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// readResult is nil when no boot has gone back yet.
func readResult(dir string) (*result, error) {
	text, err := os.ReadFile(filepath.Join(dir, resultName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r result
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read what the boot has done: %w", err)
	}
	return &r, nil
}

func writeJSON(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return write(path, append(text, '\n'))
}
