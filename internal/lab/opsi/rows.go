package opsi

import (
	"database/sql"
	"fmt"

	"lifeboat/internal/lab/machine"
)

// rows collects what goes into each table, in an order that satisfies references.
type rows struct {
	order  []string
	tables map[string]*machine.Batch
	column map[string]string
}

func (r *rows) add(table, columns string, values ...any) {
	b := r.tables[table]
	if b == nil {
		if r.tables == nil {
			r.tables, r.column = map[string]*machine.Batch{}, map[string]string{}
		}
		b = &machine.Batch{}
		r.tables[table], r.column[table], r.order = b, columns, append(r.order, table)
	}
	b.Add(values...)
}

func (r *rows) insert(db *sql.DB) error {
	for _, table := range r.order {
		if err := r.tables[table].Insert(db, table, r.column[table]); err != nil {
			return err
		}
	}
	return nil
}

// fill writes all objects into the database. It is the same at each build.
func (m *model) fill(s Spec, db *sql.DB) error {
	var r rows
	m.addHosts(&r, s)
	m.addConfigRows(&r)
	m.addGroupRows(&r)
	m.addProductRows(&r)
	if len(m.clients) > 0 {
		m.addLicenceRows(&r)
		m.addAuditRows(&r)
	}
	if s.Variant == MySQL {
		r.add("USER", "userId, created, lastLogin, mfaState, otpSecret", "adminuser", "2024-05-02 08:00:00", nil, "inactive", nil)
	}
	return r.insert(db)
}

func (m *model) addHosts(r *rows, s Spec) {
	columns := "hostId, type, description, notes, hardwareAddress, ipAddress, inventoryNumber, created, lastSeen, opsiHostKey, " +
		"depotLocalUrl, depotRemoteUrl, depotWebdavUrl, repositoryLocalUrl, repositoryRemoteUrl, networkAddress, isMasterDepot, masterDepotId, workbenchLocalUrl, workbenchRemoteUrl"
	uuid := s.Variant == MySQL
	if uuid {
		columns += ", systemUUID"
	}
	for _, hosts := range [][]host{m.servers, m.clients} {
		for _, h := range hosts {
			values := []any{
				h.id, h.kind, h.description, null(h.notes), null(h.mac), null(h.ip), null(h.inventory), null(h.created), null(h.lastSeen), h.key,
				nil, null(h.depotURL), null(h.webdavURL), nil, null(h.repositoryURL), nil, nil, null(h.master), null(h.workbench), null(h.workbenchURL),
			}
			if h.kind != "OpsiClient" {
				values[10], values[13], values[15], values[16] = "file://"+depotDir, "file://"+repositoryDir, "192.0.2.0/255.255.255.0", h.master == ""
			}
			if uuid {
				values = append(values, null(h.uuid))
			}
			r.add("HOST", columns, values...)
		}
	}
}

func (m *model) addConfigRows(r *rows) {
	for _, c := range m.configs {
		r.add("CONFIG", "configId, type, description, multiValue, editable", c.id, c.kind, c.description, false, true)
	}
	for _, c := range m.configs {
		for _, v := range c.possible {
			r.add("CONFIG_VALUE", "configId, value, isDefault", c.id, v, v == c.defaults[0])
		}
		if c.possible == nil {
			r.add("CONFIG_VALUE", "configId, value, isDefault", c.id, c.defaults[0], true)
		}
		for _, s := range c.states {
			r.add("CONFIG_STATE", "configId, objectId, `values`", c.id, s.object, m.json(s.values))
		}
	}
}

func (m *model) addGroupRows(r *rows) {
	for _, g := range m.groups {
		r.add("`GROUP`", "type, groupId, parentGroupId, description, notes", g.kind, g.id, null(g.parent), g.description, null(g.notes))
	}
	for _, g := range m.groups {
		for _, id := range g.members {
			r.add("OBJECT_TO_GROUP", "groupType, groupId, objectId", g.kind, g.id, id)
		}
	}
}

