package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// How long certificates hold.
const (
	authorityFor = 20 * 365 * 24 * time.Hour // media and hosts have it pinned
	HostFor      = 365 * 24 * time.Hour
	serverFor    = 90 * 24 * time.Hour
	skew         = time.Hour // clocks differ
)

// RenewBefore is when a host asks for its next certificate: when so much of the
// present one's time is left.
const RenewBefore = HostFor / 3

func serial() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // it never fails, crypto/rand says
	return n
}

func selfSigned(key crypto.Signer, name string, now time.Time) (*x509.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Lifeboat fleet " + shorten(name)},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(authorityFor),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the authority's certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// shorten keeps a name within what a common name may have (RFC 5280, 64 characters).
func shorten(name string) string { return name[:min(len(name), 45)] }

// AuthorityPEM is the authority's certificate in PEM form.
func (k *Keys) AuthorityPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: k.Authority.Raw})
}

// Fingerprint is the SHA-256 of a certificate, in hexadecimal.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// KeyHash is what a host is known by: the SHA-256 of its public key as certificates
// hold it (SubjectPublicKeyInfo), in hexadecimal.
func KeyHash(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// ErrRequest says that a certificate was asked for in a way that is not granted.
var ErrRequest = errors.New("no certificate is given for that request")

// Certify gives a host a certificate for the key in its request (PKCS #10, DER).
// Only the key is taken from the request; the name is the server's word. It gives
// the certificate in PEM form and the hash of its key.
func (k *Keys) Certify(request []byte, id string, now time.Time) (certificate []byte, keyHash string, err error) {
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, "", fmt.Errorf("%w: it cannot be read", ErrRequest)
	}
	switch public := csr.PublicKey.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() && public.Curve != elliptic.P384() {
			return nil, "", fmt.Errorf("%w: the curve of its key is not taken", ErrRequest)
		}
	default:
		return nil, "", fmt.Errorf("%w: its key is neither ECDSA nor Ed25519", ErrRequest)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, "", fmt.Errorf("%w: it is not signed by its own key", ErrRequest)
	}
	made, err := k.issue(csr.PublicKey, &x509.Certificate{
		Subject:     pkix.Name{CommonName: id, OrganizationalUnit: []string{"Lifeboat host"}},
		NotAfter:    now.Add(HostFor),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, now)
	if err != nil {
		return nil, "", err
	}
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: made.Raw}), KeyHash(made), nil
}

func (k *Keys) issue(public crypto.PublicKey, template *x509.Certificate, now time.Time) (*x509.Certificate, error) {
	template.SerialNumber, template.NotBefore = serial(), now.Add(-skew)
	template.KeyUsage, template.BasicConstraintsValid = x509.KeyUsageDigitalSignature, true
	if template.NotAfter.After(k.Authority.NotAfter) {
		template.NotAfter = k.Authority.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, k.Authority, public, k.authority)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// Pool has the authority in it, to check the certificates of hosts against.
func (k *Keys) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(k.Authority)
	return pool
}

// ServerCertificate gives the server's own certificate to TLS: it is made in memory
// and made again when a third of its time is left, so nobody has to renew it. The
// authority is sent along, since hosts that join know only its fingerprint.
func (k *Keys) ServerCertificate() func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	var mu sync.Mutex
	var present *tls.Certificate
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if present != nil && now.Before(present.Leaf.NotAfter.Add(-serverFor/3)) {
			return present, nil
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		template := &x509.Certificate{
			Subject:     pkix.Name{CommonName: shorten(k.Names[0])},
			NotAfter:    now.Add(serverFor),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		for _, name := range k.Names {
			if ip := net.ParseIP(name); ip != nil {
				template.IPAddresses = append(template.IPAddresses, ip)
			} else {
				template.DNSNames = append(template.DNSNames, name)
			}
		}
		leaf, err := k.issue(&key.PublicKey, template, now)
		if err != nil {
			return nil, err
		}
		present = &tls.Certificate{Certificate: [][]byte{leaf.Raw, k.Authority.Raw}, PrivateKey: key, Leaf: leaf}
		return present, nil
	}
}
