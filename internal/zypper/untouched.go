package zypper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/host"
)

// ownNotes is what libzypp writes down for itself, in a simulation too: what was
// installed for the sake of others, with the same content and another date, and an
// arbitrary number by which machines are counted.
var ownNotes = []string{"/var/lib/zypp/AutoInstalled", "/var/lib/zypp/AnonymousUniqueId"}

// untouched is a call that changes no package and leaves libzypp's notes as they were.
func (z *Zypper) untouched(ctx context.Context, global []string, command ...string) (result *Result, err error) {
	err = z.noting(func() error {
		result, err = z.call(ctx, global, command...)
		return err
	})
	return result, err
}

// noting leaves libzypp's notes as they were before something.
func (z *Zypper) noting(act func() error) error {
	h, err := host.At(z.o.Files)
	if err != nil {
		return err
	}
	var before []noted
	for _, own := range ownNotes {
		name, err := h.Path(own)
		if err != nil {
			return err
		}
		n, err := note(name)
		if err != nil {
			return err
		}
		before = append(before, n)
	}
	err = act()
	for _, n := range before {
		err = errors.Join(err, n.restore())
	}
	return err
}

// noted is a small file as it was, and when its directory was changed.
type noted struct {
	name      string
	there     bool
	content   []byte
	mode      os.FileMode
	file, dir time.Time
}

func note(name string) (noted, error) {
	n := noted{name: name}
	if info, err := os.Stat(filepath.Dir(name)); err == nil {
		n.dir = info.ModTime()
	}
	info, err := os.Lstat(name)
	if errors.Is(err, os.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return n, nil
	}
	if err == nil {
		n.there, n.mode, n.file = true, info.Mode().Perm(), info.ModTime()
		n.content, err = os.ReadFile(name)
	}
	if err != nil {
		return n, fmt.Errorf("note what zypp has noted: %w", err)
	}
	return n, nil
}

func (n noted) restore() (err error) {
	have, readErr := os.ReadFile(n.name)
	switch {
	case errors.Is(readErr, os.ErrNotExist) && !n.there:
		return nil
	case !n.there:
		err = os.Remove(n.name)
	case readErr != nil || !bytes.Equal(have, n.content):
		err = os.WriteFile(n.name, n.content, n.mode)
	}
	if n.there && err == nil {
		err = os.Chtimes(n.name, time.Time{}, n.file)
	}
	if !n.dir.IsZero() && err == nil {
		err = os.Chtimes(filepath.Dir(n.name), time.Time{}, n.dir)
	}
	if err != nil {
		return fmt.Errorf("leave zypp's notes as they were: %w", err)
	}
	return nil
}
