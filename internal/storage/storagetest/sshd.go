package storagetest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// SSHServer is a real OpenSSH server that lets the user of the test in.
type SSHServer struct {
	Addr    string
	User    string
	Key     string // the private key that logs in
	HostKey string // the host's public key, as in known_hosts but for the host
	dir     string
}

// NewSSHServer starts sshd with a configuration and keys of its own; lines are
// added to its configuration.
func NewSSHServer(t *testing.T, lines ...string) SSHServer {
	t.Helper()
	sshd := Need(t, "sshd", "openssh-server")
	server := Need(t, "sftp-server", "openssh-sftp-server")
	keygen := Need(t, "ssh-keygen", "openssh-client")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if me.Uid == "0" {
		// sshd of root wants the directory that its package makes at boot.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Skipf("needs /run/sshd: %v", err)
		}
	}
	s := SSHServer{Addr: freeAddr(t), User: me.Username, dir: t.TempDir()}
	s.Key = filepath.Join(s.dir, "id")
	for _, file := range []string{s.Key, filepath.Join(s.dir, "host")} {
		out, err := exec.Command(keygen, "-q", "-t", "ed25519", "-N", "", "-f", file).CombinedOutput()
		if err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
	}
	public, err := os.ReadFile(filepath.Join(s.dir, "host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	s.HostKey = strings.Join(strings.Fields(string(public))[:2], " ")
	host, port, _ := strings.Cut(s.Addr, ":")
	config := append(lines,
		"ListenAddress "+host,
		"Port "+port,
		"HostKey "+filepath.Join(s.dir, "host"),
		"PidFile none",
		"AuthorizedKeysFile "+s.Key+".pub",
		"StrictModes no",
		"UsePAM no",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"PermitRootLogin yes",
		"MaxStartups 100",
		"Subsystem sftp "+server,
	)
	file := filepath.Join(s.dir, "sshd_config")
	if err := os.WriteFile(file, []byte(strings.Join(config, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, s.Addr, exec.Command(sshd, "-D", "-e", "-f", file))
	return s
}

// KnownHosts writes a file that knows the server's key at these addresses.
func (s SSHServer) KnownHosts(t *testing.T, addrs ...string) string {
	t.Helper()
	f, err := os.CreateTemp(s.dir, "known_hosts")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, addr := range addrs {
		host, port, _ := strings.Cut(addr, ":")
		fmt.Fprintf(f, "[%s]:%s %s\n", host, port, s.HostKey)
	}
	return f.Name()
}
