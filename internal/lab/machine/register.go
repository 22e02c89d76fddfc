package machine

import (
	"fmt"
	"os"
	"strings"
)

// CredentialsFile is where the line keeps its upstream account: NCC for SLES 10
// and 11, SCC later.
func (m *Machine) CredentialsFile() string {
	if m.Line() < 12 {
		return "/etc/zypp/credentials.d/NCCcredentials"
	}
	return "/etc/zypp/credentials.d/SCCcredentials"
}

// CredentialsText is that file for the account known upstream.
func (m *Machine) CredentialsText() string {
	return fmt.Sprintf("username=%s\npassword=%s\n", m.Spec.Username, m.Spec.Password)
}

// ReadCredentials returns the account of the credentials file.
func (m *Machine) ReadCredentials() (username, password string, err error) {
	raw, err := os.ReadFile(m.CredentialsFile())
	if err != nil {
		return "", "", err
	}
	for _, line := range strings.Split(string(raw), "\n") {
		key, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(key) {
		case "username":
			username = strings.TrimSpace(value)
		case "password":
			password = strings.TrimSpace(value)
		}
	}
	return username, password, nil
}

// CheckUpstream tells whether the customer center knows the account.
func (m *Machine) CheckUpstream(username, password string) error {
	if username != m.Spec.Username || password != m.Spec.Password {
		return fmt.Errorf("the customer center does not know the system %q", username)
	}
	return nil
}

// register is a double for SUSEConnect and suse_register: the account of the
// credentials file is checked upstream, and the update source is set up.
func register(m *Machine, c *Call) int {
	code := ""
	for i, a := range c.Args {
		switch {
		case (a == "-r" || a == "--regcode" || a == "-a") && i+1 < len(c.Args):
			code = strings.TrimPrefix(c.Args[i+1], "regcode-sles=")
		case a == "--status" || a == "-s" || a == "--status-text":
			if Exists("/etc/zypp/repos.d/" + m.repoName() + ".repo") {
				c.Printf("[{\"identifier\":\"SLES\",\"version\":\"%s\",\"arch\":\"x86_64\",\"status\":\"Registered\"}]\n", m.Spec.Line)
			} else {
				c.Printf("[{\"identifier\":\"SLES\",\"version\":\"%s\",\"arch\":\"x86_64\",\"status\":\"Not Registered\"}]\n", m.Spec.Line)
			}
			return 0
		}
	}
	username, password, err := m.ReadCredentials()
	switch {
	case os.IsNotExist(err) && code == "":
		return c.Fail(1, "%s: no credentials in %s and no registration code given", c.Name, m.CredentialsFile())
	case os.IsNotExist(err):
		if code != m.Spec.RegCode {
			return c.Fail(67, "%s: Unknown Registration Code.", c.Name)
		}
		// A new identity upstream: not what a recovery wants, but what happens.
		fresh := "username=SCC_0000fresh\npassword=fresh\n"
		if err := Write(m.CredentialsFile(), fresh, 0o600); err != nil {
			return c.Fail(1, "%v", err)
		}
	case err != nil:
		return c.Fail(1, "%s: %v", c.Name, err)
	default:
		if err := m.CheckUpstream(username, password); err != nil {
			return c.Fail(67, "%s: %v", c.Name, err)
		}
	}
	repo := fmt.Sprintf("[%s]\nname=%s\nenabled=1\nautorefresh=1\nbaseurl=https://updates.suse.com/SUSE/Updates/lab?credentials=%s\ntype=rpm-md\n",
		m.repoName(), m.repoName(), baseOf(m.CredentialsFile()))
	if err := Write("/etc/zypp/repos.d/"+m.repoName()+".repo", repo, 0o644); err != nil {
		return c.Fail(1, "%v", err)
	}
	c.Printf("Registered SLES %s to the customer center.\n", m.Spec.Line)
	return 0
}

func (m *Machine) repoName() string { return "SLES" + m.Spec.Line + "-Updates" }

func baseOf(path string) string { return path[strings.LastIndex(path, "/")+1:] }
