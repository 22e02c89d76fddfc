package opsi

import (
	"context"
	"slices"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/product/opsi/backend"
)

// Here gives what an archive without a configuration holds the places where this
// machine's opsi looks for it. Such an archive does not say where its data were,
// and the usual places stand in it only by default.
func Here(ctx context.Context, h *host.Host, found *product.Import) error {
	for _, f := range found.Files {
		if f.Component == Configuration {
			return nil
		}
	}
	v, err := lookAt(ctx, h)
	if err != nil {
		return err
	}
	// Where this machine has its data is told below.
	found.Needs = nil
	found.Warnings = slices.DeleteFunc(found.Warnings, func(w string) bool { return strings.HasPrefix(w, noPlaces) })
	move := func(setting, to string) {
		from := found.Settings[setting]
		if from == "" || to == "" {
			return
		}
		for i := range found.Files {
			if found.Files[i].Path == from {
				found.Files[i].Path = to
			}
		}
		found.Settings[setting] = to
	}
	if c, used := v.first(backend.File); used {
		if b, err := c.FileBackend(); err == nil {
			move("file_base", b.BaseDir)
			move("host_keys", b.HostKeyFile)
			delete(found.Settings, "host_keys_inside")
			if within(b.HostKeyFile, backend.Dir) {
				found.Settings["host_keys_inside"] = b.HostKeyFile
			}
		}
	}
	if c, used := v.first(backend.MySQL); used {
		if d, err := c.Database(); err == nil && found.Settings["db_name"] != "" {
			found.Settings["db_name"] = d.Name
			for i := range found.Dumps {
				found.Dumps[i].Database = d.Name
			}
		}
	}
	if found.Settings["dhcpd_conf"] != "" {
		move("dhcpd_conf", v.dhcpdConf())
		found.Settings["dhcpd_files"] = found.Settings["dhcpd_conf"]
	}
	return nil
}
