package opsi

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"time"

	"lifeboat/internal/lab/machine"
)

// certificates makes opsi's own authority and the server's certificate where
// none are.
func certificates(m *machine.Machine) error {
	if machine.Exists(caCert) {
		return nil
	}
	hostname := m.Spec.Hostname
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "opsi CA", Organization: []string{"opsi@" + hostname}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(2, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		return err
	}
	if ca, err = x509.ParseCertificate(caDER); err != nil {
		return err
	}
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	address, _, _ := strings.Cut(m.Spec.Address, "/")
	server := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano() + 1), Subject: pkix.Name{CommonName: hostname}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 3, 0),
		DNSNames: []string{hostname, short(hostname), "localhost"}, IPAddresses: []net.IP{net.ParseIP(address), net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, server, ca, &own.PublicKey, key)
	if err != nil {
		return err
	}
	if err := makeDirs(adminOwner, 0o750, confDir+"/ssl"); err != nil {
		return err
	}
	return writeFiles([]file{
		{caCert, block("CERTIFICATE", caDER), 0o644, adminOwner},
		{caKey, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), 0o600, adminOwner},
		{serverCert, block("CERTIFICATE", der), 0o600, adminOwner},
		{serverKey, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(own)), 0o600, adminOwner},
	})
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