func (m *model) addProductRows(r *rows) {
	for _, p := range m.products {
		r.add("PRODUCT", "productId, productVersion, packageVersion, type, name, licenseRequired, setupScript, priority, description",
			p.id, p.version, p.release, p.kind, p.name, false, "setup.opsiscript", 0, "für alle")
	}
	for _, p := range m.products {
		for _, name := range p.properties {
			r.add("PRODUCT_PROPERTY", "productId, productVersion, packageVersion, propertyId, type, description, multiValue, editable",
				p.id, p.version, p.release, name, "UnicodeProductProperty", nil, false, true)
		}
	}
	server := m.servers[0].id
	for _, p := range m.products {
		for _, name := range p.properties {
			r.add("PRODUCT_PROPERTY_VALUE", "productId, productVersion, packageVersion, propertyId, value, isDefault",
				p.id, p.version, p.release, name, map[bool]string{true: server, false: "auto"}[name == "winpeenv"], true)
			for _, s := range m.servers {
				r.add("PRODUCT_PROPERTY_STATE", "productId, propertyId, objectId, `values`", p.id, name, s.id, m.json([]string{s.id}))
			}
		}
		for _, s := range m.servers {
			r.add("PRODUCT_ON_DEPOT", "productId, productVersion, packageVersion, depotId, productType, locked", p.id, p.version, p.release, s.id, p.kind, false)
		}
	}
	if len(m.products) == 0 {
		return
	}
	r.add("PRODUCT_DEPENDENCY", "productId, productVersion, packageVersion, productAction, requiredProductId, requiredInstallationStatus, requirementType",
		"winpackage", m.products[5].version, "1", "setup", "opsi-client-agent", "installed", "before")
	for _, on := range m.onClients {
		p := m.products[on.product]
		r.add("PRODUCT_ON_CLIENT", "productId, clientId, productType, installationStatus, actionRequest, productVersion, packageVersion, modificationTime",
			p.id, m.clients[on.client].id, p.kind, on.status, on.action, p.version, p.release, on.changed)
	}
	r.add("WINDOWS_SOFTWARE_ID_TO_PRODUCT", "windowsSoftwareId, productId", "{1D2C96C3-A3F3-49E7-B839-95279DED837F}", "firefox")
}

// addLicenceRows makes, beside others, licences that are bound to hosts.
func (m *model) addLicenceRows(r *rows) {
	r.add("LICENSE_CONTRACT", "licenseContractId, type, description, notes, partner, conclusionDate, expirationDate",
		"vertrag-1", "LicenseContract", "Rahmenvertrag", nil, "Händler GmbH", "2022-01-01 00:00:00", nil)
	r.add("LICENSE_POOL", "licensePoolId, type, description", "pool-office", "LicensePool", "Office")
	r.add("LICENSE_POOL", "licensePoolId, type, description", "pool-windows", "LicensePool", "Windows")
	licence := func(n int, kind string, bound any, pool string) {
		id := fmt.Sprintf("%s-%02d", kind, n)
		r.add("SOFTWARE_LICENSE", "softwareLicenseId, licenseContractId, type, boundToHost, maxInstallations, expirationDate", id, "vertrag-1", kind+"SoftwareLicense", bound, 1, nil)
		r.add("SOFTWARE_LICENSE_TO_LICENSE_POOL", "softwareLicenseId, licensePoolId, licenseKey", id, pool, fmt.Sprintf("KEY-%s-%04d", kind, n*37))
	}
	// The first is the server's own: what a renamed host loses by a cascade.
	licence(0, "OEM", m.servers[0].id, "pool-windows")
	for n := 1; n < OEMLicences; n++ {
		licence(n, "OEM", m.clients[n].id, "pool-windows")
	}
	for n := range 3 {
		licence(n, "Volume", nil, "pool-office")
	}
	for n := range 3 {
		r.add("LICENSE_ON_CLIENT", "softwareLicenseId, licensePoolId, clientId, licenseKey, notes",
			fmt.Sprintf("Volume-%02d", n), "pool-office", m.clients[n].id, fmt.Sprintf("KEY-Volume-%04d", n*37), nil)
	}
	r.add("AUDIT_SOFTWARE_TO_LICENSE_POOL", "licensePoolId, name, version, subVersion, language, architecture", "pool-office", "Software 1", "1.0", "", "de", "x64")
	r.add("PRODUCT_ID_TO_LICENSE_POOL", "licensePoolId, productId", "pool-office", "libreoffice")
}

func (m *model) addAuditRows(r *rows) {
	const distinct = 40
	for n := range distinct {
		r.add("SOFTWARE", "name, version, subVersion, language, architecture, windowsDisplayName, type, installSize",
			fmt.Sprintf("Software %d", n), "1.0", "", "de", "x64", fmt.Sprintf("Büropaket %d – Ausgabe™", n), "AuditSoftware", 1000*n)
	}
	for n := range SoftwareOnClients {
		r.add("SOFTWARE_CONFIG", "clientId, name, version, subVersion, language, architecture, uninstallString, firstseen, lastseen, state, lastUsed",
			m.clients[n/distinct].id, fmt.Sprintf("Software %d", n%distinct), "1.0", "", "de", "x64", `C:\Programme\un "install".exe`,
			"2024-01-01 12:00:00", "2024-02-01 12:00:00", 1, nil)
	}
	for n := range 3 {
		r.add("HARDWARE_DEVICE_VIDEO_CONTROLLER", "name, description, vendor, adapterRAM", fmt.Sprintf("Grafik 🖥 %d", n), "für zwei Bildschirme", "Lab", int64(n+4)<<30)
	}
	for n := range 6 {
		r.add("HARDWARE_CONFIG_VIDEO_CONTROLLER", "hostId, hardware_id, firstseen, lastseen, state, videoMode",
			m.clients[n].id, 1+n%3, "2024-01-01 12:00:00", "2024-02-01 12:00:00", 1, "1920 x 1080")
	}
}
