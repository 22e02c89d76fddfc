package certificates

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/component/files"
)

// maxFound bounds how many files of one component are looked into.
const maxFound = 200

// finding is a check, or something a person should know though nothing is wrong.
type finding struct {
	component.Check
	Note bool
}

func (f finding) sentence() string {
	text := f.Name + ": " + f.Found
	if f.Hint != "" {
		text += " (" + f.Hint + ")"
	}
	return text
}

// foundCertificate is a certificate with the file it stands in.
type foundCertificate struct {
	path string
	*x509.Certificate
	rest []*x509.Certificate // that follow in the same file
}

// sight is what was seen of the certificates.
type sight struct {
	authorities, certificates []foundCertificate
	keys                      map[string]crypto.Signer // nil for an encrypted one
	lists                     map[string]*x509.RevocationList
	findings                  []finding
	detail                    map[string]string
	now                       time.Time
}

func (s *sight) add(check component.Check) { s.findings = append(s.findings, finding{Check: check}) }

func (s *sight) good(name, found string) { s.add(component.Check{Name: name, OK: true, Found: found}) }

func (s *sight) bad(name, found, hint string) {
	s.add(component.Check{Name: name, Found: found, Hint: hint})
}

func (s *sight) warn(name, found, hint string) {
	s.add(component.Check{Name: name, Warning: true, Found: found, Hint: hint})
}

func (s *sight) note(name, found, hint string) {
	s.findings = append(s.findings, finding{Check: component.Check{Name: name, Found: found, Hint: hint}, Note: true})
}

// look reads what the options name and compares it.
func (c *Component) look(ctx context.Context) *sight {
	s := &sight{detail: map[string]string{}, now: time.Now(), keys: map[string]crypto.Signer{}, lists: map[string]*x509.RevocationList{}}
	for _, path := range c.options.Authority {
		if path == "" {
			continue
		}
		found, err := c.certificate(path)
		if err != nil {
			s.bad(path, "the authority's certificate cannot be read: "+err.Error(), "restore it, or look at it with openssl x509 -text")
			continue
		}
		s.authorities = append(s.authorities, found)
	}
	for _, path := range c.candidates(ctx) {
		c.read(s, path)
	}
	for _, path := range c.ownKeys() {
		c.own(ctx, s, path)
	}
	if len(c.options.Authority) == 0 {
		s.authorities = slices.DeleteFunc(slices.Clone(s.certificates), func(f foundCertificate) bool { return !f.IsCA })
	}
	for _, f := range s.all() {
		s.describe(f)
	}
	for _, path := range sorted(s.keys) {
		s.key(path)
	}
	for _, path := range sorted(s.lists) {
		s.revocations(path)
	}
	facts, err := c.env.Host.Facts(ctx)
	for _, f := range s.certificates {
		if f.IsCA || s.isAuthority(f) {
			continue
		}
		s.chain(f)
		if err == nil && facts.FQDN != "" {
			s.names(f, facts.FQDN, facts.Hostname)
		}
	}
	return s
}

func sorted[V any](m map[string]V) []string {
	var all []string
	for path := range m {
		all = append(all, path)
	}
	slices.Sort(all)
	return all
}

// all are the authorities and then the other certificates.
func (s *sight) all() []foundCertificate {
	return append(slices.Clone(s.authorities), slices.DeleteFunc(slices.Clone(s.certificates), s.isAuthority)...)
}

func (s *sight) isAuthority(f foundCertificate) bool {
	return slices.ContainsFunc(s.authorities, func(a foundCertificate) bool { return a.path == f.path || a.Equal(f.Certificate) })
}

func (c *Component) certificate(path string) (foundCertificate, error) {
	data, err := readFile(c.env.Host, path)
	if err != nil {
		return foundCertificate{}, err
	}
	certs, err := parseCertificates(data)
	if err != nil {
		return foundCertificate{}, err
	}
	return foundCertificate{path, certs[0], certs[1:]}, nil
}

// candidates are the files that are captured themselves, those right in
// captured directories, and those beside an authority's certificate or in the
// directory crl there. What lies deeper, say all that was ever issued, is not
// looked into.
func (c *Component) candidates(ctx context.Context) []string {
	found, _, err := files.Expand(c.env.Host, c.paths())
	if err != nil || ctx.Err() != nil {
		return nil
	}
	for _, path := range c.options.Authority {
		if path != "" {
			found = append(found, filepath.Dir(path), filepath.Join(filepath.Dir(path), "crl"))
		}
	}
	var all []string
	for _, path := range found {
		real, err := c.env.Host.Path(path)
		if err != nil {
			continue
		}
		entries, err := os.ReadDir(real)
		if err != nil {
			all = append(all, path)
			continue
		}
		for _, entry := range entries {
			if entry.Type().IsRegular() || entry.Type()&fs.ModeSymlink != 0 {
				all = append(all, filepath.Join(path, entry.Name()))
			}
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), maxFound)]
}

func (c *Component) paths() []string {
	return slices.DeleteFunc(slices.Clone(c.options.Paths), func(p string) bool { return p == "" })
}

