package smt

import (
	"crypto/rand"
	"fmt"
	"os"

	"lifeboat/internal/lab/machine"
)

// yast is a double for yast2 MODULE.
func yast(m *machine.Machine, c *machine.Call) int {
	if len(c.Args) == 0 {
		return c.Fail(1, "yast2: this double knows smt-wizard and ca_mgm only")
	}
	module := c.Args[0]
	c.Args = c.Args[1:]
	switch module {
	case "smt-wizard", "smt":
		return wizard(m, c)
	case "ca_mgm":
		return caExport(m, c)
	default:
		return c.Fail(1, "yast2: this double knows smt-wizard and ca_mgm only")
	}
}

// wizard is a double for the setup wizard: database, user with a new password,
// the schema of the installed version, a fresh smt.conf, certificates when
// there are none, and SMT started and enabled.
func wizard(m *machine.Machine, c *machine.Call) int {
	spec := machine.MustPart[Spec](m)
	if _, err := machine.InstalledPackage("smt"); err != nil {
		return c.Fail(1, "smt-wizard: %v", err)
	}
	schema, err := installedSchema()
	if err != nil {
		return c.Fail(1, "smt-wizard: %v", err)
	}
	spec.Schema = schema
	mysql, err := m.Unit("mysql.service")
	if err == nil {
		err = m.Enable(mysql, true)
	}
	if err == nil {
		err = m.StartUnit(mysql)
	}
	if err != nil {
		return c.Fail(1, "smt-wizard: %v", err)
	}
	password := rand.Text()
	db, err := createDatabase(spec, password)
	if err != nil {
		return c.Fail(1, "smt-wizard: %v", err)
	}
	db.Close()
	text := confText(m, Spec{Schema: schema, MirrorTo: docRoot}, password, "wizard", "wizard-secret")
	if err := writeConfig(spec, text); err != nil {
		return c.Fail(1, "smt-wizard: %v", err)
	}
	if err := certificates(m, spec.CAPassword+"-fresh"); err != nil {
		return c.Fail(1, "smt-wizard: %v", err)
	}
	if err := readableCredentials(m); err != nil {
		return c.Fail(1, "smt-wizard: %v", err)
	}
	if err := enableAll(m); err != nil {
		return c.Fail(1, "smt-wizard: %v", err)
	}
	if code := rcsmt(m, &machine.Call{Name: "rcsmt", Args: []string{"start"}, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr}); code != 0 {
		return code
	}
	c.Printf("SMT has been configured.\n")
	return 0
}

func writeConfig(s Spec, text string) error {
	if err := machine.Write(Config, text, s.mode()); err != nil {
		return err
	}
	return machine.Own("root:www", Config)
}

// certificates makes a CA and a common server certificate where none is.
func certificates(m *machine.Machine, password string) error {
	if machine.Exists(caDir + "/cacert.pem") {
		if !machine.Exists(serverCert) {
			return fmt.Errorf("no common server certificate: export one from the CA in %s first", caDir)
		}
		return nil
	}
	if err := createAuthority(m.Spec.Hostname, password); err != nil {
		return err
	}
	return exportCertificate(m.Spec.Hostname, password)
}

// readableCredentials lets user smt read the credentials, as the wizard asks for.
func readableCredentials(m *machine.Machine) error {
	if _, err := os.Stat(m.CredentialsFile()); err != nil {
		return fmt.Errorf("the system is not registered: %w", err)
	}
	return setACL(m.CredentialsFile())
}

// enableAll makes SMT come up at boot.
func enableAll(m *machine.Machine) error {
	names := []string{"mysql.service", "apache2.service", "cron.service", "smt.service"}
	if !legacy(m) {
		names[3] = "smt.target"
	}
	for _, n := range names {
		u, err := m.Unit(n)
		if err != nil {
			return err
		}
		if err := m.Enable(u, true); err != nil {
			return err
		}
	}
	return nil
}
