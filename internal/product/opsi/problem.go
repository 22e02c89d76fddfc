package opsi

import (
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/product/opsi/backend"
)

// dataless are the backends that hold no data, whatever a site calls others.
var dataless = []string{"opsipxeconfd", "hostcontrol", "hostcontrolsafe", "jsonrpc"}

// broken lists what makes a backup miss data that opsi uses. opsi itself only
// logs some of it, and goes on without the backend.
func (v *view) broken() []string {
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if v.server.DispatchErr != nil {
		add("%v", v.server.DispatchErr)
	}
	if v.server.Dispatch == nil && v.server.DispatchErr == nil && len(v.server.Confs) > 0 && !v.server.Since43(v.version) {
		add("%s/backendManager/dispatch.conf is not there, and opsi %s needs it", backend.Dir, v.version)
	}
	if v.server.Dispatch != nil && v.idle() {
		add("%s/backendManager/dispatch.conf names no backend that holds data: opsi would have no clients", backend.Dir)
	}
	for _, name := range v.lacking {
		switch {
		case backend.Conf{Module: name}.Kind() == backend.Unsupported:
			add("opsi uses the backend %s, for which there is no file in %s/backends and which cannot be saved; convert its data first, with opsi-convert %s file", name, backend.Dir, name)
		case !slices.Contains(dataless, name):
			add("opsi uses the backend %s, for which there is no file in %s/backends", name, backend.Dir)
		}
	}
	first := map[backend.Kind]string{}
	for _, c := range v.used {
		if c.Err != nil {
			add("opsi uses the backend %s, and its file cannot be read: %v", c.Name, c.Err)
			continue
		}
		if err := access(c); err != nil {
			add("%v", err)
		}
		kind := c.Kind()
		switch before, twice := first[kind]; {
		case kind == backend.Unsupported:
			add("opsi uses the backend %s of the sort %s, which cannot be saved; convert its data first, with opsi-convert %s file", c.Name, c.Module, c.Name)
		case twice && (kind == backend.File || kind == backend.MySQL):
			add("opsi uses two backends of the sort %s, %s and %s; only one can be saved", c.Module, before, c.Name)
		default:
			first[kind] = c.Name
		}
	}
	return list
}

// idle tells whether opsi uses nothing that could hold data, and is no depot
// server, which asks the configuration server for them.
func (v *view) idle() bool {
	if v.server.Role == "depotserver" {
		return false
	}
	for _, name := range v.lacking {
		if name == "jsonrpc" || !slices.Contains(dataless, name) {
			return false // told by itself
		}
	}
	return !slices.ContainsFunc(v.used, func(c backend.Conf) bool {
		kind := c.Kind()
		return c.Err != nil || kind != backend.None && kind != backend.DHCP || strings.EqualFold(c.Module, "jsonrpc")
	})
}

// absent lists what a backup would miss of the file backend, because it is not
// there. Where it is to be restored that is no hindrance.
func (v *view) absent() []string {
	c, ok := v.first(backend.File)
	if !ok || v.server.Since43(v.version) {
		return nil // since 4.3 what is left over is no loss
	}
	b, err := c.FileBackend()
	if err != nil {
		return nil // told as broken
	}
	var list []string
	if !v.there(b.BaseDir) {
		list = append(list, fmt.Sprintf("the directory of the file backend, %s, is not there", b.BaseDir))
	}
	if !v.there(b.HostKeyFile) {
		list = append(list, fmt.Sprintf("the host keys of the file backend, %s, are not there", b.HostKeyFile))
	}
	return list
}

// access tells what is wrong with the keys of a backend that holds data.
func access(c backend.Conf) (err error) {
	switch c.Kind() {
	case backend.File:
		_, err = c.FileBackend()
	case backend.MySQL:
		_, err = c.Database()
	case backend.DHCP:
		_, err = c.DHCPConfigFile()
	}
	return err
}

// ignored lists what is not as it should be and costs no data that opsi uses.
func (v *view) ignored() []string {
	var list []string
	if d := v.server.Dispatch; d != nil && len(d.Bad) > 0 {
		list = append(list, fmt.Sprintf("dispatch.conf has lines that opsi does not understand: %v", d.Bad))
	}
	for _, c := range v.server.Confs {
		used := slices.ContainsFunc(v.used, func(u backend.Conf) bool { return u.File == c.File })
		switch {
		case used:
		case c.Err != nil:
			list = append(list, fmt.Sprintf("a backend that opsi does not use cannot be read: %v", c.Err))
		case c.Kind() == backend.MySQL, c.Kind() == backend.File && v.there(baseDir(c)):
			if _, other := v.first(c.Kind()); other {
				list = append(list, fmt.Sprintf("the backend %s is another one of the sort %s and not in use: its data are not saved", c.Name, c.Module))
			}
		}
	}
	return list
}
