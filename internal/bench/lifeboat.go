package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/internal/repository"
	"lifeboat/internal/storage"
)

// Lifeboat is the program under test, used as an administrator uses it: a
// configuration file, a profile of files only, and the verbs backup, restore and
// verify. No component takes a stream from the command line, so the dump is fed
// by a program that calls Feed, as the database components feed theirs.
func Lifeboat(program, feeder string) Peer {
	run := func(p Place, args ...string) Command {
		return Command{
			Args: append([]string{program, "--config", filepath.Join(p.Dir, "etc", "lifeboat.yaml")}, args...),
			Env:  []string{"XDG_CACHE_HOME=" + filepath.Join(p.Dir, "cache")},
		}
	}
	return Peer{
		Name:    "lifeboat",
		Version: firstLine(program, "version"),
		Prepare: prepareLifeboat,
		Backup: func(p Place) []Command {
			stream := Command{Args: []string{feeder, "feed", p.Store, filepath.Join(p.Dir, "etc", "password")}, From: p.Dump}
			return []Command{run(p, "backup", "bench"), stream}
		},
		Again: func(p Place) []Command { return []Command{run(p, "backup", "bench")} },
		Restore: func(p Place) []Command {
			return []Command{run(p, "restore", "bench", "corpus", "--target", p.Out)}
		},
		Restored: func(p Place) string { return filepath.Join(p.Out, p.Root) },
		Verify:   func(p Place) []Command { return []Command{run(p, "verify", "--read-data")} },
	}
}

// prepareLifeboat makes an empty repository and writes the two files. `lifeboat
// init` would also install a boot unit, which has no place in a measurement.
func prepareLifeboat(ctx context.Context, p Place) error {
	password := string(repository.NewPassword()) + "\n" // as init makes it
	for name, text := range map[string]string{
		"password":            password,
		"lifeboat.yaml":       fmt.Sprintf(benchConfig, filepath.Join(p.Dir, "state"), p.Store, filepath.Join(p.Dir, "etc", "password")),
		"profiles/bench.yaml": fmt.Sprintf(benchProfile, p.Trees[0], p.Trees[1]),
	} {
		file := filepath.Join(p.Dir, "etc", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
	}
	store, err := storage.Open(ctx, p.Store, storage.Options{})
	if err != nil {
		return err
	}
	repo, err := repository.Create(ctx, store, []byte(strings.TrimSpace(password)), repository.Options{})
	if err != nil {
		return errors.Join(err, store.Close())
	}
	return repo.Close()
}

// Feed stores a stream in a snapshot of its own.
func Feed(ctx context.Context, dir, passwordFile string, from io.Reader) (err error) {
	password, err := os.ReadFile(passwordFile)
	if err != nil {
		return err
	}
	store, err := storage.Open(ctx, dir, storage.Options{})
	if err != nil {
		return err
	}
	repo, err := repository.Open(ctx, store, bytes.TrimSpace(password), repository.Options{})
	if err != nil {
		return errors.Join(err, store.Close())
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	session, err := repo.Begin(ctx, repository.SessionOptions{})
	if err != nil {
		return err
	}
	if _, err := session.AddStream(ctx, "/dump.sql", repository.Stream{}, from); err != nil {
		return errors.Join(err, session.Abort(ctx))
	}
	_, err = session.Commit(ctx, repository.SnapshotInfo{})
	return err
}

const benchConfig = `state_dir: %q
repositories:
  - name: main
    url: %q
    password: {file: %q}
systems:
  - {name: bench, profile: bench}
`

const benchProfile = `profile: bench
title: A corpus of files
detect: {file: /}
components:
  - name: corpus
    kind: files
    title: The corpus
    paths: [%q, %q]
    importance: critical
    capture: live
    loss: Nothing; it can be built again.
recovery:
  restore:
    - restore: corpus
`
