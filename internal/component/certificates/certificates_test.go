package certificates

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/component/componenttest"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// issuer is a certificate with its key.
type issuer struct {
	*x509.Certificate
	key crypto.Signer
}

var serial int64

// issue makes a certificate; by is nil for a self-signed one.
func issue(t testing.TB, by *issuer, change func(*x509.Certificate)) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial++
	name := "server"
	if by == nil {
		name = "authority"
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		IsCA: by == nil, BasicConstraintsValid: true, SubjectKeyId: []byte{byte(serial)},
	}
	if by == nil {
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	if change != nil {
		change(c)
	}
	parent := &issuer{c, key}
	if by != nil {
		parent = by
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent.Certificate, key.Public(), parent.key)
	must(t, err)
	made, err := x509.ParseCertificate(der)
	must(t, err)
	return &issuer{made, key}
}

func (i *issuer) write(t testing.TB, cert, key string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(cert), 0o755))
	must(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Raw}), 0o644))
	if key != "" {
		der, err := x509.MarshalPKCS8PrivateKey(i.key)
		must(t, err)
		must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	}
}

func hostName(c *x509.Certificate) {
	facts, err := host.Local().Facts(context.Background())
	if err == nil {
		c.DNSNames = []string{facts.FQDN}
	}
}

func spec(dir string) profile.Component {
	return profile.Component{Name: "certificates", Kind: "certificates", Importance: profile.Critical, Options: &Options{
		Paths: []string{dir + "/CAM", dir + "/ssl"}, Authority: []string{dir + "/CAM/CA/cacert.pem"}, AuthorityKey: []string{dir + "/CAM/CA/cacert.key"},
	}}
}

func TestConformance(t *testing.T) {
	authority := issue(t, nil, nil)
	server := issue(t, authority, hostName)
	other := issue(t, authority, hostName)
	componenttest.Run(t, componenttest.Fixture{
		Kind: Kind(),
		Spec: spec,
		Populate: func(t testing.TB, dir string) {
			must(t, os.RemoveAll(dir+"/CAM"))
			must(t, os.RemoveAll(dir+"/ssl"))
			authority.write(t, dir+"/CAM/CA/cacert.pem", dir+"/CAM/CA/cacert.key")
			server.write(t, dir+"/ssl/server.pem", dir+"/ssl/server.key")
			componenttest.Age(t, dir)
		},
		Alter: func(t testing.TB, dir string) {
			other.write(t, dir+"/ssl/server.pem", dir+"/ssl/server.key")
			must(t, os.Remove(dir+"/CAM/CA/cacert.key"))
		},
		Lose: func(t testing.TB, dir string) {
			must(t, os.RemoveAll(dir+"/CAM"))
			must(t, os.RemoveAll(dir+"/ssl"))
		},
		State: func(t testing.TB, dir string) string { return componenttest.Digest(t, dir+"/CAM", dir+"/ssl") },
		Every: 5,
	})
}

// looked is what a look at a directory finds, one sentence a finding.
func looked(t *testing.T, dir string) string {
	t.Helper()
	c, err := Kind().New(component.Env{Host: host.Local()}, spec(dir))
	must(t, err)
	var out []string
	for _, f := range c.(*Component).look(t.Context()).findings {
		mark := "ok "
		switch {
		case f.Note:
			mark = "note "
		case f.Warning:
			mark = "warning "
		case !f.OK:
			mark = "bad "
		}
		out = append(out, mark+strings.TrimPrefix(f.sentence(), dir))
	}
	return strings.Join(out, "\n")
}

