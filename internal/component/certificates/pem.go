package certificates

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"lifeboat/internal/host"
)

// maxFile bounds a certificate, key or revocation list file, in bytes.
const maxFile = 8 << 20

// ErrEncrypted says that a private key can be used only with its password.
var ErrEncrypted = errors.New("the key is encrypted; the certificate password is needed to use it")

// errNone says that a file has nothing of the sort.
var errNone = errors.New("none found")

// readFile reads a small regular file of the machine, following links inside
// the machine.
func readFile(h *host.Host, path string) ([]byte, error) {
	real, err := h.Path(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(real, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("no file of a certificate's size")}
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// parseCertificates reads all certificates of a PEM file, text around them
// left out, or the one of a DER file.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	rest := data
	for block := (*pem.Block)(nil); ; {
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 && len(data) > 0 && data[0] == 0x30 { // an ASN.1 sequence
		if c, err := x509.ParseCertificate(data); err == nil {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no certificate in it: %w", errNone)
	}
	return all, nil
}

// parseKey reads the first private key of a PEM file, in the forms of PKCS #1,
// SEC 1 and PKCS #8. ErrEncrypted for one under a password.
func parseKey(data []byte) (crypto.Signer, error) {
	rest := data
	for block := (*pem.Block)(nil); ; {
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("no private key in it: %w", errNone)
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, encrypted(block)
		}
		var key any
		var err error
		switch block.Type {
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		default:
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		}
		if err != nil {
			return nil, err
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("a %T cannot sign", key)
		}
		return signer, nil
	}
}

// matches tells whether a key belongs to a certificate.
func matches(key crypto.Signer, c *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(c.PublicKey)
}

// parseRevocations reads a certificate revocation list, PEM or DER.
func parseRevocations(data []byte) (*x509.RevocationList, error) {
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	return x509.ParseRevocationList(data)
}
