package certificates

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/host"
)

// Held is a certificate with the file that it stands in.
type Held struct {
	Path      string    `json:"path"`
	Subject   string    `json:"subject"`
	Print     string    `json:"fingerprint"` // the first half of its SHA-256
	Until     time.Time `json:"until"`       // it is not valid later
	Authority bool      `json:"authority,omitempty"`
}

// maxChain is how many certificates one file may have to be a chain; more are a
// collection of authorities, in which one or the other has always expired.
const maxChain = 5

// Held lists the certificates that are on the machine, without those that are
// issued and kept deeper in an authority's directory. It changes nothing.
func (c *Component) Held(ctx context.Context) []Held { return c.look(ctx).held() }

func (s *sight) held() []Held {
	var list []Held
	for _, f := range s.all() {
		list = append(list, heldIn(f.path, append([]*x509.Certificate{f.Certificate}, f.rest...), s.isAuthority(f))...)
	}
	slices.SortStableFunc(list, func(a, b Held) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// HeldIn lists the certificates of one file of the machine: none where it has none,
// or cannot be read.
func HeldIn(h *host.Host, path string) []Held {
	data, err := readFile(h, path)
	if err != nil {
		return nil
	}
	certs, err := parseCertificates(data)
	if err != nil {
		return nil
	}
	return heldIn(path, certs, false)
}

func heldIn(path string, certs []*x509.Certificate, authority bool) []Held {
	if len(certs) > maxChain {
		return nil
	}
	var list []Held
	for _, c := range certs {
		list = append(list, Held{
			Path: path, Subject: c.Subject.String(), Print: sum(c.Raw), Until: c.NotAfter.UTC(), Authority: authority || c.IsCA,
		})
	}
	return list
}
