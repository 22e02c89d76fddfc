package opsi

import (
	"fmt"
	"path/filepath"
	"strings"
)

// ini collects the sections of one file of the file backend.
type ini struct{ strings.Builder }

func (f *ini) section(name string) { fmt.Fprintf(f, "[%s]\n", name) }

// set writes an option; as opsi does it, percent signs are doubled and line
// breaks are escaped.
func (f *ini) set(option, value string) {
	value = strings.NewReplacer("%", "%%", "\n", `\n`).Replace(value)
	fmt.Fprintf(f, "%s = %s\n", strings.ToLower(option), value)
}

func (f *ini) end() { f.WriteString("\n") }

// writeFileBackend writes all objects that the file backend holds.
func (m *model) writeFileBackend() error {
	if err := makeDirs(fileOwner, 0o770, baseDir, baseDir+"/clients", baseDir+"/depots", baseDir+"/products", baseDir+"/audit", baseDir+"/templates"); err != nil {
		return err
	}
	files := map[string]string{
		"config.ini": m.configIni(), "clientgroups.ini": m.groupIni("HostGroup"), "productgroups.ini": m.groupIni("ProductGroup"),
		"templates/pcproto.ini": "[info]\ndescription =\nnotes =\n\n[localboot_product_states]\n\n", "audit/global.sw": m.softwareIni(),
	}
	for _, s := range m.servers {
		files["depots/"+s.id+".ini"] = m.depotIni(s)
	}
	for n := range m.clients {
		files["clients/"+m.clients[n].id+".ini"] = m.clientIni(n)
	}
	for _, p := range m.products {
		suffix := strings.ToLower(strings.TrimSuffix(p.kind, "Product"))
		files["products/"+p.id+"_"+p.version+"-"+p.release+"."+suffix] = p.control()
	}
	for name, text := range files {
		if err := put(filepath.Join(baseDir, name), text, 0o660, fileOwner); err != nil {
			return err
		}
	}
	return nil
}

// hostKeys is the file of host keys.
func (m *model) hostKeys() string {
	var b strings.Builder
	for _, hosts := range [][]host{m.servers, m.clients} {
		for _, h := range hosts {
			fmt.Fprintf(&b, "%s:%s\n", h.id, h.key)
		}
	}
	return b.String()
}

func (m *model) configIni() string {
	var f ini
	for _, c := range m.configs {
		f.section(c.id)
		f.set("type", c.kind)
		f.set("description", c.description)
		f.set("editable", "true")
		f.set("multivalue", "false")
		f.set("possiblevalues", m.values(c, c.possible))
		f.set("defaultvalues", m.values(c, c.defaults))
		f.end()
	}
	return f.String()
}

// values writes booleans bare.
func (m *model) values(c config, values []string) string {
	if c.kind == "BoolConfig" {
		return "[" + strings.Join(values, m.comma) + "]"
	}
	return m.json(values)
}

func (m *model) groupIni(kind string) string {
	var f ini
	for _, g := range m.groups {
		if g.kind != kind {
			continue
		}
		f.section(g.id)
		f.set("description", g.description)
		f.set("notes", g.notes)
		f.set("parentgroupid", g.parent)
		for _, id := range g.members {
			f.set(id, "1")
		}
		f.end()
	}
	return f.String()
}

func (m *model) depotIni(s host) string {
	var f ini
	f.section("depotserver")
	f.set("description", s.description)
	f.set("notes", s.notes)
	f.set("hardwareaddress", s.mac)
	f.set("ipaddress", s.ip)
	f.set("network", "192.0.2.0/255.255.255.0")
	f.set("ismasterdepot", map[bool]string{true: "true", false: "false"}[s.master == ""])
	f.set("masterdepotid", s.master)
	f.end()
	f.section("depotshare")
	f.set("remoteurl", s.depotURL)
	f.set("webdavurl", s.webdavURL)
	f.set("localurl", "file://"+depotDir)
	f.end()
	f.section("repository")
	f.set("remoteurl", s.repositoryURL)
	f.set("localurl", "file://"+repositoryDir)
	f.set("maxbandwidth", "0")
	f.end()
	f.section("workbench")
	f.set("remoteurl", s.workbenchURL)
	f.set("localurl", s.workbench)
	f.end()
	for _, p := range m.products {
		f.WriteString(p.stateIni())
	}
	for _, p := range m.products {
		if len(p.properties) == 0 {
			continue
		}
		f.section(p.id + "-install")
		for _, name := range p.properties {
			f.set(name, m.json([]string{s.id}))
		}
		f.end()
	}
	return f.String()
}

// stateIni is what a depot's file says of a product it has.
func (p product) stateIni() string {
	var f ini
	f.section(p.id + "-state")
	f.set("producttype", p.kind)
	f.set("productversion", p.version)
	f.set("packageversion", p.release)
	f.set("locked", "False")
	f.end()
	return f.String()
}

func (m *model) clientIni(n int) string {
	c := m.clients[n]
	var f ini
	f.section("info")
	f.set("description", c.description)
	f.set("notes", c.notes)
	f.set("hardwareaddress", c.mac)
	f.set("ipaddress", c.ip)
	f.set("inventorynumber", c.inventory)
	f.set("onetimepassword", "")
	f.set("created", c.created)
	f.set("lastseen", c.lastSeen)
	f.end()
	f.section("generalconfig")
	for _, conf := range m.configs {
		for _, s := range conf.states {
			if s.object == c.id {
				f.set(conf.id, m.json(s.values))
			}
		}
	}
	f.end()
	for _, kind := range []string{"LocalbootProduct", "NetbootProduct"} {
		f.section(strings.ToLower(strings.TrimSuffix(kind, "Product")) + "_product_states")
		for _, on := range m.onClients {
			if on.client == n && m.products[on.product].kind == kind {
				f.set(m.products[on.product].id, on.status+":"+on.action)
			}
		}
		f.end()
	}
	for _, on := range m.onClients {
		if on.client == n {
			p := m.products[on.product]
			f.section(p.id + "-state")
			f.set("producttype", p.kind)
			f.set("productversion", p.version)
			f.set("packageversion", p.release)
			f.set("modificationtime", on.changed)
			f.end()
		}
	}
	return f.String()
}

func (m *model) softwareIni() string {
	var f ini
	for n := range 40 {
		f.section(fmt.Sprintf("software_%d", n))
		f.set("name", fmt.Sprintf("Software %d", n))
		f.set("version", "1.0")
		f.end()
	}
	return f.String()
}

// control is a product's description, of the form that packages have it in.
func (p product) control() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[Package]\nversion: %s\ndepends:\n\n[Product]\ntype: %s\nid: %s\nname: %s\nversion: %s\npriority: 0\nlicenseRequired: False\nsetupScript: setup.opsiscript\nuninstallScript: uninstall.opsiscript\n",
		p.release, strings.ToLower(strings.TrimSuffix(p.kind, "Product")), p.id, p.name, p.version)
	for _, name := range p.properties {
		fmt.Fprintf(&b, "\n[ProductProperty]\ntype: unicode\nname: %s\nmultivalue: False\neditable: True\ndescription: \nvalues: [\"\", \"auto\"]\ndefault: [\"\"]\n", name)
	}
	b.WriteString("\n[Changelog]\n" + p.id + " (" + p.version + "-" + p.release + ")\n  * packed by the lab\n")
	return b.String()
}
