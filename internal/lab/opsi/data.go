package opsi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Counts of the data that a full server holds.
const (
	Clients, LargeClients = 25, 400
	// StatesPerClient is of a large server; a small one has SmallStates in all.
	StatesPerClient, SmallStates = 36, 40
	Products                     = 10
	ProductsOnClients            = 60
	OEMLicences                  = 5
	SoftwareOnClients            = 200
)

// host is a server or a client. Empty strings are NULL.
type host struct {
	id, kind, description, notes, mac, ip, inventory string
	created, lastSeen, key, uuid                     string
	depotURL, webdavURL, repositoryURL, workbenchURL string
	workbench, master                                string
}

// config is a configuration item and what objects have set it to.
type config struct {
	id, kind, description string
	possible, defaults    []string
	states                []state
}

type state struct {
	object string
	values []string
}

type product struct {
	id, kind, version, release, name string
	properties                       []string
}

// onClient is a product's state on a client.
type onClient struct {
	product, client int
	status, action  string
	changed         string
}

type group struct {
	kind, id, parent, description, notes string
	members                              []string
}

// model is all that a server knows; each backend gets what it can hold.
type model struct {
	comma            string // between the values of a list
	servers, clients []host
	configs          []config
	products         []product
	onClients        []onClient
	groups           []group
}

// hostKey is the key of host n, the same at each build.
func hostKey(n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "opsi host %d", n))
	return hex.EncodeToString(sum[:16])
}

func clientID(n int, domain string) string { return fmt.Sprintf("client%03d.%s", n, domain) }

// json is a list as opsi keeps it in text columns and ini files: 4.2 writes a space
// after the comma, 4.3 does not.
func (m *model) json(values []string) string {
	var b strings.Builder
	for i, v := range values {
		if i > 0 {
			b.WriteString(m.comma)
		}
		raw, _ := json.Marshal(v) // a string
		b.Write(raw)
	}
	return "[" + b.String() + "]"
}

// newModel makes the objects of a server in use.
func newModel(s Spec, hostname string) *model {
	name, domain := short(hostname), hostname[len(short(hostname))+1:]
	branch := "depot2.branch." + domain
	m := &model{comma: ", "}
	if s.Variant == MySQL {
		m.comma = ","
	}
	m.servers = []host{
		{
			id: hostname, kind: "OpsiConfigserver", description: "Hauptserver Köln", notes: "since 2015", mac: "52:54:00:5b:04:75", ip: "192.0.2.10",
			key: hostKey(1000), depotURL: "smb://" + name + "/opsi_depot", webdavURL: "webdavs://" + hostname + ":4447/depot",
			repositoryURL: "webdavs://" + hostname + ":4447/repository", workbenchURL: "smb://" + name + "/opsi_workbench", workbench: "file://" + s.workbench(),
		},
		{
			id: branch, kind: "OpsiDepotserver", description: "Außenstelle", mac: "52:54:00:5b:04:76", ip: "198.51.100.7", key: hostKey(1001), master: hostname,
			depotURL: "smb://depot2/opsi_depot", webdavURL: "webdavs://" + branch + ":4447/depot",
			repositoryURL: "webdavs://" + branch + ":4447/repository", workbenchURL: "smb://depot2/opsi_workbench", workbench: "file:///srv/workbench",
		},
	}
	if s.Variant == MySQL { // opsi 4.3 writes full names
		m.servers[0].depotURL, m.servers[0].workbenchURL = "smb://"+hostname+"/opsi_depot", "smb://"+hostname+"/opsi_workbench"
		m.servers[1].depotURL, m.servers[1].workbenchURL = "smb://"+branch+"/opsi_depot", "smb://"+branch+"/opsi_workbench"
	}
	count := Clients
	if s.Large {
		count = LargeClients
	}
	made := time.Date(2023, 3, 1, 9, 0, 0, 0, time.UTC)
	for n := range count {
		c := host{
			id: clientID(n, domain), kind: "OpsiClient", description: fmt.Sprintf("Arbeitsplatz %d", n), inventory: fmt.Sprintf("INV-%04d", n),
			mac: fmt.Sprintf("52:54:00:0a:%02x:%02x", n/250, n%250), ip: fmt.Sprintf("192.0.%d.%d", 2+n/200, 20+n%200),
			created: made.Add(time.Duration(n) * time.Hour).Format(time.DateTime), lastSeen: made.AddDate(1, 0, n%300).Format(time.DateTime),
			key: hostKey(n), uuid: fmt.Sprintf("5f1c1f0e-0000-4000-8000-%012d", n),
		}
		switch n % 10 {
		case 3:
			c.notes, c.description = "Büro „Grün“: it's 100 % \\ \"quoted\"; # no comment", ""
		case 7:
			c.lastSeen, c.uuid, c.mac = "", "", "" // registered, never seen
		}
		m.clients = append(m.clients, c)
	}
	m.addConfigs(s.Large, hostname, branch)
	m.addProducts(made)
	m.addGroups(name)
	return m
}

