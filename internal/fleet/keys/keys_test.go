package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fleet/secret"
)

func create(t *testing.T) (*Keys, string) {
	t.Helper()
	s, err := NewSettings("", []string{"fleet.example.com", "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "fleet")
	k, err := Create(dir, s, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return k, dir
}

func TestCreateAndOpen(t *testing.T) {
	k, dir := create(t)
	opened, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if opened.SigningKey() != k.SigningKey() || opened.Recipient() != k.Recipient() || !opened.Authority.Equal(k.Authority) || opened.URL != "https://fleet.example.com:8444" {
		t.Errorf("%+v is not %+v", opened.Settings, k.Settings)
	}
	if _, err := Create(dir, k.Settings, time.Now()); !errors.Is(err, ErrExist) {
		t.Errorf("keys were made over keys: %v", err)
	}
	for _, secret := range []string{authorityKeyFile, signingFile, ageFile, AdministratorFile, settingsFile} {
		path := filepath.Join(dir, secret)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has %v, %v", secret, info.Mode(), err)
		}
		if secret == AdministratorFile {
			continue
		}
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("%s that others read was taken: %v", secret, err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
}

func TestKeysOfTwoFleetsAreNotMixed(t *testing.T) {
	_, one := create(t)
	_, other := create(t)
	text, err := os.ReadFile(filepath.Join(other, authorityFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(one, authorityFile), text, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(one); err == nil || !strings.Contains(err.Error(), "is not the key of") {
		t.Errorf("it was taken: %v", err)
	}
}

func TestToken(t *testing.T) {
	_, dir := create(t)
	token, err := secret.ReadToken(filepath.Join(dir, AdministratorFile))
	if err != nil || !strings.HasPrefix(token, "lfa_") || len(token) < 40 {
		t.Errorf("%q %v", token, err)
	}
	if one, other := secret.NewToken("x"), secret.NewToken("x"); one == other || len(secret.HashToken(token)) != 64 {
		t.Error("tokens are not random, or their hash is none")
	}
}

func TestCertify(t *testing.T) {
	k, _ := create(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// What the request asks for beside its key counts for nothing.
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "other"}, DNSNames: []string{"fleet.example.com"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	text, hash, err := k.Certify(csr, "0123", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if c.Subject.CommonName != "0123" || len(c.DNSNames) != 0 || c.IsCA || hash != KeyHash(c) {
		t.Errorf("%v %v", c.Subject, c.DNSNames)
	}
	if _, err := c.Verify(x509.VerifyOptions{Roots: k.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if _, err := c.Verify(x509.VerifyOptions{Roots: k.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err == nil {
		t.Error("a host may pass for the server")
	}
	damaged := append([]byte(nil), csr...)
	damaged[len(damaged)-1] ^= 1
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, weak)
	if err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string][]byte{"damaged": damaged, "nothing": nil, "RSA": other} {
		if _, _, err := k.Certify(request, "0123", time.Now()); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServerCertificate(t *testing.T) {
	k, _ := create(t)
	get := k.ServerCertificate()
	c, err := get(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fleet.example.com", "192.0.2.1"} {
		if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: k.Pool(), DNSName: name}); err != nil {
			t.Error(err)
		}
	}
	if again, err := get(nil); err != nil || again != c {
		t.Errorf("it was made anew: %v", err)
	}
}

func TestSettings(t *testing.T) {
	for _, bad := range []struct {
		url   string
		names []string
	}{{"http://fleet.example.com", nil}, {"", nil}, {"https://a/b", nil}, {"https://u:p@a", nil}, {"", []string{"a b"}}, {"", []string{"a\nb"}}} {
		if s, err := NewSettings(bad.url, bad.names); err == nil {
			t.Errorf("%+v was taken as %+v", bad, s)
		}
	}
	s, err := NewSettings("https://fleet.example.com/", []string{"localhost"})
	if err != nil || s.URL != "https://fleet.example.com" || len(s.Names) != 2 {
		t.Errorf("%+v %v", s, err)
	}
}
