package opsi

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"

	"lifeboat/internal/lab/machine"
)

// install is what an administrator does first on a fresh machine: opsi from its
// package source, which sets itself up.
func install(m *machine.Machine, c *machine.Call) int {
	if err := addSource(m); err != nil {
		return c.Fail(1, "install opsi: %v", err)
	}
	if err := quiet(m, "apt-get", "-y", "install", "opsi-server"); err != nil {
		return c.Fail(1, "install opsi: %v", err)
	}
	return 0
}

func addSource(m *machine.Machine) error {
	line := machine.MustPart[Spec](m).line()
	return machine.Write("/etc/apt/sources.list.d/opsi.list", "deb https://download.opsi.org/"+line+"/debian bookworm main\n", 0o644)
}

// setUp is what the package of the whole server does: opsi's own setup, and all that
// it needs runs, now and after a boot.
func setUp(m *machine.Machine) error {
	s := machine.MustPart[Spec](m)
	for _, name := range s.services() {
		if err := enable(m, name); err != nil {
			return err
		}
	}
	if s.usesMySQL() {
		if err := start(m, "mariadb"); err != nil {
			return err
		}
	}
	if err := setUpParts(m); err != nil {
		return err
	}
	for _, name := range s.services() {
		if err := start(m, name); err != nil {
			return err
		}
	}
	return nil
}

// setUpParts is opsi's own setup: its configuration where there is none, a database
// with a new password where it uses one and cannot reach it, certificates, itself as
// the only server. It may be repeated; what is there stays.
func setUpParts(m *machine.Machine) error {
	s := machine.MustPart[Spec](m)
	data, password := emptyServer(m), rand.Text()
	if !machine.Exists(confDir + "/opsi.conf") {
		if err := writeConfig(m, s, password, data.servers[0].key); err != nil {
			return err
		}
	}
	if err := certificates(m); err != nil {
		return err
	}
	if s.usesFile() && !machine.Exists(baseDir) {
		if err := data.writeFiles(); err != nil {
			return err
		}
	}
	if s.usesMySQL() {
		if err := setUpDatabase(s, data, password); err != nil {
			return err
		}
	}
	return s.makeShares()
}

// emptyServer has a new key at each call.
func emptyServer(m *machine.Machine) *model {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails, crypto/rand.Read
	return newModel(machine.MustPart[Spec](m), m.Spec.Hostname).fresh(hex.EncodeToString(raw))
}

// setUpDatabase makes the database reachable as mysql.conf says; where it is not,
// user and mysql.conf get the new password.
func setUpDatabase(s Spec, data *model, password string) error {
	db, err := connect()
	if err == nil {
		return db.Close()
	}
	root, err := machine.OpenRoot("")
	if err != nil {
		return err
	}
	defer root.Close()
	text, err := os.ReadFile(mysqlConf)
	if err != nil {
		return err
	}
	changed := regexp.MustCompile(`("password"\s*:\s*)u?"(?:[^"\\]|\\.)*"`).ReplaceAllLiteralString(string(text), `"password": `+python(password))
	if err := put(mysqlConf, changed, 0o660, adminOwner); err != nil {
		return err
	}
	var there int
	if err := root.QueryRow("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = ?", databaseName).Scan(&there); err != nil {
		return err
	}
	if there > 0 {
		return createUser(root, password)
	}
	if db, err = createDatabase(s, password); err != nil {
		return err
	}
	defer db.Close()
	return data.fill(s, db)
}

func (m *model) writeFiles() error {
	if err := m.writeFileBackend(); err != nil {
		return err
	}
	return put(hostKeyFile, m.hostKeys(), 0o660, adminOwner)
}

func (s Spec) makeShares() error {
	return makeDirs(fileOwner, 0o2770, depotDir, repositoryDir, s.workbench(), "/var/lib/opsi/ntfs-images")
}

// opsiSetup is a double for opsi-setup.
func opsiSetup(m *machine.Machine, c *machine.Call) int {
	if len(c.Args) == 0 {
		return c.Fail(2, "opsi-setup: say --set-rights [PATH] or --configure-mysql")
	}
	switch c.Args[0] {
	case "--set-rights":
		c.Args = c.Args[1:]
		return setRightsCommand(m, c)
	case "--configure-mysql":
		if err := setUpDatabase(machine.MustPart[Spec](m), emptyServer(m), rand.Text()); err != nil {
			return c.Fail(1, "opsi-setup: %v", err)
		}
		return 0
	}
	return c.Fail(2, "opsi-setup: this double knows --set-rights and --configure-mysql only")
}

// setup makes this bare system a server that has been in use for years. It
// prints the identity of a client, which outlives the server.
func setup(m *machine.Machine, c *machine.Call) int {
	id, err := build(m)
	if err == nil {
		err = json.NewEncoder(c.Stdout).Encode(id)
	}
	if err != nil {
		return c.Fail(1, "set up opsi: %v", err)
	}
	return 0
}

func build(m *machine.Machine) (*Client, error) {
	s := machine.MustPart[Spec](m)
	if err := addSource(m); err != nil {
		return nil, err
	}
	// All but the package whose setup would make an empty server.
	names := []string{"install", "opsiconfd", "opsi-utils", "opsipxeconfd", "opsi-linux-bootimage"}
	if s.usesDHCP() {
		names = append(names, "isc-dhcp-server")
	}
	if err := quiet(m, "apt-get", names...); err != nil {
		return nil, err
	}
	data := newModel(s, m.Spec.Hostname)
	if err := writeConfig(m, s, s.Password, data.servers[0].key); err != nil {
		return nil, err
	}
	if s.usesFile() {
		if err := data.writeFiles(); err != nil {
			return nil, err
		}
	}
	if s.usesMySQL() {
		if err := start(m, "mariadb"); err != nil {
			return nil, err
		}
		db, err := createDatabase(s, s.Password)
		if err != nil {
			return nil, err
		}
		defer db.Close()
		if err := data.fill(s, db); err != nil {
			return nil, err
		}
	}
	if err := s.makeShares(); err != nil {
		return nil, err
	}
	if err := localConfig(s); err != nil {
		return nil, err
	}
	if s.usesDHCP() {
		if err := data.writeDHCP(); err != nil {
			return nil, err
		}
	}
	if err := shares(s, data); err != nil {
		return nil, err
	}
	if err := s.setRights(""); err != nil { // as it was often done, so that doing it changes nothing
		return nil, err
	}
	if err := quiet(m, "apt-get", "install", "opsi-server"); err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(caCert)
	return &Client{ID: data.clients[0].id, Key: data.clients[0].key, Server: m.Spec.Hostname, CA: string(ca)}, err
}

func setACL(path, entry string) error {
	if out, err := exec.Command("setfacl", "-m", entry, path).CombinedOutput(); err != nil {
		return fmt.Errorf("setfacl %s: %w: %s", path, err, out)
	}
	return nil
}

// services are those of the variant, in the order of their start.
func (s Spec) services() []string {
	var names []string
	if s.usesMySQL() {
		names = append(names, "mariadb")
	}
	if s.usesDHCP() {
		names = append(names, "isc-dhcp-server")
	}
	return append(names, "opsiconfd", "opsipxeconfd")
}

func enable(m *machine.Machine, name string) error {
	u, err := m.Unit(name)
	if err != nil {
		return err
	}
	return m.Enable(u, true)
}

func start(m *machine.Machine, name string) error {
	u, err := m.Unit(name)
	if err != nil {
		return err
	}
	return m.StartUnit(u)
}
