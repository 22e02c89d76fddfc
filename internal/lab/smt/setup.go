package smt

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/lab/machine"
)

// setup makes this bare system a server that has been in use for years. It
// prints the identity of a client, which outlives the server.
func setup(m *machine.Machine, c *machine.Call) int {
	if err := build(m); err != nil {
		return c.Fail(1, "set up SMT: %v", err)
	}
	id, err := firstClient(m)
	if err == nil {
		err = json.NewEncoder(c.Stdout).Encode(id)
	}
	if err != nil {
		return c.Fail(1, "set up SMT: %v", err)
	}
	return 0
}

func build(m *machine.Machine) error {
	spec := machine.MustPart[Spec](m)
	if err := machine.Write(m.CredentialsFile(), m.CredentialsText(), 0o600); err != nil {
		return err
	}
	if err := quiet(m, "SUSEConnect"); err != nil {
		return err
	}
	if err := quiet(m, "zypper", "install", "smt"); err != nil {
		return err
	}
	u, err := m.Unit("mysql.service")
	if err == nil {
		err = m.StartUnit(u)
	}
	if err != nil {
		return err
	}
	db, err := createDatabase(spec, spec.Password)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := fill(m, db); err != nil {
		return err
	}
	if err := writeConfig(spec, confText(m, spec, spec.Password, "UC7324", "mirror-secret")); err != nil {
		return err
	}
	if err := certificates(m, spec.CAPassword); err != nil {
		return err
	}
	if err := buildTree(m, db); err != nil {
		return err
	}
	if err := localFiles(m); err != nil {
		return err
	}
	if err := setACL(m.CredentialsFile()); err != nil {
		return err
	}
	if err := enableAll(m); err != nil {
		return err
	}
	return quiet(m, "rcsmt", "start")
}

// quiet runs a double without its output and without a log line: building a
// system is not part of its story.
func quiet(m *machine.Machine, name string, args ...string) error {
	var out strings.Builder
	c := &machine.Call{Name: name, Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}
	if code := m.Doubles[name](m, c); code != 0 {
		return fmt.Errorf("%s: exit code %d: %s", name, code, out.String())
	}
	return nil
}

func setACL(file string) error {
	out, err := exec.Command("setfacl", "-m", "u:smt:r", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("setfacl %s: %w: %s", file, err, out)
	}
	return nil
}

// localFiles are what administrators changed and added over the years.
func localFiles(m *machine.Machine) error {
	spec := machine.MustPart[Spec](m)
	cron := spec.cronTable()
	files := []struct {
		path, text string
		mode       os.FileMode
	}{
		{"/etc/apache2/default-server.conf", "DocumentRoot \"/srv/www/htdocs\"\n<Directory \"/srv/www/htdocs\">\n  Options FollowSymLinks\n  AllowOverride None\n</Directory>\n# the load balancer asks here\nAlias /health /srv/www/health\n", 0o644},
		{"/etc/apache2/vhosts.d/intranet.conf", "<VirtualHost *:80>\n  ServerName intranet.example.com\n</VirtualHost>\n", 0o644},
		{confDir + "/smt-cron.conf", "NCC_SYNC_PARAMS=\"-L " + spec.logFile("ncc-sync") + "\"\nMIRROR_PARAMS=\"-L " + spec.logFile("mirror") + " -m admin@example.com\"\nREGISTER_PARAMS=\"\"\nREPORT_PARAMS=\"--mail\"\n", 0o644},
		{"/var/lib/smt/.gnupg/pubring.gpg", "lab public keys\n", 0o600},
		{"/var/lib/smt/.gnupg/secring.gpg", "lab secret keys\n", 0o600},
		{"/var/cache/smt/scc_guid", "5f1c1f0e-lab\n", 0o644},
		{spec.logFile("mirror"), "2019-11-20 01:10:00 smt-mirror - [info]  done\n", 0o644},
	}
	if spec.OldScript {
		files = append(files, struct {
			path, text string
			mode       os.FileMode
		}{"/usr/sbin/smt-db-backup.sh", "#!/bin/bash\nrcsmt stop\nmysqldump -uroot -p" + rootPassword + " smt > /var/backup/smt-db-backup.sql\nrcsmt start\n", 0o750})
		cron += "22 2 * * * root /usr/sbin/smt-db-backup.sh\n"
		if err := os.MkdirAll("/var/backup", 0o755); err != nil {
			return err
		}
	}
	files = append(files, struct {
		path, text string
		mode       os.FileMode
	}{confDir + "/novell.com-smt", cron, 0o644})
	for _, f := range files {
		if err := machine.Write(f.path, f.text, f.mode); err != nil {
			return err
		}
	}
	if err := os.Chmod("/var/lib/smt/.gnupg", 0o700); err != nil {
		return err
	}
	if err := machine.Own("smt:www", "/var/lib/smt/.gnupg", "/var/lib/smt/.gnupg/pubring.gpg", "/var/lib/smt/.gnupg/secring.gpg", "/var/cache/smt/scc_guid", spec.logFile("mirror")); err != nil {
		return err
	}
	if spec.OldScript {
		return setRootPassword()
	}
	return nil
}

// rootPassword is what the article's script carries in the clear.
const rootPassword = "r00t-of-mysql"

func setRootPassword() error {
	db, err := machine.OpenRoot("")
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec("ALTER USER 'root'@'localhost' IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD(" + quote(rootPassword) + ")")
	return err
}

// firstClient is what client 0 knows of its server.
func firstClient(m *machine.Machine) (Client, error) {
	ca, err := readFile(publishedCA)
	guid, secret := clientIdentity(0)
	return Client{GUID: guid, Secret: secret, Server: m.Spec.Hostname, CA: ca}, err
}

// leftovers makes the directories that interrupted and past mirror runs leave.
func leftovers(dir string) error {
	work, old := filepath.Join(dir, ".repodata"), filepath.Join(dir, ".old.repodata")
	entries, err := os.ReadDir(filepath.Join(dir, "repodata"))
	if err != nil {
		return err
	}
	if err := mirrorDirs(work); err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Link(filepath.Join(dir, "repodata", e.Name()), filepath.Join(work, e.Name())); err != nil {
			return err
		}
	}
	return put(filepath.Join(old, "repomd.xml"), []byte("<repomd/>\n"), time.Date(2010, 1, 2, 3, 4, 5, 0, time.UTC))
}
