package drill

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// authorityIn makes an authority that is valid until then, and returns its key.
func authorityIn(t *testing.T, dir string, until time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	place(t, filepath.Join(dir, "cacert.pem"), "text before\n"+string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	own, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

func place(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAuthority(t *testing.T) {
	foreign := func(t *testing.T) string {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	later := time.Now().Add(time.Hour)
	for name, test := range map[string]struct {
		until       time.Time
		key         func(t *testing.T, own []byte) string
		ok, warning bool
		found       string
	}{
		"usable": {later, func(_ *testing.T, own []byte) string {
			return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: own}))
		}, true, false, "signed and verified"},
		"encrypted": {later, func(*testing.T, []byte) string {
			return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("x")}))
		}, true, false, EncryptedKey},
		"encrypted, PKCS 8": {later, func(*testing.T, []byte) string {
			return string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))
		}, true, false, EncryptedKey},
		"of another": {later, func(t *testing.T, _ []byte) string { return foreign(t) }, false, true, "no key"},
		"garbage":    {later, func(*testing.T, []byte) string { return "-----BEGIN PRIVATE KEY-----\nx" }, false, true, "no key"},
		"expired": {time.Now().Add(-time.Hour), func(_ *testing.T, own []byte) string {
			return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: own}))
		}, false, false, "valid from"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			own := authorityIn(t, dir, test.until)
			place(t, filepath.Join(dir, "cacert.key"), test.key(t, own))
			keys, encrypted, err := findKeys([]string{dir, filepath.Join(dir, "missing")})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "cacert.pem")
			saved, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			check := testAuthority(file, saved, keys, encrypted)
			if check.OK != test.ok || check.Warning != test.warning || !strings.Contains(check.Found, test.found) {
				t.Errorf("%+v", check)
			}
			for _, saved := range [][]byte{nil, []byte("another")} {
				if check := testAuthority(file, saved, keys, encrypted); check.OK || check.Warning {
					t.Errorf("made anew: %+v", check)
				}
			}
		})
	}
	if check := testAuthority(filepath.Join(t.TempDir(), "missing"), nil, nil, nil); check.OK || check.Warning {
		t.Errorf("an authority that is missing: %+v", check)
	}
}

func TestOutermost(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("elsewhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	got := outermost([]string{dir, dir + "/below", dir + "/link", dir + "x", "/srv/www", "/srv/www/htdocs"})
	if want := []string{dir, dir + "/link", dir + "x", "/srv/www"}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestMemory(t *testing.T) {
	for text, want := range map[string]int64{
		"MemTotal: 10 kB\nMemFree: 2 kB\nMemAvailable:    4 kB\n": 4 << 10,
		"MemFree: 2 kB\nCached: 4 kB\n":                           4 << 10,
		"MemFree: 2 kB\n":                                         2 << 10,
	} {
		if got, err := memAvailable(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	if _, err := memAvailable("nothing"); err == nil {
		t.Error("nothing was understood")
	}
}

// What a dead process has left goes, what a living one holds stays.
func TestSweep(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: removes sandboxes")
	}
	state := t.TempDir()
	for _, id := range []string{"dead", "kept", "held"} {
		c, err := claim(state, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(c.box(), "layers"), 0o700); err != nil {
			t.Fatal(err)
		}
		switch id {
		case "dead":
			c.lock.Close()
		case "kept":
			if err := c.keep(); err != nil {
				t.Fatal(err)
			}
		case "held":
			defer c.lock.Close()
		}
	}
	if _, err := claim(state, "held"); err == nil {
		t.Error("a drill was claimed twice")
	}
	if removed, err := Sweep(state, false); err != nil || !slices.Equal(removed, []string{"dead"}) {
		t.Errorf("%v, %v", removed, err)
	}
	if removed, err := Sweep(state, true); err != nil || !slices.Equal(removed, []string{"kept"}) {
		t.Errorf("%v, %v", removed, err)
	}
	if removed, err := Sweep(filepath.Join(state, "none"), true); err != nil || removed != nil {
		t.Errorf("%v, %v", removed, err)
	}
}
