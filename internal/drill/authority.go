package drill

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/component/certificates"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
)

// Bounds of what is looked at for an authority's key.
const (
	maxKeyFile  = 64 << 10
	maxKeyFiles = 20_000
)

// authority is the proof that a restored authority can issue certificates: it signs
// one that nobody will ever see.
func (r *rehearsal) authority(spec profile.Component) (runbook.Step, bool) {
	expanded, err := profile.ExpandOptions(spec.Options, r.point.Manifest.Settings)
	if err != nil {
		return runbook.Step{}, false
	}
	opts, ok := expanded.(*certificates.Options)
	if !ok || len(opts.Authority) == 0 {
		return runbook.Step{}, false
	}
	record, err := r.point.Manifest.Component(spec.Name)
	if err != nil {
		return runbook.Step{}, false
	}
	// Only the component that has the authority itself, not one whose certificates it
	// has issued.
	var own []string
	for _, a := range opts.Authority {
		for _, p := range record.Paths {
			if a == p || below(a, p) {
				own = append(own, a)
			}
		}
	}
	if len(own) == 0 {
		return runbook.Step{}, false
	}
	return runbook.Step{
		ID: proofStage + "/authority-" + spec.Name, Title: "Sign a test certificate with the restored authority", Repeat: runbook.RepeatSafe,
		Run: func(_ context.Context, task runbook.Task) error {
			keys, encrypted, err := findKeys(record.Paths)
			if err != nil {
				return err
			}
			for _, file := range own {
				task.Check(testAuthority(file, keys, encrypted))
			}
			return nil
		},
	}, true
}

// testAuthority says of an authority's certificate whether it can sign.
func testAuthority(file string, keys []crypto.Signer, encrypted []string) runbook.Check {
	check := runbook.Check{Name: "authority " + file + " signs a certificate", Expected: "a certificate that it has signed is valid"}
	ca, err := readCertificate(file)
	if err != nil {
		check.Found = err.Error()
		return check
	}
	if now := time.Now(); now.After(ca.NotAfter) || now.Before(ca.NotBefore) {
		check.Found = fmt.Sprintf("the authority's certificate is valid from %s to %s", ca.NotBefore.Format(time.DateOnly), ca.NotAfter.Format(time.DateOnly))
		check.Hint = "clients do not trust it: make a new authority and give its certificate to them"
		return check
	}
	type comparable interface{ Equal(crypto.PublicKey) bool }
	for _, key := range keys {
		if public, ok := key.Public().(comparable); ok && public.Equal(ca.PublicKey) {
			if err := sign(ca, key); err != nil {
				check.Found = err.Error()
				return check
			}
			check.OK, check.Found = true, "signed and verified"
			return check
		}
	}
	if len(encrypted) > 0 {
		check.OK = true
		check.Expected = "a key that is there"
		check.Found = EncryptedKey + ": " + encrypted[0]
		check.Hint = "whoever has the password can try it: openssl rsa -noout -check -in " + encrypted[0]
		return check
	}
	check.Warning, check.Found = true, "no key of it was restored: it can issue nothing"
	return check
}

// EncryptedKey is how a check begins that could not try an authority's key.
const EncryptedKey = "not tried: the key is encrypted, and only its password shows that it is usable"

func readCertificate(file string) (*x509.Certificate, error) {
	text, err := readSmall(file)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
}

func readSmall(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKeyFile))
}

// findKeys reads the private keys below the paths, and names the files of those that a
// password protects.
func findKeys(paths []string) (keys []crypto.Signer, encrypted []string, err error) {
	looked := 0
	for _, path := range paths {
		err := filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			if info, err := entry.Info(); err != nil || info.Size() > maxKeyFile {
				return err
			}
			if looked++; looked > maxKeyFiles {
				return fs.SkipAll
			}
			text, err := readSmall(at)
			if err != nil || !bytes.Contains(text, []byte("PRIVATE KEY")) {
				return err
			}
			for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
				switch {
				case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
					encrypted = append(encrypted, at)
				case strings.HasSuffix(block.Type, "PRIVATE KEY"):
					if key, ok := parseKey(block.Bytes); ok {
						keys = append(keys, key)
					}
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("look for keys: %w", err)
		}
	}
	return keys, encrypted, nil
}

func parseKey(der []byte) (crypto.Signer, bool) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		signer, ok := key.(crypto.Signer)
		return signer, ok
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, true
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, true
	}
	return nil, false
}

// sign makes a certificate for a key that is thrown away, and verifies it.
func sign(ca *x509.Certificate, key crypto.Signer) error {
	subject, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "lifeboat drill"},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour), DNSNames: []string{"drill.invalid"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, subject.Public(), key)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	if _, err := made.Verify(x509.VerifyOptions{Roots: roots, DNSName: "drill.invalid"}); err != nil {
		return fmt.Errorf("what it signed is not valid: %w", err)
	}
	return nil
}
