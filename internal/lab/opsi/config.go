package opsi

import (
	"fmt"
	"os"

	"lifeboat/internal/lab/machine"
)

// mysqlText is mysql.conf: a Python file with one dictionary.
func mysqlText(s Spec, password string) string {
	address := "localhost"
	if s.Variant == MySQL {
		address = "127.0.0.1"
	}
	return "# -*- coding: utf-8 -*-\n\nmodule = 'MySQL'\n\nconfig = {\n" +
		"    \"address\":                   u\"" + address + "\",\n" +
		"    \"database\":                  u\"" + databaseName + "\",\n" +
		"    \"username\":                  u\"opsi\",\n" +
		"    \"password\":                  " + python(password) + ",\n" +
		"    \"databaseCharset\":           \"utf8\",\n" +
		"    \"connectionPoolSize\":        20,\n    \"connectionPoolMaxOverflow\": 10,\n    \"connectionPoolTimeout\":     30,\n    # seconds\n    \"connectionPoolRecycling\":    -1\n}\n"
}

const fileText = "# -*- coding: utf-8 -*-\n\nmodule = 'File'\n\nlocalip = socket.gethostbyname(socket.getfqdn())\n\nconfig = {\n" +
	"    \"baseDir\":     u\"" + baseDir + "\",\n    \"hostKeyFile\": u\"" + hostKeyFile + "\",  # outside of it\n}\n"

const dhcpdText = "# -*- coding: utf-8 -*-\n\nmodule = 'DHCPD'\n\nlocalip = socket.gethostbyname(socket.getfqdn())\n\nconfig = {\n" +
	"    \"dhcpdOnDepot\":            False,\n    \"dhcpdConfigFile\":         u\"" + dhcpdConf + "\",\n    \"reloadConfigCommand\":     u\"sudo service isc-dhcp-server restart\",\n" +
	"    \"fixedAddressFormat\":      u\"FQDN\", # or IP\n    \"defaultClientParameters\": { \"next-server\": localip, \"filename\": u\"linux/pxelinux.0\" }\n}\n"

// dispatch decides which backend serves which method.
func (s Spec) dispatch() string {
	if s.Variant == File {
		return "# one backend holds everything\nbackend_.* : file, opsipxeconfd\nhost_.* : file, opsipxeconfd\nproductOnClient_.* : file, opsipxeconfd\nconfigState_.* : file, opsipxeconfd\n.* : file\n"
	}
	return "; the first expression that matches decides\n" +
		"backend_.*         : file, mysql, opsipxeconfd, dhcpd\nhost_.*            : file, mysql, opsipxeconfd, dhcpd\n" +
		"productOnClient_.* : file, mysql, opsipxeconfd\nconfigState_.*     : file, mysql, opsipxeconfd\n" +
		"license.*          : mysql\nsoftwareLicense.*  : mysql\naudit.*            : mysql\n.*                 : file, mysql\n"
}

// opsiConf is who this server is. In 4.2 host names come from global.conf.
func (s Spec) opsiConf(hostname, key string) string {
	groups := "[groups]\nfileadmingroup = \"opsifileadmins\"\nadmingroup = \"opsiadmin\"\n"
	if s.Variant != MySQL {
		return "[groups]\nfileadmingroup = opsifileadmins\n\n[packages]\nuse_pigz = True\n"
	}
	return fmt.Sprintf("[host]\nid = \"%s\"\nkey = \"%s\"\nserver-role = \"configserver\"\n\n[service]\nurl = \"https://%s:4447\"\n\n%s\n[depot_user]\nusername = \"pcpatch\"\nhome = \"/var/lib/opsi\"\n",
		hostname, key, hostname, groups)
}

type file struct {
	path, text string
	mode       os.FileMode
	owner      string
}

