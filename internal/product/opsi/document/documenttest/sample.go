// Package documenttest makes opsiconfd backup documents for tests, in every form
// that opsiconfd writes. No program that is shipped uses it.
package documenttest

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/tinylib/msgp/msgp"
)

// Object is one object of a document, and any other map in it.
type Object = map[string]any

// ServerID is the configuration server of the sample.
const ServerID = "opsi1.example.org"

// Sample is a small server with something of every class, and of everything that is
// easily lost on the way into a database: lists, truth values, umlauts, quotes,
// empty and missing values, inventory. The caller may change it.
func Sample() Object {
	return Object{
		"meta": Object{
			"type": "opsiconfd_backup", "version": "1", "opsiconfd_version": "4.3.23.7",
			"timestamp": 1794000000.25, "datetime": "2026-11-06 21:20:00",
			"node_name": "opsi1", "fqdn": ServerID, "host_id": ServerID, "server_id": ServerID,
		},
		"objects":      objects(),
		"config_files": configFiles(),
		"redis": Object{"dumped_keys": []any{
			Object{"name": "opsiconfd:stats:clients", "value": "AAECAw==", "expires": nil},
			Object{"name": "opsiconfd:sessions:1", "value": "AAECAw==", "expires": 1794000900000},
		}},
	}
}

