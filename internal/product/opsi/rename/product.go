package rename

import (
	"context"
	"fmt"
	"os"
	"path"

	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/product/opsi/backend"
)

// The parts of an opsi server that are renamed one after another.
const (
	PartDatabase      = "database"
	PartConfiguration = "configuration"
	PartFileBackend   = "file backend"
	PartDHCP          = "DHCP configuration"
	PartHostName      = "host name"
)

// Parts lists them.
func Parts() []string {
	return []string{PartDatabase, PartConfiguration, PartFileBackend, PartDHCP, PartHostName}
}

// Check refuses ids that opsi would not take.
func Check(from, to string) error { return Names{from, to}.Validate() }

// Plan plans one part, as product.Product.Rename. It reads the settings file_base,
// host_keys and dhcpd_conf of opsi's profile.
func Plan(ctx context.Context, env product.RenameEnv) (*product.Rename, error) {
	n := Names{env.From, env.To}
	if env.Part == PartDatabase {
		return planDatabase(ctx, env, n)
	}
	places := Places{Keys: env.Settings["host_keys"]}
	switch env.Part {
	case PartConfiguration:
		places.Trees = []string{"/etc/opsi"}
		if places.Keys != "" {
			places.Files = []string{places.Keys}
		}
	case PartFileBackend:
		if places.Base = env.Settings["file_base"]; places.Base == "" {
			return &product.Rename{}, nil
		}
		places.Trees = []string{places.Base}
	case PartDHCP:
		dhcp := env.Settings["dhcpd_conf"]
		if dhcp == "" {
			return &product.Rename{}, nil
		}
		places.Files = backend.DHCPFiles(dhcp, func(name string) string { return text(env.Host, name) })
	case PartHostName:
		places.Files = []string{"/etc/hostname", "/etc/hosts", "/etc/mailname"}
	default:
		return nil, fmt.Errorf("opsi has no part %q; its parts are %v", env.Part, Parts())
	}
	p, err := PlanFiles(ctx, env.Host, places, n)
	if err != nil {
		return nil, err
	}
	r := &product.Rename{Removed: p.Removed, Left: p.Left, Apply: func(ctx context.Context, aside string) error {
		return p.Apply(ctx, env.Host, aside)
	}}
	for _, c := range p.Changes {
		r.Changes = append(r.Changes, c.String())
	}
	return r, nil
}

func planDatabase(ctx context.Context, env product.RenameEnv, n Names) (*product.Rename, error) {
	if env.Database == nil {
		return &product.Rename{}, nil
	}
	p, err := PlanDatabase(ctx, env.Database, n)
	if err != nil {
		return nil, err
	}
	r := &product.Rename{Removed: p.Removed, Left: p.Left, Apply: func(ctx context.Context, aside string) error {
		if err := writeAside(path.Join(aside, "removed.sql"), p.Aside); err != nil {
			return err
		}
		return p.Apply(ctx, env.Database)
	}}
	for _, c := range p.Changes {
		r.Changes = append(r.Changes, c.String())
	}
	return r, nil
}

// text reads a file of the machine as it is now, after a restore the restored one;
// what cannot be read is empty.
func text(h *host.Host, name string) string {
	real, err := h.Path(name)
	if err != nil {
		return ""
	}
	if info, err := os.Stat(real); err != nil || !info.Mode().IsRegular() || info.Size() > maxText {
		return ""
	}
	data, err := os.ReadFile(real)
	if err != nil {
		return ""
	}
	return string(data)
}