// writeConfig writes what opsi's setup writes into /etc/opsi.
func writeConfig(m *machine.Machine, s Spec, password, key string) error {
	hostname := m.Spec.Hostname
	files := []file{
		{confDir + "/opsi.conf", s.opsiConf(hostname, key), 0o660, adminOwner},
		{confDir + "/opsiconfd.conf", "# options of opsiconfd\nlog-level-file = 4\nadmin-networks = [0.0.0.0/0]\nssl-server-cert = " + serverCert + "\nssl-server-key = " + serverKey + "\n", 0o660, adminOwner},
		{confDir + "/passwd", "pcpatch:" + hostKey(2000) + "\nmonitoring:" + hostKey(2001) + "\n", 0o660, adminOwner},
		{backendsDir + "/opsipxeconfd.conf", "module = 'OpsiPXEConfd'\nconfig = {\n    \"opsipxeconfdOnDepot\": False\n}\n", 0o660, adminOwner},
		{backendsDir + "/hostcontrol.conf", "module = 'HostControl'\nconfig = {\n    \"opsiclientdPort\": 4441,\n    \"hostRpcTimeout\": 10,\n    \"resolveHostAddress\": False,\n    \"broadcastAddresses\": [\"255.255.255.255\"]\n}\n", 0o660, adminOwner},
	}
	if s.usesFile() {
		files = append(
			files,
			file{confDir + "/global.conf", "[global]\nhostname = " + hostname + "\n", 0o660, adminOwner},
			file{confDir + "/backendManager/dispatch.conf", s.dispatch(), 0o660, adminOwner},
			file{backendsDir + "/file.conf", fileText, 0o660, adminOwner},
			file{confDir + "/version", s.Version + "\n", 0o644, adminOwner},
		)
	}
	if s.usesMySQL() {
		files = append(files, file{mysqlConf, mysqlText(s, password), 0o660, adminOwner})
	}
	if s.Variant != File {
		files = append(files, file{backendsDir + "/dhcpd.conf", dhcpdText, 0o660, adminOwner})
	}
	return writeFiles(files)
}

func writeFiles(files []file) error {
	for _, f := range files {
		if err := put(f.path, f.text, f.mode, f.owner); err != nil {
			return err
		}
	}
	return nil
}

// localConfig is what administrators changed and added below /etc/opsi.
func localConfig(s Spec) error {
	if err := makeDirs(adminOwner, 0o770, confDir+"/licenses", confDir+"/hwaudit", confDir+"/hwaudit/locales", confDir+"/backendManager/extend.d", confDir+"/package-updater.repos.d"); err != nil {
		return err
	}
	files := []file{
		{confDir + "/licenses/site.opsilic", "# opsi license file\n[0a1b2c3d-0000-4000-8000-000000000001]\ntype = standard\ncustomer_name = Lab GmbH\nmodule_id = license_management\nclient_number = 500\nsignature = 6c6162\n", 0o660, adminOwner},
		{confDir + "/backendManager/acl.conf", "backend_deleteBase     : sys_group(opsiadmin)\n.*_create.*            : sys_group(opsiadmin); opsi_depotserver\n.*                     : sys_group(opsiadmin); opsi_depotserver; opsi_client(attributes(!opsiHostKey))\n", 0o660, adminOwner},
		{confDir + "/backendManager/extend.d/10_site.conf", "# -*- coding: utf-8 -*-\ndef site_ping(self):\n    return \"pong aus Köln\"\n", 0o660, adminOwner},
		{confDir + "/hwaudit/opsihwaudit.conf", "# -*- coding: utf-8 -*-\nglobal OPSI_HARDWARE_CLASSES\nOPSI_HARDWARE_CLASSES = [\n    {\"Class\": {\"Type\": \"STRUCTURAL\", \"Opsi\": \"VIDEO_CONTROLLER\"}, \"Values\": [{\"Type\": \"varchar(50)\", \"Scope\": \"g\", \"Opsi\": \"vendor\"}]},\n]\n", 0o660, adminOwner},
		{confDir + "/hwaudit/locales/de_DE", "VIDEO_CONTROLLER = Grafikkarte\n", 0o660, adminOwner},
		{confDir + "/package-updater.repos.d/site-local.repo", "[repository_site]\nactive = true\nbaseUrl = https://packages.example.com\ndirs = /opsi\nusername = lab\npassword = r3po-secret\nautoInstall = false\nexcludes = ^hwaudit$\n", 0o660, adminOwner},
		{confDir + "/Anmerkungen zu Büro Köln.txt", "Schlüssel liegen im Tresor\n", 0o640, adminOwner},
	}
	if s.Variant != MySQL {
		files = append(files, file{confDir + "/modules", "license_management = yes\nmysql_backend = yes\ncustomer = Lab GmbH\nexpires = never\nsignature = 424242\n", 0o660, adminOwner})
	}
	if err := writeFiles(files); err != nil {
		return err
	}
	// A link, one that leads nowhere, and a second name of a file.
	for link, target := range map[string]string{
		confDir + "/backendManager/acl.current": "acl.conf", confDir + "/opsi-wininst.conf": "/usr/share/gone/opsi-wininst.conf",
	} {
		if err := os.Symlink(target, link); err != nil {
			return err
		}
		if err := machine.Own(adminOwner, link); err != nil {
			return err
		}
	}
	if err := os.Link(confDir+"/licenses/site.opsilic", confDir+"/licenses/site copy.opsilic"); err != nil {
		return err
	}
	return setACL(confDir+"/passwd", "u:pcpatch:r")
}
