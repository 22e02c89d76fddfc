package smt

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // a file name
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/lab/machine"
)

// createAuthority makes the CA directory as YaST's CA management lays it out:
// a CA and one server certificate, both keys encrypted with the password.
func createAuthority(hostname, password string) error {
	caKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "YaST Default CA (" + hostname + ")", Country: []string{"DE"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	if ca, err = x509.ParseCertificate(caDER); err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hostname},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), DNSNames: []string{hostname},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, server, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	sum := sha1.Sum(der) //nolint:gosec // a file name
	name := "01:" + hex.EncodeToString(sum[:])
	lockedCA, err := openssl(keyPEM(caKey), password, "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "fd:3")
	if err != nil {
		return err
	}
	lockedKey, err := openssl(keyPEM(key), password, "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "fd:3")
	if err != nil {
		return err
	}
	files := map[string]string{
		"cacert.pem": certPEM(caDER), "cacert.key": lockedCA, "newcerts/" + name + ".pem": certPEM(der), "keys/" + name + ".key": lockedKey,
		"index.txt": "V\t" + server.NotAfter.UTC().Format("060102150405Z") + "\t\t01\tunknown\t/CN=" + hostname + "\n", "serial": "02\n",
		"openssl.cnf.tmpl": "[ca]\ndefault_ca = CA_default\n", ".rand": "lab\n",
	}
	for path, text := range files {
		if err := machine.Write(filepath.Join(caDir, path), text, 0o600); err != nil {
			return err
		}
	}
	for _, dir := range []string{"certs", "crl", "keys", "newcerts", "req", ""} {
		if err := os.MkdirAll(filepath.Join(caDir, dir), 0o700); err != nil {
			return err
		}
		if err := os.Chmod(filepath.Join(caDir, dir), 0o700); err != nil {
			return err
		}
	}
	return nil
}

func certPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func keyPEM(key *rsa.PrivateKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

// openssl runs the tool on a key. The password goes through descriptor 3.
func openssl(in []byte, password string, args ...string) (string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	_, err = w.WriteString(password + "\n")
	w.Close()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("openssl", args...)
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr, cmd.ExtraFiles = bytes.NewReader(in), &errs, []*os.File{r}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("openssl %s: %w: %s", args[0], err, strings.TrimSpace(errs.String()))
	}
	return string(out), nil
}

// exportCertificate does what "Export as common server certificate" does.
func exportCertificate(hostname, password string) error {
	certs, err := filepath.Glob(filepath.Join(caDir, "newcerts", "*.pem"))
	if err != nil {
		return err
	}
	for _, file := range certs {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		block, _ := pem.Decode(raw)
		if block == nil {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		if cert.VerifyHostname(hostname) != nil {
			continue
		}
		locked, err := os.ReadFile(filepath.Join(caDir, "keys", strings.TrimSuffix(filepath.Base(file), ".pem")+".key"))
		if err != nil {
			return err
		}
		key, err := openssl(locked, password, "pkey", "-passin", "fd:3")
		if err != nil {
			return fmt.Errorf("wrong certificate password: %w", err)
		}
		ca, err := os.ReadFile(filepath.Join(caDir, "cacert.pem"))
		if err != nil {
			return err
		}
		for path, text := range map[string]string{serverCert: string(raw), "/etc/ssl/certs/YaST-CA.pem": string(ca)} {
			if err := machine.Write(path, text, 0o644); err != nil {
				return err
			}
		}
		return machine.Write(serverKey, key, 0o600)
	}
	return fmt.Errorf("%s holds no certificate for %s", caDir, hostname)
}

// caExport is a double for the export in YaST's CA management. It asks for the
// certificate password on standard input.
func caExport(_ *machine.Machine, c *machine.Call) int {
	hostname, err := os.Hostname()
	if err != nil {
		return c.Fail(1, "%v", err)
	}
	if len(c.Args) > 0 {
		hostname = c.Args[len(c.Args)-1]
	}
	c.Printf("Certificate password: ")
	password, err := readLine(c.Stdin)
	if err != nil {
		return c.Fail(1, "no password given: %v", err)
	}
	if err := exportCertificate(hostname, password); err != nil {
		return c.Fail(1, "\n%v", err)
	}
	c.Printf("\nCertificate has been written as common server certificate.\n")
	return 0
}
