package sftp

import (
	"errors"
	"net"
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// KnownKeys are the keys by which a host is known, as ssh-keygen -l prints them:
// type and fingerprint. Files are as in Options.KnownHosts. None is no error.
func KnownKeys(place Place, files []string) ([]string, error) {
	keys, err := Options{KnownHosts: files}.hostKeys()
	if err != nil {
		return nil, err
	}
	var known *knownhosts.KeyError
	address := net.JoinHostPort(place.Host, place.Port)
	if err := keys.check(address, &net.TCPAddr{IP: net.IPv4zero}, noKey{}); !errors.As(err, &known) {
		return nil, nil
	}
	var list []string
	for _, want := range known.Want {
		what := want.Key.Type()
		if isAuthority(want) {
			what = "authority " + what
		}
		if print := what + " " + ssh.FingerprintSHA256(want.Key); !slices.Contains(list, print) {
			list = append(list, print)
		}
	}
	return list, nil
}
