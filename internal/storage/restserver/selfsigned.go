package restserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
)

// selfSignedFor is how long a certificate made here is valid. Clients trust its
// fingerprint, or hold a copy of it: nothing would be gained by an early end.
const selfSignedFor = 10 * 365 * 24 * time.Hour

// SelfSigned makes a certificate that is its own authority, for host names and
// addresses, and its key (0600), in PEM files. Where both are there already they
// stay, whatever their names. One without the other is an error.
func SelfSigned(certFile, keyFile string, names []string) (made bool, err error) {
	_, certErr := os.Lstat(certFile)
	_, keyErr := os.Lstat(keyFile)
	switch {
	case certErr == nil && keyErr == nil:
		return false, nil
	case certErr == nil || keyErr == nil:
		return false, fmt.Errorf("of %s and %s there is only one; restore the other, or remove it to have both made anew", certFile, keyFile)
	}
	if err := errors.Join(notThere(certErr), notThere(keyErr)); err != nil {
		return false, err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return false, fmt.Errorf("make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return false, fmt.Errorf("make a certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Lifeboat repositories"},
		NotBefore:             time.Now().Add(-time.Hour), // clocks differ
		NotAfter:              time.Now().Add(selfSignedFor),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return false, fmt.Errorf("make a certificate: %w", err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return false, fmt.Errorf("make a key: %w", err)
	}
	for _, out := range []struct {
		file  string
		mode  fs.FileMode
		block *pem.Block
	}{
		{keyFile, 0o600, &pem.Block{Type: "PRIVATE KEY", Bytes: key}},
		{certFile, 0o644, &pem.Block{Type: "CERTIFICATE", Bytes: cert}},
	} {
		if err := os.MkdirAll(filepath.Dir(out.file), 0o700); err != nil {
			return false, fmt.Errorf("write certificate: %w", err)
		}
		if err := renameio.WriteFile(out.file, pem.EncodeToMemory(out.block), out.mode, renameio.IgnoreUmask()); err != nil {
			return false, fmt.Errorf("write certificate: %w", err)
		}
	}
	return true, nil
}

func notThere(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
