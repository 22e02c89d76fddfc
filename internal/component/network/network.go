// Package network is the component kind for a machine's network identity:
// names, interfaces, addresses, routes and name servers as they are in force,
// and the files that configure them. A restore compares and shows; the network
// of a machine is never rewritten here.
package network

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/internal/component"
	"lifeboat/internal/component/boundary"
	"lifeboat/internal/component/files"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
)

// Names of the streams in a recovery point.
const (
	StreamJSON = "network.json" // an Identity
	StreamText = "network.txt"  // the same for people
)

// maxStream bounds what is read of a recorded identity, in bytes.
const maxStream = 16 << 20

// configuration lists where systems keep their network configuration: SUSE,
// Debian, Red Hat, NetworkManager, netplan, systemd-networkd, and the names of
// interfaces that udev made permanent.
var configuration = []string{
	"/etc/hosts", "/etc/resolv.conf", "/etc/HOSTNAME", "/etc/hostname", "/etc/nsswitch.conf", "/etc/host.conf",
	"/etc/sysconfig/network", "/etc/sysconfig/network-scripts", "/etc/network",
	"/etc/NetworkManager/NetworkManager.conf", "/etc/NetworkManager/system-connections",
	"/etc/netplan", "/etc/systemd/network", "/etc/udev/rules.d/70-persistent-net.rules",
}

// Options are the kind's keys in a profile.
type Options struct {
	// Paths are more configuration files, beside those of the usual systems.
	Paths []string `yaml:"paths,omitempty" json:"paths,omitempty"`
}

// Validate checks what a profile says.
func (o *Options) Validate() error { return files.ValidatePatterns("paths", o.Paths, true) }

// Identity is the network identity of a machine at one moment.
type Identity struct {
	Hostname string `json:"hostname"`
	FQDN     string `json:"fqdn,omitempty"`
	host.Network
	Hosts []Entry `json:"hosts,omitempty"` // /etc/hosts without the machine's own loopback lines
}

// Entry is a line of hosts(5).
type Entry struct {
	Address string   `json:"address"`
	Names   []string `json:"names"`
}

// Detail is what the kind keeps in the manifest.
type Detail struct {
	files.Detail
	Identity Identity `json:"identity"`
}

// Kind describes the kind to the registry.
func Kind() component.Kind {
	return component.Kind{
		Name:    "network",
		Passive: true,
		Definition: profile.Definition{
			Summary: "the machine's network identity, recorded and compared, never rewritten",
			Options: func() any { return new(Options) },
		},
		New: func(env component.Env, spec profile.Component) (component.Component, error) {
			options, _ := spec.Options.(*Options)
			if options == nil {
				options = new(Options)
			}
			plain, err := files.New(env, spec, files.Options{Paths: append(configuration[:len(configuration):len(configuration)], options.Paths...), MissingOK: true})
			if err != nil {
				return nil, err
			}
			return &Component{plain: plain, env: env, spec: spec}, nil
		},
	}
}

// Component is the network identity of one machine.
type Component struct {
	plain *files.Component
	env   component.Env
	spec  profile.Component
}

// Inspect tells the identity in short.
func (c *Component) Inspect(ctx context.Context) (component.Inspection, error) {
	in, err := c.plain.Inspect(ctx)
	if err != nil {
		return in, err
	}
	now, err := c.identity(ctx)
	if err != nil {
		return in, err
	}
	in.Present = true
	in.Detail = now.short()
	return in, nil
}

func (c *Component) identity(ctx context.Context) (Identity, error) {
	facts, err := c.env.Host.Facts(ctx)
	if err != nil {
		return Identity{}, fmt.Errorf("component %s: %w", c.spec.Name, err)
	}
	return Identity{Hostname: facts.Hostname, FQDN: facts.FQDN, Network: facts.Network, Hosts: c.hosts()}, nil
}

// Capture stores the identity as network.json and network.txt, and the
// configuration files at their places.
func (c *Component) Capture(ctx context.Context, sink component.Sink) (component.Captured, error) {
	now, err := c.identity(ctx)
	if err != nil {
		return component.Captured{}, err
	}
	got, plain, err := c.plain.CaptureFiles(ctx, sink)
	if err != nil {
		return got, err
	}
	text, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		return component.Captured{}, fmt.Errorf("component %s: %w", c.spec.Name, err)
	}
	for name, content := range map[string][]byte{StreamJSON: append(text, '\n'), StreamText: []byte(now.Text())} {
		if _, err := sink.AddStream(ctx, name, bytes.NewReader(content)); err != nil {
			return component.Captured{}, fmt.Errorf("component %s: store %s: %w", c.spec.Name, name, err)
		}
	}
	got.Streams = []string{StreamJSON, StreamText}
	got.Items += int64(len(now.Interfaces))
	got.Detail = Detail{Detail: plain, Identity: now}
	return got, nil
}