// read takes in a file, if it is one of ours.
func (c *Component) read(s *sight, path string) {
	data, err := readFile(c.env.Host, path)
	if err != nil {
		return
	}
	if certs, err := parseCertificates(data); err == nil {
		s.certificates = append(s.certificates, foundCertificate{path, certs[0], certs[1:]})
	} else if !errors.Is(err, errNone) {
		s.bad(path, "the certificate cannot be read: "+err.Error(), "look at it with openssl x509 -text")
	}
	switch key, err := parseKey(data); {
	case slices.Contains(c.ownKeys(), path): // looked at by itself
	case err == nil:
		s.keys[path] = key
	case errors.Is(err, ErrEncrypted):
		s.keys[path] = nil
	case !errors.Is(err, errNone):
		s.bad(path, "the private key cannot be read: "+err.Error(), "look at it with openssl pkey")
	}
	if list, err := parseRevocations(data); err == nil {
		s.lists[path] = list
	}
}

// describe tells validity and strength of a certificate.
func (s *sight) describe(f foundCertificate) {
	ok, warning, text := validity(f.Certificate, s.now)
	s.detail[f.path] = f.Subject.String() + ", " + text
	switch {
	case ok:
		s.good(f.path, text)
	case warning:
		s.warn(f.path, text, "renew it in time")
	default:
		s.warn(f.path, text, "clients refuse it; renew it, or check this machine's clock")
	}
	for _, weak := range weaknesses(f.Certificate) {
		s.note(f.path, weak, "renew it with SHA-256 and 2048 bits or more when you can")
	}
	if s.isAuthority(f) && !f.IsCA {
		s.note(f.path, "it is not marked as an authority", "")
	}
}

// key finds the certificate that a key belongs to.
func (s *sight) key(path string) {
	key := s.keys[path]
	if key == nil {
		s.detail[path] = "encrypted key; the certificate password is needed to use it and is not in the recovery point"
		s.good(path, "the key is encrypted; the certificate password is needed to use it")
		return
	}
	for _, f := range s.all() {
		if matches(key, f.Certificate) {
			s.good(path, "the key belongs to "+f.path)
			return
		}
	}
	s.bad(path, "the key belongs to no certificate here", "restore certificate and key from the same recovery point")
}

// chain verifies that a certificate leads to an authority, by way of the other
// certificates that were found.
func (s *sight) chain(f foundCertificate) {
	if len(s.authorities) == 0 {
		return
	}
	var between []*x509.Certificate
	for _, other := range s.all() {
		between = append(append(between, other.Certificate), other.rest...)
	}
	issuer, err := leads(f.Certificate, s.authorities, between)
	switch {
	case err == nil:
		s.good(f.path, "issued by "+issuer.Subject.String())
	case errors.Is(err, errUnchecked):
		s.note(f.path, err.Error(), "")
	default:
		s.bad(f.path, "not of this authority: "+err.Error(), "export the certificate again, or restore both from one recovery point")
	}
}

// leads follows issuers from a certificate to one of the authorities.
func leads(c *x509.Certificate, authorities []foundCertificate, between []*x509.Certificate) (*x509.Certificate, error) {
	var first error
	for range len(between) + 1 {
		for _, a := range authorities {
			err := issuedBy(c, a.Certificate)
			if err == nil {
				return a.Certificate, nil
			}
			if first == nil || errors.Is(err, errUnchecked) {
				first = err
			}
		}
		next := slices.IndexFunc(between, func(b *x509.Certificate) bool { return !b.Equal(c) && issuedBy(c, b) == nil })
		if next < 0 {
			break
		}
		c = between[next]
	}
	return nil, first
}

// names compares a server's certificate with this machine's name.
func (s *sight) names(f foundCertificate, fqdn, hostname string) {
	if len(f.ExtKeyUsage) > 0 && !slices.Contains(f.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(f.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return
	}
	names := slices.Clone(f.DNSNames)
	if len(names) == 0 && f.Subject.CommonName != "" {
		names = []string{f.Subject.CommonName} // certificates of before subjectAltName
	}
	for _, name := range names {
		for _, own := range []string{fqdn, hostname} {
			if nameFits(name, own) {
				s.good(f.path, "it is for "+own)
				return
			}
		}
	}
	s.warn(f.path, fmt.Sprintf("it is for %s, and this machine is %s", strings.Join(names, ", "), fqdn),
		"clients refuse a certificate of another name: give the machine its name back, or make a new server certificate")
}

// nameFits compares a certificate's name with a host's; *.domain stands for one label.
func nameFits(name, own string) bool {
	name, own = strings.ToLower(strings.TrimSuffix(name, ".")), strings.ToLower(strings.TrimSuffix(own, "."))
	if rest, wild := strings.CutPrefix(name, "*."); wild {
		_, domain, ok := strings.Cut(own, ".")
		return ok && domain == rest
	}
	return name == own
}

// revocations looks at a revocation list.
func (s *sight) revocations(path string) {
	list := s.lists[path]
	for _, f := range s.certificates {
		if string(f.RawIssuer) != string(list.RawIssuer) {
			continue
		}
		for _, entry := range list.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(f.SerialNumber) == 0 {
				s.bad(f.path, "it was revoked on "+entry.RevocationTime.UTC().Format(time.DateOnly)+" by "+path, "make a new certificate")
			}
		}
	}
	found := fmt.Sprintf("%d certificates revoked", len(list.RevokedCertificateEntries))
	s.detail[path] = found
	if !list.NextUpdate.IsZero() && s.now.After(list.NextUpdate) {
		s.note(path, "a newer revocation list was due on "+list.NextUpdate.UTC().Format(time.DateOnly), "make it again with the authority")
		return
	}
	s.good(path, found)
}