func objects() Object {
	software := Object{"name": "7-Zip", "version": "24.08", "subVersion": "", "language": "", "architecture": "x64"}
	with := func(base Object, more Object) Object {
		all := Object{}
		for _, m := range []Object{base, more} {
			for k, v := range m {
				all[k] = v
			}
		}
		return all
	}
	product := Object{"productId": "7zip", "productVersion": "24.08", "packageVersion": "1"}
	disk := Object{"hardwareClass": "HARDDISK_DRIVE", "name": "Platte \"C\"", "description": "Festplatte", "vendor": nil, "model": "Größe 1'", "cylinders": 121601, "heads": 255, "sectors": 63}
	return Object{
		"User": []any{
			Object{"type": "User", "id": "adminuser", "created": "2026-01-02 03:04:05", "lastLogin": nil, "mfaState": "totp_active", "otpSecret": "JBSWY3DPEHPK3PXP"},
		},
		"Host": []any{
			Object{
				"type": "OpsiConfigserver", "id": ServerID, "description": "Config-Server für \"alle\"", "notes": "Zeile 1\nZeile 2\\", "hardwareAddress": "00:16:3e:4f:6a:f8",
				"ipAddress": "192.0.2.10", "inventoryNumber": "", "opsiHostKey": "0123456789abcdef0123456789abcdef", "systemUUID": nil, "maxBandwidth": 0,
				"depotLocalUrl": "file:///var/lib/opsi/depot", "depotRemoteUrl": "smb://" + ServerID + "/opsi_depot", "depotWebdavUrl": "webdavs://" + ServerID + ":4447/depot",
				"repositoryLocalUrl": "file:///var/lib/opsi/repository", "repositoryRemoteUrl": "webdavs://" + ServerID + ":4447/repository",
				"workbenchLocalUrl": "file:///var/lib/opsi/workbench", "workbenchRemoteUrl": "smb://" + ServerID + "/opsi_workbench",
				"networkAddress": "192.0.2.0/24", "isMasterDepot": true, "masterDepotId": nil,
			},
			Object{"type": "OpsiClient", "id": "pc1.example.org", "description": "", "notes": "", "hardwareAddress": "", "ipAddress": "", "inventoryNumber": "A-1", "created": "2025-03-28 12:30:00", "lastSeen": "2026-11-06 20:00:00", "opsiHostKey": "11112222333344445555666677778888", "oneTimePassword": "", "systemUUID": ""},
			Object{"type": "OpsiClient", "id": "pc2.example.org", "description": nil, "notes": nil, "hardwareAddress": nil, "ipAddress": nil, "inventoryNumber": nil, "created": "2025-03-29 12:30:00", "lastSeen": nil, "opsiHostKey": "99992222333344445555666677778888", "oneTimePassword": nil, "systemUUID": ""},
		},
		"Config": []any{
			Object{"type": "UnicodeConfig", "id": "clientconfig.depot.drive", "description": "Laufwerk", "possibleValues": []any{"c:", "dynamic", "p:"}, "defaultValues": []any{"p:"}, "editable": false, "multiValue": false},
			Object{"type": "BoolConfig", "id": "clientconfig.depot.dynamic", "description": nil, "possibleValues": []any{false, true}, "defaultValues": []any{false}, "editable": false, "multiValue": false},
			Object{"type": "UnicodeConfig", "id": "clientconfig.depot.id", "description": "", "possibleValues": []any{ServerID}, "defaultValues": []any{ServerID}, "editable": true, "multiValue": true},
			Object{"type": "UnicodeConfig", "id": "empty.one", "description": "", "possibleValues": []any{}, "defaultValues": []any{}, "editable": true, "multiValue": false},
		},
		"ConfigState": []any{
			Object{"type": "ConfigState", "configId": "clientconfig.depot.id", "objectId": "pc1.example.org", "values": []any{ServerID}},
			Object{"type": "ConfigState", "configId": "clientconfig.depot.dynamic", "objectId": "pc1.example.org", "values": []any{true}},
			Object{"type": "ConfigState", "configId": "clientconfig.depot.drive", "objectId": "pc1.example.org", "values": []any{"ä \"b\" 😀", "x\\y", 1, 1.5, nil}},
		},
		"Product": []any{
			Object{
				"type": "LocalbootProduct", "id": "7zip", "productVersion": "24.08", "packageVersion": "1", "name": "7-Zip", "licenseRequired": false, "setupScript": "setup.opsiscript", "uninstallScript": "",
				"updateScript": "", "alwaysScript": "", "onceScript": "", "customScript": "", "userLoginScript": "", "priority": -20, "description": "Packer", "advice": "", "changelog": "* neu\n* älter",
				"productClassIds": nil, "windowsSoftwareIds": nil,
			},
			Object{"type": "NetbootProduct", "id": "win11", "productVersion": "1", "packageVersion": "2", "name": "Windows", "licenseRequired": true, "setupScript": "setup.py", "priority": 0, "pxeConfigTemplate": "install", "productClassIds": nil, "windowsSoftwareIds": []any{}},
		},
		"ProductProperty": []any{
			with(product, Object{"type": "UnicodeProductProperty", "propertyId": "arch", "description": "32 or 64", "possibleValues": []any{"32", "64"}, "defaultValues": []any{"64"}, "editable": false, "multiValue": false}),
			with(product, Object{"type": "BoolProductProperty", "propertyId": "icon", "description": "", "possibleValues": []any{false, true}, "defaultValues": []any{true}, "editable": false, "multiValue": false}),
		},
		"ProductDependency": []any{
			with(product, Object{"type": "ProductDependency", "productAction": "setup", "requiredProductId": "win11", "requiredProductVersion": nil, "requiredPackageVersion": nil, "requiredAction": nil, "requiredInstallationStatus": "installed", "requirementType": "before"}),
		},
		"ProductOnDepot": []any{
			with(product, Object{"type": "ProductOnDepot", "productType": "LocalbootProduct", "depotId": ServerID, "locked": true}),
		},
		"ProductOnClient": []any{
			with(product, Object{"type": "ProductOnClient", "productType": "LocalbootProduct", "clientId": "pc1.example.org", "targetConfiguration": nil, "installationStatus": "installed", "actionRequest": "none", "actionProgress": nil, "actionResult": "successful", "lastAction": "setup", "modificationTime": "2026-11-05 10:00:00", "actionSequence": -1}),
		},
		"ProductPropertyState": []any{
			Object{"type": "ProductPropertyState", "productId": "7zip", "propertyId": "arch", "objectId": ServerID, "values": []any{"32"}},
			Object{"type": "ProductPropertyState", "productId": "7zip", "propertyId": "icon", "objectId": "pc1.example.org", "values": []any{false}},
		},
		"Group": []any{
			Object{"type": "HostGroup", "id": "büro", "parentGroupId": nil, "description": "Büro", "notes": ""},
			Object{"type": "HostGroup", "id": "büro oben", "parentGroupId": "büro", "description": "", "notes": ""},
		},
		"ObjectToGroup": []any{
			Object{"type": "ObjectToGroup", "groupType": "HostGroup", "groupId": "büro oben", "objectId": "pc1.example.org"},
		},
		"AuditSoftware": []any{
			with(software, Object{"type": "AuditSoftware", "windowsSoftwareId": "7-zip", "windowsDisplayName": "7-Zip 24.08", "windowsDisplayVersion": "24.08", "installSize": uint64(5 << 32)}),
		},
		"AuditSoftwareOnClient": []any{
			with(software, Object{"type": "AuditSoftwareOnClient", "clientId": "pc1.example.org", "uninstallString": `"C:\Program Files\7-Zip\Uninstall.exe"`, "binaryName": "", "firstseen": "2026-01-01 00:00:00", "lastseen": "2026-11-06 00:00:00", "state": 1, "usageFrequency": -1, "lastUsed": "0000-00-00 00:00:00", "licenseKey": ""}),
		},
		"AuditHardware": []any{
			with(disk, Object{"type": "AuditHardware"}),
			Object{"type": "AuditHardware", "hardwareClass": "PROCESSOR", "name": "CPU", "description": nil, "vendor": "V", "model": nil, "architecture": "x64", "family": nil, "maxClockSpeed": 3600, "addressWidth": 64},
		},
		"AuditHardwareOnHost": []any{
			with(disk, Object{"type": "AuditHardwareOnHost", "hostId": "pc1.example.org", "firstseen": "2026-01-01 00:00:00", "lastseen": "2026-11-06 00:00:00", "state": 1, "serialNumber": "S1", "size": 1000204886016, "partitions": 3}),
			with(disk, Object{"type": "AuditHardwareOnHost", "hostId": "pc2.example.org", "firstseen": "2026-01-01 00:00:00", "lastseen": "2026-11-06 00:00:00", "state": 1, "serialNumber": "S2", "size": 1000204886016, "partitions": 1}),
			Object{"type": "AuditHardwareOnHost", "hardwareClass": "PROCESSOR", "name": "CPU", "description": nil, "vendor": "V", "model": nil, "architecture": "x64", "family": nil, "maxClockSpeed": 3600, "addressWidth": 64, "hostId": "pc1.example.org", "firstseen": "2026-01-01 00:00:00", "lastseen": "2026-11-06 00:00:00", "state": 1, "voltage": 1.5, "NumberOfCores": 8},
		},
		"LicenseContract": []any{
			Object{"type": "LicenseContract", "id": "c1", "description": "", "notes": "", "partner": "Händler", "conclusionDate": "2020-01-01 00:00:00", "notificationDate": nil, "expirationDate": nil},
		},
		"SoftwareLicense": []any{
			Object{"type": "OEMSoftwareLicense", "id": "l1", "licenseContractId": "c1", "maxInstallations": 1, "boundToHost": "pc1.example.org", "expirationDate": nil},
			Object{"type": "VolumeSoftwareLicense", "id": "l2", "licenseContractId": "c1", "maxInstallations": 0, "boundToHost": nil, "expirationDate": "2030-01-01 00:00:00"},
		},
		"LicensePool": []any{
			Object{"type": "LicensePool", "id": "p1", "description": "Pool", "productIds": []any{"7zip", "win11"}},
			Object{"type": "LicensePool", "id": "p2", "description": "", "productIds": []any{}},
		},
		"AuditSoftwareToLicensePool": []any{
			with(software, Object{"type": "AuditSoftwareToLicensePool", "licensePoolId": "p1"}),
		},
		"SoftwareLicenseToLicensePool": []any{
			Object{"type": "SoftwareLicenseToLicensePool", "softwareLicenseId": "l1", "licensePoolId": "p1", "licenseKey": "AAAA-BBBB"},
		},
		"LicenseOnClient": []any{
			Object{"type": "LicenseOnClient", "softwareLicenseId": "l1", "licensePoolId": "p1", "clientId": "pc1.example.org", "licenseKey": "AAAA-BBBB", "notes": ""},
		},
	}
}

