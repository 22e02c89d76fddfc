package drill

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/component/certificates"
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
	_, foreign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	unusable := errors.New("the file is empty")
	for name, test := range map[string]struct {
		until                time.Time
		key                  crypto.Signer // nil for the authority's own
		err                  error
		elsewhere            bool
		unnamed              bool
		ok, warning, untried bool
		found                string
	}{
		"usable":                {until: later, ok: true, found: "signed and verified"},
		"usable, not named":     {until: later, unnamed: true, ok: true, found: "signed and verified"},
		"encrypted":             {until: later, err: certificates.ErrEncrypted, untried: true, found: EncryptedKey + ": /ca.key"},
		"other password":        {until: later, err: errPassword, warning: true, found: "not tried: the password that was given does not open /ca.key"},
		"saved elsewhere":       {until: later, err: errElsewhere, untried: true, found: "not tried: "},
		"missing":               {until: later, err: fs.ErrNotExist, found: "/ca.key was not restored"},
		"missing, elsewhere":    {until: later, err: fs.ErrNotExist, elsewhere: true, warning: true, found: "no key"},
		"empty":                 {until: later, err: unusable, found: "/ca.key: the file is empty"},
		"empty, elsewhere":      {until: later, err: unusable, elsewhere: true, found: "/ca.key: the file is empty"},
		"of another":            {until: later, key: foreign, found: "/ca.key is not the key of this certificate"},
		"of another, not named": {until: later, key: foreign, unnamed: true, warning: true, found: "no key"},
		"expired":               {until: time.Now().Add(-time.Hour), found: "valid from"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			der := authorityIn(t, dir, test.until)
			key := test.key
			if key == nil {
				if key, err = x509.ParseECPrivateKey(der); err != nil {
					t.Fatal(err)
				}
			}
			keys, others := []ownKey{{"/ca.key", key, test.err}}, []crypto.Signer(nil)
			if test.unnamed {
				keys, others = nil, []crypto.Signer{key}
			}
			file := filepath.Join(dir, "cacert.pem")
			saved, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			check := testAuthority(file, saved, keys, test.elsewhere, others)
			if check.OK != test.ok || check.Warning != test.warning || check.Skipped != test.untried || !strings.Contains(check.Found, test.found) {
				t.Errorf("%+v", check)
			}
			for _, saved := range [][]byte{nil, []byte("another")} {
				if check := testAuthority(file, saved, keys, test.elsewhere, others); check.OK || check.Warning || check.Skipped {
					t.Errorf("made anew: %+v", check)
				}
			}
		})
	}
	if check := testAuthority(filepath.Join(t.TempDir(), "missing"), nil, nil, false, nil); check.OK || check.Warning {
		t.Errorf("an authority that is missing: %+v", check)
	}
}

// The key's password opens it, another one does not, and without one it stays untried.
func TestPasswordOfAuthority(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("needs openssl, which encrypts and opens keys")
	}
	dir := t.TempDir()
	der := authorityIn(t, dir, time.Now().Add(time.Hour))
	plain, locked := filepath.Join(dir, "plain"), filepath.Join(dir, "ca.key")
	place(t, plain, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
	for _, args := range [][]string{
		{"pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:ca password", "-in", plain, "-out", locked},
		{"ec", "-aes128", "-passout", "pass:ca password", "-in", plain, "-out", locked},
	} {
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl: %v: %s", err, out)
		}
		if _, err := readOwn(t.Context(), locked, nil); !errors.Is(err, certificates.ErrEncrypted) {
			t.Errorf("without a password: %v", err)
		}
		if _, err := readOwn(t.Context(), locked, []byte("wrong")); !errors.Is(err, errPassword) {
			t.Errorf("another password: %v", err)
		}
		key, err := readOwn(t.Context(), locked, []byte("ca password"))
		if err != nil {
			t.Fatal(err)
		}
		own, err := x509.ParseECPrivateKey(der)
		if err != nil || !own.PublicKey.Equal(key.Public()) {
			t.Errorf("another key was opened: %v", err)
		}
	}
	found, err := findKeys([]string{dir, filepath.Join(dir, "missing")})
	if err != nil || len(found) != 1 {
		t.Errorf("%d keys, %v", len(found), err)
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