func TestFindings(t *testing.T) {
	authority := issue(t, nil, nil)
	server := issue(t, authority, hostName)
	for _, c := range []struct {
		name    string
		prepare func(dir string)
		want    []string
		never   []string
	}{
		{"all well", func(string) {}, []string{"ok /ssl/server.pem: valid until", "ok /ssl/server.pem: issued by CN=authority", "ok /ssl/server.key: the key belongs", "ok /CAM/CA/cacert.key"}, []string{"bad", "warning", "note"}},
		{"another authority", func(dir string) { issue(t, nil, nil).write(t, dir+"/CAM/CA/cacert.pem", dir+"/CAM/CA/cacert.key") }, []string{"bad /ssl/server.pem: not of this authority"}, nil},
		{"wrong key", func(dir string) { issue(t, authority, nil).write(t, dir+"/x", dir+"/ssl/server.key") }, []string{"bad /ssl/server.key: the key belongs to no certificate"}, nil},
		{"expires soon", func(dir string) {
			issue(t, authority, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(48 * time.Hour) }).write(t, dir+"/ssl/server.pem", dir+"/ssl/server.key")
		}, []string{"warning /ssl/server.pem: expires on"}, []string{"bad"}},
		{"expired", func(dir string) {
			issue(t, authority, func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
			}).write(t, dir+"/ssl/server.pem", dir+"/ssl/server.key")
		}, []string{"warning /ssl/server.pem: expired on"}, nil},
		{"another name", func(dir string) {
			issue(t, authority, func(c *x509.Certificate) { c.DNSNames = []string{"elsewhere.example"} }).write(t, dir+"/ssl/server.pem", dir+"/ssl/server.key")
		}, []string{"warning /ssl/server.pem: it is for elsewhere.example"}, nil},
		{"by way of another", func(dir string) {
			between := issue(t, authority, func(c *x509.Certificate) { c.IsCA = true; c.Subject.CommonName = "between" })
			last := issue(t, between, hostName)
			last.write(t, dir+"/ssl/server.pem", dir+"/ssl/server.key")
			f, err := os.OpenFile(dir+"/ssl/server.pem", os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			must(t, pem.Encode(f, &pem.Block{Type: "CERTIFICATE", Bytes: between.Raw}))
			must(t, f.Close())
		}, []string{"ok /ssl/server.pem: issued by"}, []string{"bad"}},
		{"encrypted key", func(dir string) {
			must(t, os.WriteFile(dir+"/CAM/CA/cacert.key", []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,0011223344556677\n\nAAAAAAAAAAA=\n-----END RSA PRIVATE KEY-----\n"), 0o600))
		}, []string{"ok /CAM/CA/cacert.key: the key is encrypted; the certificate password is needed"}, []string{"bad"}},
		{"no key of the authority", func(dir string) { must(t, os.Remove(dir+"/CAM/CA/cacert.key")) }, []string{"warning /CAM/CA/cacert.key: the authority's key is not there"}, []string{"bad"}},
		{"an empty key", func(dir string) { must(t, os.WriteFile(dir+"/CAM/CA/cacert.key", nil, 0o600)) }, []string{"warning /CAM/CA/cacert.key: the authority's key cannot be used: the file is empty"}, []string{"bad"}},
		{"garbage for a key", func(dir string) { must(t, os.WriteFile(dir+"/CAM/CA/cacert.key", []byte("garbage\n"), 0o600)) }, []string{"warning /CAM/CA/cacert.key: the authority's key cannot be used: no private key"}, []string{"bad"}},
		{"garbage in a frame", func(dir string) {
			must(t, os.WriteFile(dir+"/CAM/CA/cacert.key", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), 0o600))
		}, []string{"warning /CAM/CA/cacert.key: the authority's key cannot be used: it says that it is an encrypted key"}, []string{"bad", "ok /CAM/CA/cacert.key"}},
		{"a cut key of the old form", func(dir string) {
			must(t, os.WriteFile(dir+"/CAM/CA/cacert.key", []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,0011223344556677\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"), 0o600))
		}, []string{"warning /CAM/CA/cacert.key: the authority's key cannot be used: it says that it is an encrypted key"}, []string{"bad", "ok /CAM/CA/cacert.key"}},
		{"the key of another", func(dir string) { server.write(t, dir+"/x", dir+"/CAM/CA/cacert.key") }, []string{"warning /CAM/CA/cacert.key: the key is not that of the authority"}, []string{"bad"}},
		{"damaged", func(dir string) {
			must(t, os.WriteFile(dir+"/ssl/server.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0o600))
		}, []string{"bad /ssl/server.pem: the certificate cannot be read"}, nil},
		{"missing authority", func(dir string) { must(t, os.Remove(dir+"/CAM/CA/cacert.pem")) }, []string{"bad /CAM/CA/cacert.pem: the authority's certificate cannot be read"}, nil},
		{"revoked", func(dir string) { revoke(t, authority, server, dir, time.Now().Add(time.Hour)) }, []string{"bad /ssl/server.pem: it was revoked on"}, nil},
		{"old revocation list", func(dir string) { revoke(t, authority, issue(t, authority, nil), dir, time.Now().Add(-time.Minute)) }, []string{"note /CAM/CA/crl/crl.pem: a newer revocation list was due"}, []string{"revoked on"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			authority.write(t, dir+"/CAM/CA/cacert.pem", dir+"/CAM/CA/cacert.key")
			server.write(t, dir+"/ssl/server.pem", dir+"/ssl/server.key")
			c.prepare(dir)
			got := looked(t, dir)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q is missing", want)
				}
			}
			for _, never := range c.never {
				if strings.Contains(got, never) {
					t.Errorf("%q was found", never)
				}
			}
			if t.Failed() {
				t.Log("\n" + got)
			}
		})
	}
}

func revoke(t *testing.T, by, what *issuer, dir string, next time.Time) {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: next,
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: what.SerialNumber, RevocationTime: time.Now().Add(-time.Hour)}},
	}, by.Certificate, by.key)
	must(t, err)
	must(t, os.MkdirAll(dir+"/CAM/CA/crl", 0o755))
	must(t, os.WriteFile(dir+"/CAM/CA/crl/crl.pem", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), 0o644))
}

