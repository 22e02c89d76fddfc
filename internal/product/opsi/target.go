package opsi

import (
	"context"
	"fmt"
	"slices"

	"lifeboat/internal/host"
	"lifeboat/internal/product/opsi/backend"
	"lifeboat/internal/profile"
)

func scopeOf(h *host.Host) profile.Scope { return profile.Scope{Host: h} }

// Target compares where an archive's backends had their data, which the settings
// say, with where this machine's opsi looks for them now. What it returns keeps
// the restored data from being used; none of it matters for what is restored
// together with the configuration. The settings are those of this machine's
// database access, which counts when its configuration stays.
func Target(ctx context.Context, h *host.Host, saved map[string]string, components []string) (differences []string, settings map[string]string, err error) {
	v, err := lookAt(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	differences, settings = v.broken(), map[string]string{}
	differ := func(format string, args ...any) { differences = append(differences, fmt.Sprintf(format, args...)) }
	for _, known := range saveable {
		if !slices.Contains(components, known.component) {
			continue
		}
		c, used := v.first(known.kind)
		if !used && known.kind == backend.DHCP {
			c, used = v.any(known.kind)
		}
		if !used {
			differ("opsi on this machine uses no backend of the sort %s", known.kind)
			continue
		}
		switch known.kind {
		case backend.File:
			if b, err := c.FileBackend(); err == nil {
				if b.BaseDir != saved["file_base"] {
					differ("the file backend was in %s and is in %s on this machine", saved["file_base"], b.BaseDir)
				}
				if b.HostKeyFile != saved["host_keys"] {
					differ("the host keys were in %s and are in %s on this machine", saved["host_keys"], b.HostKeyFile)
				}
			}
		case backend.MySQL:
			if d, err := c.Database(); err == nil {
				if d.Name != saved["db_name"] {
					differ("the database was called %s and is called %s on this machine", saved["db_name"], d.Name)
				}
				settings["db_host"], settings["db_socket"], settings["db_user"] = d.Host, d.Socket, d.User
			}
		case backend.DHCP:
			if f := v.dhcpdConf(); f != saved["dhcpd_conf"] {
				differ("the DHCP server's configuration was %s and is %s on this machine", saved["dhcpd_conf"], f)
			}
		}
	}
	return differences, settings, nil
}
