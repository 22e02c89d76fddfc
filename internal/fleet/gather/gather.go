// Package gather puts together what a rescue system needs to know to recover this
// host: from lifeboat.yaml, the files beside it and the machine itself. Every file goes
// into the secret half: lifeboat.yaml and profiles name commands, and those have
// arguments. It sends nothing and changes nothing.
package gather

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component/network"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/rescue/disks"
	"lifeboat/internal/rescue/identity"
	"lifeboat/internal/storage/redact"
)

// Source is what is gathered from.
type Source struct {
	Config *config.Config
	File   string // the configuration file; what stands beside it is taken too
	Host   *host.Host
	// Password reads that of a repository; nobody may be asked for it.
	Password func(context.Context, config.Repository) ([]byte, error)
}

// Home is where a rescue system has its configuration, wherever it stands here.
const Home = "/etc/lifeboat"

// maxFile bounds one file, in bytes. Files that a recovery needs are small.
const maxFile = 256 << 10

// Gathered is a recovery configuration, and what is not in it.
type Gathered struct {
	Open   *configuration.Open
	Secret *configuration.Secret
	// Missing is what a recovery would lack, and why; Notes say what else is not in it.
	Missing, Notes []string

	files map[string]configuration.File
}

// Gather gathers. A host without systems has no recovery configuration: nil.
func Gather(ctx context.Context, s Source) (*Gathered, error) {
	if len(s.Config.Systems) == 0 {
		return nil, nil
	}
	machine, err := identity.Read("/")
	if err != nil {
		return nil, fmt.Errorf("recovery configuration: %w", err)
	}
	facts, err := s.Host.Facts(ctx)
	if err != nil {
		return nil, fmt.Errorf("recovery configuration: %w", err)
	}
	g := &Gathered{
		Open:   &configuration.Open{Identity: machine.Identity},
		Secret: &configuration.Secret{Passwords: map[string]string{}, Environment: map[string]string{}},
		files:  map[string]configuration.File{},
	}
	slices.Sort(g.Open.Identity.MACs)
	if g.Open.Network, err = json.Marshal(network.Identity{Hostname: facts.Hostname, FQDN: facts.FQDN, Network: lasting(facts.Network)}); err != nil {
		return nil, fmt.Errorf("recovery configuration: %w", err)
	}
	layout, err := disks.Read(ctx, s.Host)
	if err != nil {
		return nil, fmt.Errorf("recovery configuration: %w", err)
	}
	for _, n := range layout.Notes {
		g.note("of the disks is not known: %s", n)
	}
	if g.Open.Layout, err = json.Marshal(layout); err != nil || len(g.Open.Layout) > configuration.MaxRecord {
		g.note("the record of the disks is not in it: %v, %d bytes", err, len(g.Open.Layout))
		g.Open.Layout = nil
	}
	used := map[string]bool{}
	for _, system := range s.Config.Systems {
		out := configuration.System{Name: system.Name, Profile: system.Profile}
		for _, r := range s.Config.RepositoriesOf(system) {
			out.Repositories = append(out.Repositories, r.Name)
			used[r.Name] = true
		}
		if len(out.Repositories) == 0 {
			g.miss("system %s has no repository", system.Name)
			continue
		}
		g.Open.Systems = append(g.Open.Systems, out)
	}
	if len(g.Open.Systems) == 0 {
		return nil, nil
	}
	for _, r := range s.Config.Repositories {
		if !used[r.Name] {
			continue
		}
		g.Open.Repositories = append(g.Open.Repositories, configuration.Repository{Name: r.Name, Location: redact.Public(r.URL)})
		g.repository(ctx, s, r)
	}
	if err := g.beside(s); err != nil {
		return nil, err
	}
	g.rear()
	g.Secret.Files = sorted(g.files)
	return g, nil
}

func (g *Gathered) miss(format string, args ...any) {
	g.Missing = append(g.Missing, fmt.Sprintf(format, args...))
}

func (g *Gathered) note(format string, args ...any) {
	g.Notes = append(g.Notes, fmt.Sprintf(format, args...))
}

