package opsi

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/product/opsi/archive"
	"lifeboat/internal/product/opsi/backend"
)

// The words that opsi-backup takes for backends, beside those of their kinds.
const (
	Auto = "auto" // those that opsi uses, or that the archive holds
	All  = "all"
)

// Configuration is the component that holds /etc/opsi.
const Configuration = "configuration"

// saveable are the components of the profile that the kinds of opsi-backup
// stand for, in its order.
var saveable = []struct {
	kind      backend.Kind
	component string
	part      archive.Part
}{
	{backend.File, "file-backend", archive.Files},
	{backend.MySQL, "database", archive.Database},
	{backend.DHCP, "dhcp", archive.DHCP},
}

// Choice is what of a server is to be saved.
type Choice struct {
	Components []string
	// Settings are those of backends that opsi itself does not use; they may hold
	// a password.
	Settings map[string]string
	Warnings []string
}

// CheckBackends refuses words that are no backends of opsi-backup.
func CheckBackends(asked []string) error {
	for _, word := range asked {
		known := word == Auto || word == All
		for _, c := range saveable {
			known = known || word == string(c.kind)
		}
		switch {
		case known:
		case backend.Conf{Module: word}.Kind() == backend.Unsupported:
			return fmt.Errorf("the backend %s cannot be saved or restored; convert its data first, with opsi-convert %s file", word, word)
		default:
			return fmt.Errorf("there is no backend %q; there are auto, all, file, mysql and dhcp", word)
		}
	}
	return nil
}

// asksFor tells whether a kind is asked for: by name, or by all, or by auto.
func asksFor(asked []string, kind backend.Kind) (named, all, auto bool) {
	return slices.Contains(asked, string(kind)), slices.Contains(asked, All), len(asked) == 0 || slices.Contains(asked, Auto)
}

// Choose finds what --backends of `opsi-backup create` stands for on a machine.
// A backend that is asked for and not there is an error, before anything is done.
func Choose(ctx context.Context, h *host.Host, asked []string, configuration bool) (Choice, error) {
	v, err := lookAt(ctx, h)
	if err != nil {
		return Choice{}, err
	}
	c := Choice{Settings: map[string]string{}}
	if configuration {
		c.Components = append(c.Components, Configuration)
	}
	kinds := v.kinds()
	for _, known := range saveable {
		named, all, auto := asksFor(asked, known.kind)
		conf, used := v.first(known.kind)
		there := used
		if !used {
			conf, there = v.any(known.kind)
		}
		switch {
		case !named && !all && (!auto || !used):
			continue
		case !there && named:
			return Choice{}, fmt.Errorf("this server has no backend of the sort %s: no file in %s/backends names one", known.kind, backend.Dir)
		case !there:
			continue
		}
		gone := v.gone(conf)
		switch {
		case gone != "" && named:
			return Choice{}, fmt.Errorf("the backend %s cannot be saved: %s is not there", conf.Name, gone)
		case gone != "" && (!used || known.kind == backend.DHCP):
			c.Warnings = append(c.Warnings, fmt.Sprintf("the backend %s is left out: %s is not there", conf.Name, gone))
			continue
		}
		if !used {
			if err := v.unused(conf, c.Settings); err != nil {
				return Choice{}, err
			}
			c.Warnings = append(c.Warnings, fmt.Sprintf("opsi does not use the backend %s; it is saved all the same", conf.Name))
			kinds = append(kinds, string(known.kind))
		}
		c.Components = append(c.Components, known.component)
	}
	if len(c.Settings) > 0 {
		c.Settings["backends"] = strings.Join(kinds, " ")
	}
	if len(c.Components) == 0 {
		return Choice{}, fmt.Errorf("nothing would be saved: opsi uses no backend that is asked for, and the configuration is left out")
	}
	return c, nil
}

// any is a backend of a kind, used or not.
func (v *view) any(kind backend.Kind) (backend.Conf, bool) {
	i := slices.IndexFunc(v.server.Confs, func(c backend.Conf) bool { return c.Err == nil && c.Kind() == kind })
	if i < 0 {
		return backend.Conf{}, false
	}
	return v.server.Confs[i], true
}

// gone is the place of a backend's data at which nothing is, or "".
func (v *view) gone(c backend.Conf) string {
	var place string
	switch c.Kind() {
	case backend.File:
		place = baseDir(c)
	case backend.DHCP:
		if place = v.dhcpdConf(); place == "" {
			return "the DHCP server's configuration"
		}
	}
	if place == "" || v.there(place) {
		return ""
	}
	return place
}

// unused gives the settings of a backend that opsi does not use.
func (v *view) unused(c backend.Conf, settings map[string]string) error {
	switch c.Kind() {
	case backend.File:
		b, err := c.FileBackend()
		if err != nil {
			return err
		}
		settings["file_base"], settings["host_keys"] = b.BaseDir, b.HostKeyFile
		if within(b.HostKeyFile, backend.Dir) {
			settings["host_keys_inside"] = b.HostKeyFile
		}
	case backend.MySQL:
		d, err := c.Database()
		if err != nil {
			return err
		}
		for name, value := range map[string]string{"db_host": d.Host, "db_socket": d.Socket, "db_name": d.Name, "db_user": d.User, "db_password": d.Password} {
			settings[name] = value
		}
	case backend.DHCP:
		settings["dhcpd_conf"] = v.dhcpdConf()
	}
	return nil
}

// ChooseFrom finds what --backends of `opsi-backup restore` stands for in an
// archive. What is asked for by name and not there is an error, and so is nothing.
func ChooseFrom(a *archive.Archive, asked []string, configuration bool) ([]string, error) {
	var components []string
	if configuration {
		if !a.Configuration {
			return nil, fmt.Errorf("the archive holds no configuration")
		}
		components = append(components, Configuration)
	}
	for _, known := range saveable {
		named, all, auto := asksFor(asked, known.kind)
		there := slices.ContainsFunc(a.Backends, func(b archive.Backend) bool { return b.Part == known.part })
		switch {
		case there && (named || all || auto):
			components = append(components, known.component)
		case named && !there:
			return nil, fmt.Errorf("the archive holds no backend of the sort %s; it holds: %s", known.kind, strings.Join(a.Has(), ", "))
		}
	}
	if len(components) == 0 {
		return nil, fmt.Errorf("nothing would be restored; the archive holds: %s", strings.Join(a.Has(), ", "))
	}
	return components, nil
}