// Restore writes what was recorded into the run's state directory and tells as
// warnings how this machine differs. It changes nothing else.
func (c *Component) Restore(ctx context.Context, source component.Source, opts component.RestoreOptions) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("component %s: %w", c.spec.Name, err)
	}
	recorded, err := c.recorded(opts.Record)
	if err != nil {
		return err
	}
	checks, err := c.compare(ctx, recorded)
	if err != nil {
		return err
	}
	where, err := c.keep(ctx, source)
	if err != nil {
		return fmt.Errorf("component %s: write what was recorded: %w", c.spec.Name, err)
	}
	for _, check := range checks {
		if !check.OK && opts.Warn != nil {
			opts.Warn(fmt.Sprintf("%s: recorded %s, found %s; %s", check.Name, check.Expected, check.Found, check.Hint))
		}
	}
	if opts.Warn != nil && failed(checks) {
		opts.Warn("the network was not changed; what was recorded is in " + where)
	}
	return nil
}

func failed(checks []component.Check) bool {
	for _, check := range checks {
		if !check.OK {
			return true
		}
	}
	return false
}

// keep extracts the point's record into the state directory.
func (c *Component) keep(ctx context.Context, source component.Source) (string, error) {
	if c.env.State == "" {
		return "", errors.New("no state directory given")
	}
	dir := filepath.Join(c.env.State, c.spec.Name+"-recorded")
	if _, err := os.Lstat(dir); err == nil {
		return dir, nil
	}
	part := dir + ".part"
	if err := os.RemoveAll(part); err != nil {
		return "", err
	}
	boundary.Reached(ctx, "before writing the record")
	if err := c.Extract(ctx, source, part); err != nil {
		return "", err
	}
	boundary.Reached(ctx, "record written")
	return dir, os.Rename(part, dir)
}

// Extract writes the recorded identity and the configuration files below dir.
func (c *Component) Extract(ctx context.Context, source component.Source, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range []string{StreamJSON, StreamText} {
		if err := extract(ctx, source, name, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("component %s: extract %s: %w", c.spec.Name, name, err)
		}
	}
	return c.plain.Extract(ctx, source, dir)
}

func extract(ctx context.Context, source component.Source, name, to string) error {
	r, err := source.OpenStream(ctx, name)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, io.LimitReader(r, maxStream))
	return errors.Join(err, f.Close())
}

// Check compares this machine's identity with the recorded one. Differences are
// warnings: whether the new machine takes over the old one's addresses is a
// person's decision.
func (c *Component) Check(ctx context.Context, record component.Record) ([]component.Check, error) {
	recorded, err := c.recorded(record)
	if err != nil {
		return nil, err
	}
	return c.compare(ctx, recorded)
}

func (c *Component) recorded(record component.Record) (Identity, error) {
	var detail Detail
	if len(record.Detail) == 0 {
		return Identity{}, fmt.Errorf("component %s: its record is empty: %w", c.spec.Name, fs.ErrInvalid)
	}
	if err := json.Unmarshal(record.Detail, &detail); err != nil {
		return Identity{}, fmt.Errorf("component %s: read its record: %w", c.spec.Name, err)
	}
	return detail.Identity, nil
}

// Plan tells that nothing would be changed, and what differs.
func (c *Component) Plan(ctx context.Context, _ component.Source, record component.Record) ([]string, error) {
	checks, err := c.Check(ctx, record)
	lines := []string{"the network is compared and not changed"}
	for _, check := range checks {
		if !check.OK {
			lines = append(lines, fmt.Sprintf("    %s: recorded %s, found %s", check.Name, check.Expected, check.Found))
		}
	}
	return lines, err
}

// Rollback does nothing, as Restore changes nothing.
func (c *Component) Rollback(ctx context.Context) error { return ctx.Err() }

// Discard does nothing: what was written belongs to the run.
func (c *Component) Discard(ctx context.Context) error { return ctx.Err() }