// fresh is what a server knows that was just set up: itself.
func (m *model) fresh(key string) *model {
	server := m.servers[0]
	server.key, server.notes = key, ""
	f := &model{comma: m.comma, servers: []host{server}, groups: m.groups[:1], configs: append([]config(nil), m.configs[:4]...)}
	f.groups[0].members = nil
	for i := range f.configs {
		f.configs[i].states = nil
	}
	f.configs[0].possible = []string{server.id}
	return f
}

// addConfigs makes configuration items and states. Some name a server, in a list.
func (m *model) addConfigs(large bool, server, branch string) {
	url := "https://" + server + ":4447/rpc"
	m.configs = []config{
		{id: "clientconfig.depot.id", kind: "UnicodeConfig", description: "Depotserver to use", possible: []string{server, branch}, defaults: []string{server}},
		{id: "clientconfig.configserver.url", kind: "UnicodeConfig", description: "URL of the config service", possible: []string{url}, defaults: []string{url}},
		{id: "clientconfig.dhcpd.filename", kind: "UnicodeConfig", description: "the DHCP boot file of a client", defaults: []string{"linux/pxelinux.0"}},
		{id: "lab.counter", kind: "UnicodeConfig", description: "what the lab's opsiconfd counts up", defaults: []string{"0"}},
		{id: "license-management.use", kind: "BoolConfig", description: "use licence management", possible: []string{"true", "false"}, defaults: []string{"true"}},
	}
	for n := range StatesPerClient - 2 {
		m.configs = append(m.configs, config{
			id: fmt.Sprintf("lab.setting.%02d", n), kind: "UnicodeConfig", description: "Einstellung für Räume", possible: []string{"eins", "zwei"}, defaults: []string{"eins"},
		})
	}
	depot, service, settings := &m.configs[0], &m.configs[1], m.configs[5:]
	for n, c := range m.clients {
		here := server
		if n%5 == 4 {
			here = branch
		}
		if large || n < 15 {
			depot.states = append(depot.states, state{c.id, []string{here}})
		}
		if large || n < 10 {
			service.states = append(service.states, state{c.id, []string{url, "https://" + branch + ":4447/rpc"}[:1+n%2]})
		}
		for i := range settings {
			if large || i == 0 && n < SmallStates-25 {
				settings[i].states = append(settings[i].states, state{c.id, []string{fmt.Sprintf("Wert %d für „%s“", i, c.id)}})
			}
		}
	}
}

func (m *model) addProducts(made time.Time) {
	for n, id := range []string{"opsi-client-agent", "firefox", "thunderbird", "7zip", "libreoffice", "winpackage", "site-tools", "swaudit", "hwaudit", "win10-x64"} {
		p := product{id: id, kind: "LocalbootProduct", version: fmt.Sprintf("%d.%d", n+1, n*3), release: "1", name: "Produkt " + id}
		if id == "win10-x64" {
			p.kind, p.properties = "NetbootProduct", []string{"winpeenv", "system_language"}
		}
		if id == "firefox" {
			p.properties = []string{"profile_migrate"}
		}
		m.products = append(m.products, p)
	}
	states := [][2]string{{"installed", "none"}, {"not_installed", "setup"}, {"installed", "update"}, {"unknown", "none"}}
	for n := range ProductsOnClients {
		s := states[n%len(states)]
		m.onClients = append(m.onClients, onClient{
			product: n % Products, client: n / Products * 4 % len(m.clients), status: s[0], action: s[1],
			changed: made.AddDate(1, 0, n).Format(time.DateTime),
		})
	}
}

func (m *model) addGroups(name string) {
	var all, some []string
	for n, c := range m.clients {
		if all = append(all, c.id); n%3 == 0 {
			some = append(some, c.id)
		}
	}
	m.groups = []group{
		{kind: "HostGroup", id: "clientdirectory", description: "Root of directory"},
		{kind: "HostGroup", id: "büro köln", parent: "clientdirectory", description: "Etage 3 – links", notes: "with a view 🐧", members: some},
		{kind: "HostGroup", id: name, parent: "clientdirectory", description: "named like the server", members: all[:3]},
		{kind: "ProductGroup", id: "office", description: "Büro", notes: "", members: []string{"firefox", "libreoffice", "thunderbird"}},
	}
}
