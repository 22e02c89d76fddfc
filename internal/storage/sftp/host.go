package sftp

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// HostKeyError says that a host did not prove to be the one it should be.
type HostKeyError struct {
	Host        string
	Fingerprint string // of the key it showed
	Changed     bool   // another key is known for it
	Files       []string
	Err         error
}

// Error says what a person can do.
func (e *HostKeyError) Error() string {
	if e.Changed {
		return fmt.Sprintf("the host key of %s is not the one that is known: it shows %s; if the host was installed anew, correct %s, otherwise somebody stands between you and it", e.Host, e.Fingerprint, e.Files[0])
	}
	if e.Fingerprint == "" {
		return fmt.Sprintf("the host key of %s cannot be checked: %v", e.Host, e.Err)
	}
	return fmt.Sprintf("the host key of %s is not known: it shows %s; compare that with the host's own, then add it to %s with ssh-keyscan", e.Host, e.Fingerprint, e.Files[0])
}

// Unwrap returns the cause, which is always also fs.ErrPermission.
func (e *HostKeyError) Unwrap() []error { return []error{e.Err, fs.ErrPermission} }

// hostKeys checks the keys of hosts against files; there is no way around it.
type hostKeys struct {
	files []string
	check ssh.HostKeyCallback
}

func (o Options) hostKeys() (hostKeys, error) {
	files := o.KnownHosts
	if len(files) == 0 {
		if home, err := os.UserHomeDir(); err == nil {
			files = append(files, filepath.Join(home, ".ssh", "known_hosts"))
		}
		files = append(files, "/etc/ssh/ssh_known_hosts")
	}
	there := make([]string, 0, len(files))
	for _, file := range files {
		if _, err := os.Stat(file); err == nil || len(o.KnownHosts) > 0 {
			there = append(there, file)
		}
	}
	check, err := knownhosts.New(there...)
	if err != nil {
		return hostKeys{}, fmt.Errorf("known hosts: %w", err)
	}
	return hostKeys{files: files, check: check}, nil
}

func (k hostKeys) verify(host string, remote net.Addr, key ssh.PublicKey) error {
	err := k.check(host, remote, key)
	if err == nil {
		return nil
	}
	e := &HostKeyError{Host: knownhosts.Normalize(host), Fingerprint: key.Type() + " " + ssh.FingerprintSHA256(key), Files: k.files, Err: err}
	var known *knownhosts.KeyError
	if errors.As(err, &known) {
		e.Changed = len(known.Want) > 0
	} else {
		e.Fingerprint = "" // revoked, or a certificate that does not hold
	}
	return e
}

// certificates are the algorithms of hosts that an authority vouches for.
var certificates = []string{
	ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
	ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
}

// algorithms are those for which a key of the host is known, so that the host
// does not choose to show one that is not. Nil if none is known.
func (k hostKeys) algorithms(host string) []string {
	err := k.check(host, &net.TCPAddr{IP: net.IPv4zero}, noKey{})
	var known *knownhosts.KeyError
	if !errors.As(err, &known) {
		return nil
	}
	var names []string
	for _, want := range known.Want {
		kinds := []string{want.Key.Type()}
		switch {
		case isAuthority(want):
			kinds = certificates
		case kinds[0] == ssh.KeyAlgoRSA:
			kinds = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
		}
		for _, name := range kinds {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// isAuthority tells whether a line of known_hosts names an authority.
func isAuthority(known knownhosts.KnownKey) bool {
	text, err := os.ReadFile(known.Filename)
	if err != nil {
		return false
	}
	lines := strings.Split(string(text), "\n")
	return known.Line <= len(lines) && strings.HasPrefix(strings.TrimSpace(lines[known.Line-1]), "@cert-authority")
}

// noKey is a key that no host has; asking for it tells which keys are known.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }
