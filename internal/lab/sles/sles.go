// Package sles builds what an upgrade of SUSE Linux Enterprise is tried on: signed
// package repositories of several releases, full of tiny packages, and a root
// installed from them by the real zypper. rpmbuild, createrepo_c and GnuPG are the
// real ones too; only what is in the packages is made up. Nothing of it is about
// Lifeboat, and nothing here is run inside a sandbox: whoever tries an upgrade in
// one builds the lab first and hands the root over. It needs root and works
// without a network.
//
//	lab, err := sles.Build(ctx, filepath.Join(t.TempDir(), "lab"), sles.Options{
//		From: sles.SLES11SP3, Break: []string{sles.FaultPre},
//	})
//
// gives lab.Root, a directory with an SLES 11 SP3, and lab.Target, the repositories
// of SLES 12 below lab.Dir, the first with a package whose %pre fails. In a story,
// `lab sles DIR --from 11.3 --break pre` does the same.
//
// The first Build of a machine takes some seconds for what it needs and keeps it in
// /var/tmp/lifeboat-lab-sles, by the state of these sources; every other one, of any
// program, copies it. What was not asked for during six hours is removed.
//
// The root has: the packages of SLES 11 SP3 (Lab.Packages lists them) with apache2
// from the updates and an openssh that still needs one; acme-backup and acme-agent
// of another vendor, the first of which the upgrade removes because its library
// goes; compat, which becomes an orphan; an edited /etc/apache2/httpd.conf and
// /etc/my.cnf, which get an .rpmnew; the repositories of its release, signed by a key
// that rpm knows, an unsigned acme and a disabled one with $RCE; menu.lst or
// grub.cfg, fstab, sysconfig/windowmanager; data of a user with hard links,
// extended attributes, an ACL, a sparse file and odd names. Debian's rpm needs
// a HOME with the right .rpmmacros to see the package database: Lab.Home is one, and
// Lab.Zypper and Lab.RPM use it.
//
// Lab.Install plays the installer on the root as if its boot entry had been taken;
// `lab installer DIR` does so. For really taking it, Lab.Medium makes kernel and initrd
// of an installation medium, Lab.InstallationSystem the disk with the installer on it,
// and package pc the PC: TestAcceptance12EntryIsBooted shows how. The main or TestMain
// of such a program calls Init first.
package sles

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options say what is built.
type Options struct {
	Product string // SLES or SLED; "" is SLES
	From    string // the release of the root; "" is SLES11SP3
	To      string // the release whose repositories Target are; "" is the one after From
	// Break are faults of the target's repositories; see the constants Fault….
	Break []string
	Big   int64 // size in bytes of the big package; 0 is 64 MiB
}

// Repository is a package repository of the lab.
type Repository struct {
	Alias string `json:"alias"` // such as SLES11-SP3-Pool
	Dir   string `json:"dir"`
	URL   string `json:"url"` // file://Dir
}

// Lab is what was built. It is a description: removing Dir removes all of it.
type Lab struct {
	Dir  string `json:"dir"`
	Root string `json:"root"` // the installed system
	Home string `json:"home"` // a home directory for zypper and rpm of this machine
	Key  string `json:"key"`  // the public key that the repositories are signed with
	// Source are the repositories that Root was installed from, Acme that of the
	// other vendor, and Target those of the release to upgrade to, which Root does
	// not know yet.
	Source []Repository `json:"source"`
	Acme   Repository   `json:"acme"`
	Target []Repository `json:"target"`
	To     string       `json:"to"` // the release of Target
}

// macros let Debian's rpm find the package database where SUSE has it.
const macros = "%_dbpath /var/lib/rpm\n"

// description is the Lab as a file in its directory.
const description = "lab.json"