// lasting leaves out what comes and goes with containers and virtual machines, so that
// it makes no new version each time.
func lasting(n host.Network) host.Network {
	passing := func(i host.Interface) bool {
		return len(i.Addresses) == 0 && !slices.Contains([]string{"device", "bond", "vlan"}, i.Type)
	}
	n.Interfaces = slices.DeleteFunc(slices.Clone(n.Interfaces), passing)
	return n
}

// fromEnvironment is what stores read of it.
var fromEnvironment = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_REGION",
	"RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD",
}

// repository takes what reaching a repository takes: its password, and the files that
// its configuration names.
func (g *Gathered) repository(ctx context.Context, s Source, r config.Repository) {
	password, err := s.Password(ctx, r)
	if err != nil {
		g.miss("the password of repository %s is not in it: %v", r.Name, err)
	} else {
		g.Secret.Passwords[r.Name] = string(password)
		clear(password)
	}
	for _, p := range []*config.Password{&r.Password, r.S3.SecretKey, r.SFTP.Password, r.SFTP.Passphrase, r.REST.Password} {
		if p != nil && p.File != "" {
			g.take(p.File, p.File, p == &r.Password)
		}
	}
	for _, name := range append(slices.Clone([]string(r.SFTP.KnownHosts)), r.CAFile, r.S3.CredentialsFile, r.SFTP.KeyFile) {
		if name != "" {
			g.take(name, name, false)
		}
	}
	scheme, _, _ := strings.Cut(r.URL, ":")
	if scheme == "sftp" && r.SFTP.KeyFile == "" {
		keys, _ := filepath.Glob("/root/.ssh/id_*")
		for _, name := range keys {
			g.take(name, name, true)
		}
		g.take("/root/.ssh/known_hosts", "/root/.ssh/known_hosts", true)
	}
	if scheme == "s3" || scheme == "rest" {
		for _, name := range fromEnvironment {
			if value := os.Getenv(name); value != "" {
				g.Secret.Environment[name] = value
			}
		}
	}
}

// beside takes the configuration file and what stands beside it.
func (g *Gathered) beside(s Source) error {
	dir := filepath.Dir(s.File)
	g.take(s.File, Home+"/lifeboat.yaml", false)
	if dir != Home && !own(dir) {
		return nil // somebody's working directory
	}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		switch {
		case err != nil:
			return err
		case d.IsDir() && rel == "fleet": // a fleet server's keys are its own affair
			return fs.SkipDir
		case !d.Type().IsRegular() || name == s.File:
			return nil
		case strings.HasPrefix(rel, "rescue.") || strings.HasPrefix(rel, "rescue/"): // a medium's own
			return nil
		}
		g.take(name, path.Join(Home, filepath.ToSlash(rel)), false)
		return nil
	})
	if err != nil {
		return fmt.Errorf("recovery configuration: files beside %s: %w", s.File, err)
	}
	return nil
}

// rear takes what Relax-and-Recover recovers this host by, where it is installed.
func (g *Gathered) rear() {
	for _, dir := range []string{"/etc/rear", "/var/lib/rear/layout", "/var/lib/rear/recovery"} {
		_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() { // else not installed, or nothing that a recovery needs
				g.take(name, name, true)
			}
			return nil
		})
	}
}

// own tells a directory of Lifeboat's own.
func own(dir string) bool { return filepath.Base(dir) == "lifeboat" }

// take takes a file. What is missing or not allowed there is noted, unless something
// else stands for it.
func (g *Gathered) take(name, to string, spare bool) {
	f, err := read(name)
	if err == nil {
		f.Path = to
		f.Mode &= 0o700
		err = configuration.FileAllowed(f.Path, f.Mode)
	}
	if err == nil {
		g.files[to] = f
	} else if !spare {
		g.miss("%s is not in it: %v", name, err)
	}
}

func read(name string) (configuration.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return configuration.File{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return configuration.File{}, err
	case !info.Mode().IsRegular():
		return configuration.File{}, errors.New("it is no regular file")
	case info.Size() > maxFile:
		return configuration.File{}, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	return configuration.File{Mode: info.Mode().Perm() &^ 0o022, Content: text}, err
}

func sorted(files map[string]configuration.File) []configuration.File {
	var list []configuration.File
	for _, f := range files {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b configuration.File) int { return strings.Compare(a.Path, b.Path) })
	return list
}