// TestOldAlgorithms looks at what a server of 2010 has.
func TestOldAlgorithms(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("needs openssl, which makes SHA-1 and 1024-bit certificates")
	}
	dir := t.TempDir()
	must(t, os.MkdirAll(dir+"/CAM/CA", 0o755))
	must(t, os.MkdirAll(dir+"/ssl", 0o755))
	for _, args := range [][]string{
		{"req", "-x509", "-newkey", "rsa:1024", "-nodes", "-sha1", "-subj", "/CN=YaST Default CA", "-days", "900", "-keyout", dir + "/CAM/CA/cacert.key", "-out", dir + "/CAM/CA/cacert.pem"},
		{"req", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=old.example", "-keyout", dir + "/ssl/server.key", "-out", dir + "/request"},
		{"x509", "-req", "-sha1", "-in", dir + "/request", "-CA", dir + "/CAM/CA/cacert.pem", "-CAkey", dir + "/CAM/CA/cacert.key", "-CAcreateserial", "-days", "800", "-out", dir + "/ssl/server.pem"},
		{"rsa", "-aes128", "-passout", "pass:x", "-in", dir + "/CAM/CA/cacert.key", "-out", dir + "/CAM/CA/cacert.key"},
	} {
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", args[0], err, out)
		}
	}
	got := looked(t, dir)
	for _, want := range []string{
		"note /ssl/server.pem: it is signed with SHA-1", "note /ssl/server.pem: its RSA key has only 1024 bits",
		"ok /ssl/server.pem: issued by CN=YaST Default CA", "ok /ssl/server.key: the key belongs", "ok /CAM/CA/cacert.key: the key is encrypted",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

func TestPredicate(t *testing.T) {
	dir := t.TempDir()
	authority := issue(t, nil, nil)
	authority.write(t, dir+"/ca.pem", dir+"/ca.key")
	issue(t, nil, nil).write(t, dir+"/other.pem", dir+"/other.key")
	issue(t, authority, nil).write(t, dir+"/server.pem", dir+"/server.key")
	issue(t, authority, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	}).write(t, dir+"/old.pem", dir+"/old.key")
	must(t, os.WriteFile(dir+"/text", []byte("no certificate"), 0o644))
	p := Predicate()
	for _, c := range []struct {
		name string
		o    PredicateOptions
		want bool
		why  string
	}{
		{"there", PredicateOptions{File: dir + "/server.pem"}, true, "valid until"},
		{"by the authority, with the key", PredicateOptions{File: dir + "/server.pem", IssuedBy: dir + "/ca.pem", Key: dir + "/server.key"}, true, "CN=authority, with its key"},
		{"by another", PredicateOptions{File: dir + "/server.pem", IssuedBy: dir + "/other.pem"}, false, "signature"},
		{"another key", PredicateOptions{File: dir + "/server.pem", Key: dir + "/other.key"}, false, "does not belong"},
		{"missing", PredicateOptions{File: dir + "/none.pem"}, false, "not there"},
		{"no authority there", PredicateOptions{File: dir + "/server.pem", IssuedBy: dir + "/none.pem"}, false, "not there"},
		{"no key there", PredicateOptions{File: dir + "/server.pem", Key: dir + "/none.key"}, false, "not there"},
		{"expired", PredicateOptions{File: dir + "/old.pem"}, false, "expired"},
		{"expected to be expired", PredicateOptions{File: dir + "/old.pem", Expired: true}, true, "expired"},
		{"not expired", PredicateOptions{File: dir + "/server.pem", Expired: true}, false, "valid until"},
		{"text", PredicateOptions{File: dir + "/text"}, false, "no certificate"},
		{"a key for a certificate", PredicateOptions{File: dir + "/server.key"}, false, "no certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, why, err := p.Holds(t.Context(), profile.Scope{Host: host.Local()}, &c.o)
			if err != nil || got != c.want || !strings.Contains(why, c.why) {
				t.Errorf("holds %v, %q, %v; want %v, %q", got, why, err, c.want, c.why)
			}
		})
	}
}

