package sles

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// workshop makes the parts of labs, each once for the same sources.
type workshop struct {
	ctx   context.Context //nolint:containedctx // lives as long as one Build
	cache *cache
}

func (w workshop) keys() (keyring, error) {
	dir, err := w.cache.get("keys", func(dir string) error { return newKeyring(w.ctx, dir) })
	return keyring{dir}, err
}

// repository returns the directory of one package repository of a release.
func (w workshop) repository(r release, alias string) (string, error) {
	name := "repository-" + alias
	if alias == "acme" {
		name += "-" + r.version
	}
	keys, err := w.keys()
	if err != nil {
		return "", err
	}
	return w.cache.get(name, func(dir string) error {
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
		if alias == "acme" {
			if err := build(w.ctx, keys, dir, r.foreign()); err != nil {
				return err
			}
			return metadata(w.ctx, keyring{}, dir, "", "")
		}
		packs, products, notices := r.content(alias)
		if len(packs) > 0 {
			if err := build(w.ctx, keys, dir, packs); err != nil {
				return err
			}
		}
		return metadata(w.ctx, keys, dir, products, notices)
	})
}

// content is what belongs into one of the release's repositories. Those of
// SLES 11 SP1, which SP2 needs too, have what has not changed since.
func (r release) content(alias string) (packs []pack, products, notices string) {
	channels := r.channels()
	at := slices.IndexFunc(channels, func(c channel) bool { return c.name == alias })
	old := at < len(channels)-2
	if channels[at].updates {
		if old {
			return nil, "", ""
		}
		for _, n := range r.notices() {
			packs = append(packs, n.pack)
		}
		return packs, "", updateInfo(r.notices())
	}
	for _, p := range r.first() {
		if (p.name == "compat" && len(channels) > 2) == old {
			packs = append(packs, p)
		}
	}
	if old {
		return packs, "", ""
	}
	return packs, r.productsXML(), ""
}

// spoil puts faults into the target's repositories, which are the lab's own copy.
func (l *Lab) spoil(w workshop, to release, opts Options) error {
	if len(opts.Break) == 0 {
		return nil
	}
	keys, err := w.keys()
	if err != nil {
		return err
	}
	first, updates := l.Target[len(l.Target)-2], l.Target[len(l.Target)-1]
	var packs []pack
	for _, fault := range opts.Break {
		p, alone := to.faulty(fault, opts.Big)
		if p.name == "" {
			continue
		}
		packs = append(packs, p)
		if !alone {
			continue
		}
		for _, good := range to.first() {
			if good.name == p.name {
				if err := os.Remove(filepath.Join(first.Dir, good.rpm())); err != nil {
					return err
				}
			}
		}
		_, products, _ := to.content(first.Alias)
		if err := metadata(w.ctx, keys, first.Dir, products, ""); err != nil {
			return err
		}
	}
	if len(packs) > 0 {
		if err := build(w.ctx, keys, updates.Dir, packs); err != nil {
			return err
		}
	}
	_, _, notices := to.content(updates.Alias)
	if slices.Contains(opts.Break, FaultUnsigned) {
		keys = keyring{}
	}
	if err := metadata(w.ctx, keys, updates.Dir, "", notices); err != nil {
		return err
	}
	victim := filepath.Join(first.Dir, to.postgresql().rpm())
	for _, fault := range opts.Break {
		switch fault {
		case FaultMissing:
			err = os.Remove(victim)
		case FaultCorrupt:
			err = damage(victim)
		case FaultTampered:
			err = appendTo(filepath.Join(updates.Dir, "repodata", "repomd.xml"), "<!-- and more -->\n")
		}
		if err != nil {
			return fmt.Errorf("put the fault %s into the lab: %w", fault, err)
		}
	}
	return nil
}

// damage turns one byte in the middle of a file round.
func damage(name string) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	raw[len(raw)/2] ^= 0xff
	return os.WriteFile(name, raw, 0o644)
}

func appendTo(name, text string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