func configFiles() Object {
	file := func(path string, content any) Object { return Object{"path": path, "content": content} }
	return Object{
		"opsi_conf":      file("/etc/opsi/opsi.conf", "[host]\nid = "+ServerID+"\nkey = 0123456789abcdef0123456789abcdef\n"),
		"opsiconfd_conf": file("/etc/opsi/opsiconfd.conf", "backend-config-dir = /etc/opsi/backends\n"),
		"mysql_conf":     file("/etc/opsi/backends/mysql.conf", "# -*- coding: utf-8 -*-\nmodule = 'MySQL'\nconfig = {\n    \"address\": \"localhost\",\n    \"database\": \"opsi\",\n    \"username\": \"opsi\",\n    \"password\": \"geheim#1\"\n}\n"),
		"ssl_ca_cert":    file("/etc/opsi/ssl/opsi-ca-cert.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
		"ssl_ca_key":     file("/etc/opsi/ssl/opsi-ca-key.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n"),
		"modules":        file("/etc/opsi/modules", "customer = Müller\n"),
		"acl_conf":       file("/etc/opsi/backendManager/acl.conf", ".*: sys_group(opsiadmin)\n"),
		"opsi_passwd":    file("/etc/opsi/passwd", nil),
	}
}

// order is the one in which opsiconfd writes a document; everything else comes
// after, by name.
var order = []string{
	"meta", "objects", "config_files", "redis",
	"User", "Host", "Config", "ConfigState", "Product", "ProductProperty", "ProductDependency", "ProductOnDepot", "ProductOnClient", "ProductPropertyState", "Group", "ObjectToGroup",
	"AuditSoftware", "AuditSoftwareOnClient", "AuditHardware", "AuditHardwareOnHost", "LicenseContract", "SoftwareLicense", "LicensePool", "AuditSoftwareToLicensePool", "SoftwareLicenseToLicensePool", "LicenseOnClient",
}

// Msgpack encodes a document in opsiconfd's order.
func Msgpack(document Object) ([]byte, error) { return appendValue(nil, document) }

func appendValue(b []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case Object:
		names := slices.SortedFunc(maps.Keys(v), func(x, y string) int {
			return cmp.Or(cmp.Compare(rank(x), rank(y)), strings.Compare(x, y))
		})
		b = msgp.AppendMapHeader(b, uint32(len(v)))
		for _, name := range names {
			if b, err = appendValue(msgp.AppendString(b, name), v[name]); err != nil {
				return nil, err
			}
		}
		return b, nil
	case []any:
		b = msgp.AppendArrayHeader(b, uint32(len(v)))
		for _, e := range v {
			if b, err = appendValue(b, e); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return msgp.AppendIntf(b, v)
}

func rank(name string) int {
	if i := slices.Index(order, name); i >= 0 {
		return i
	}
	return len(order)
}

// JSON encodes a document with the names of every map in alphabetical order.
func JSON(document Object) ([]byte, error) { return json.Marshal(document) }