func TestHeld(t *testing.T) {
	dir := t.TempDir()
	authority := issue(t, nil, nil)
	server := issue(t, authority, func(c *x509.Certificate) { c.NotAfter = time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC) })
	authority.write(t, dir+"/CAM/CA/cacert.pem", dir+"/CAM/CA/cacert.key")
	server.write(t, dir+"/ssl/server.pem", dir+"/ssl/server.key")
	var bundle []byte
	for range maxChain + 1 {
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw})...)
	}
	must(t, os.WriteFile(dir+"/ssl/bundle.pem", bundle, 0o600))
	c, err := Kind().New(component.Env{Host: host.Local()}, spec(dir))
	must(t, err)
	got := c.(*Component).Held(t.Context())
	if len(got) != 2 || got[0].Path != dir+"/CAM/CA/cacert.pem" || !got[0].Authority || got[0].Subject != "CN=authority" {
		t.Fatalf("%+v", got)
	}
	want := Held{Path: dir + "/ssl/server.pem", Subject: "CN=server", Print: sum(server.Raw), Until: server.NotAfter}
	if got[1] != want || got[0].Print == got[1].Print {
		t.Errorf("%+v", got[1])
	}
	if got := HeldIn(host.Local(), dir+"/ssl/server.pem"); len(got) != 1 || got[0] != want {
		t.Errorf("%+v", got)
	}
	for _, none := range []string{dir + "/ssl/server.key", dir + "/ssl/bundle.pem", dir + "/none.pem", dir} {
		if got := HeldIn(host.Local(), none); len(got) != 0 {
			t.Errorf("%s: %+v", none, got)
		}
	}
}

func TestNameFits(t *testing.T) {
	for _, c := range []struct {
		name, own string
		want      bool
	}{
		{"smt1.example.com", "SMT1.example.com", true},
		{"*.example.com", "smt1.example.com", true},
		{"*.example.com", "a.b.example.com", false},
		{"*.example.com", "example.com", false},
		{"smt1", "smt1", true},
		{"", "smt1", false},
	} {
		if got := nameFits(c.name, c.own); got != c.want {
			t.Errorf("%q fits %q: %v", c.name, c.own, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	authority := issue(f, nil, nil)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw}))
	f.Add(authority.Raw)
	f.Add([]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if certs, err := parseCertificates(data); err == nil {
			for _, c := range certs {
				weaknesses(c)
				validity(c, time.Now())
				_ = issuedBy(c, certs[0])
			}
		}
		_, _ = parseKey(data)
		_, _ = parseRevocations(data)
	})
}