// Build makes a lab in dir, which must not be there yet or be empty.
func Build(ctx context.Context, dir string, opts Options) (_ *Lab, err error) {
	from, to, err := opts.fill()
	if err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("a root can be installed by root only")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := makeDirs(dir); err != nil {
		return nil, err
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return nil, errors.Join(err, fmt.Errorf("%s is not empty", dir))
	}
	c, err := openCache()
	if err != nil {
		return nil, err
	}
	w := workshop{ctx: ctx, cache: c}
	l := &Lab{Dir: dir, Root: filepath.Join(dir, "root"), Home: filepath.Join(dir, "home"), Key: filepath.Join(dir, "key.asc")}
	if err := l.furnish(); err != nil {
		return nil, err
	}
	keys, err := w.keys()
	if err != nil {
		return nil, err
	}
	if err := run(ctx, "", nil, "cp", keys.public(), l.Key); err != nil {
		return nil, err
	}
	if l.Source, err = l.fetch(w, from); err != nil {
		return nil, err
	}
	l.To = to.version
	if l.Target, err = l.fetch(w, to); err != nil {
		return nil, err
	}
	if l.Acme, err = l.take(w, from, "acme"); err != nil {
		return nil, err
	}
	if err := l.spoil(w, to, opts); err != nil {
		return nil, err
	}
	installed, err := w.root(from)
	if err != nil {
		return nil, err
	}
	if err := run(ctx, "", nil, "cp", "-a", "--reflink=auto", installed, l.Root); err != nil {
		return nil, err
	}
	if err := move(l.Root, w.cache.dir, l.repositories()); err != nil {
		return nil, err
	}
	raw, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return nil, err
	}
	return l, write(filepath.Join(dir, description), string(raw)+"\n")
}

// Open returns the lab that was built in dir.
func Open(dir string) (*Lab, error) {
	raw, err := os.ReadFile(filepath.Join(dir, description))
	if err != nil {
		return nil, fmt.Errorf("no lab was built in %s: %w", dir, err)
	}
	l := new(Lab)
	return l, json.Unmarshal(raw, l)
}

func (o *Options) fill() (from, to release, err error) {
	if o.Product == "" {
		o.Product = SLES
	}
	if o.From == "" {
		o.From = SLES11SP3
	}
	if o.To == "" {
		o.To = successor[o.From]
	}
	if o.Big == 0 {
		o.Big = 64 << 20
	}
	if err := checkFaults(o.Break); err != nil {
		return from, to, err
	}
	if from, err = newRelease(o.Product, o.From); err != nil {
		return from, to, err
	}
	if o.To == "" {
		return from, from, nil // nothing comes after it
	}
	to, err = newRelease(o.Product, o.To)
	return from, to, err
}

// repositories is the directory below which all of them are.
func (l *Lab) repositories() string { return filepath.Join(l.Dir, "repositories") }

// fetch copies the repositories of a release into the lab.
func (l *Lab) fetch(w workshop, r release) ([]Repository, error) {
	var list []Repository
	for _, c := range r.channels() {
		repo, err := l.take(w, r, c.name)
		if err != nil {
			return nil, err
		}
		list = append(list, repo)
	}
	return list, nil
}

func (l *Lab) take(w workshop, r release, alias string) (Repository, error) {
	repo := Repository{Alias: alias, Dir: filepath.Join(l.repositories(), alias)}
	repo.URL = "file://" + repo.Dir
	made, err := w.repository(r, alias)
	if err != nil {
		return repo, err
	}
	if _, err := os.Stat(repo.Dir); err == nil {
		return repo, nil // source and target are the same release
	}
	return repo, run(w.ctx, "", nil, "cp", "-a", "--reflink=auto", made, repo.Dir)
}

// furnish makes what is beside the root.
func (l *Lab) furnish() error {
	return errors.Join(makeDirs(l.repositories()), write(filepath.Join(l.Home, ".rpmmacros"), macros))
}

// Hold makes a root that was built with FaultSlow wait in the middle of its
// upgrade until Release, or for ten minutes. Only there means: not in an overlay
// of the root, which has another device.
func (l *Lab) Hold(onlyThere bool) error {
	content := ""
	if onlyThere {
		device, err := deviceOf(l.Root)
		if err != nil {
			return err
		}
		content = fmt.Sprint(device)
	}
	return write(filepath.Join(l.Root, hold), content)
}

// Release lets a root go on that Hold holds.
func (l *Lab) Release() error { return os.Remove(filepath.Join(l.Root, hold)) }

// Waiting tells that the root's upgrade has come to where Hold holds it.
func (l *Lab) Waiting() bool {
	_, err := os.Stat(filepath.Join(l.Root, waiting))
	return err == nil
}

func sortedPackages(out string) []string {
	var list []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "gpg-pubkey-") {
			list = append(list, line)
		}
	}
	slices.Sort(list)
	return list
}
