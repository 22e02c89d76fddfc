package certificates

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	_ "crypto/md5" // for old signatures
	"crypto/rsa"
	_ "crypto/sha1" // for old signatures
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// soon is when an expiry is warned of.
const soon = 30 * 24 * time.Hour

// errUnchecked says that Go's libraries refuse a signature for its algorithm.
var errUnchecked = errors.New("the signature cannot be verified, its algorithm is out of use")

// issuedBy verifies that a certificate names this issuer and carries its
// signature. Times and purposes are not looked at. Old servers have
// certificates signed with SHA-1 or MD5, which crypto/x509 only reads (the
// GODEBUG setting x509sha1 is gone): for those the RSA signature is verified
// here, because the question is whose certificate it is, not whether to trust it.
func issuedBy(c, issuer *x509.Certificate) error {
	if !bytes.Equal(c.RawIssuer, issuer.RawSubject) {
		return fmt.Errorf("it was issued by %q, not by %q", c.Issuer, issuer.Subject)
	}
	var hash crypto.Hash
	switch c.SignatureAlgorithm {
	case x509.SHA1WithRSA:
		hash = crypto.SHA1
	case x509.MD5WithRSA:
		hash = crypto.MD5
	default:
		return judged(issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature), issuer)
	}
	key, ok := issuer.PublicKey.(*rsa.PublicKey)
	if !ok {
		return errors.New("the issuer's key does not fit the signature")
	}
	if key.N.BitLen() < 1024 { // crypto/rsa refuses such keys
		return errUnchecked
	}
	sum := hash.New()
	sum.Write(c.RawTBSCertificate)
	return judged(rsa.VerifyPKCS1v15(key, hash, sum.Sum(nil), c.Signature), issuer)
}

func judged(err error, issuer *x509.Certificate) error {
	var insecure x509.InsecureAlgorithmError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &insecure), errors.Is(err, x509.ErrUnsupportedAlgorithm):
		return errUnchecked
	}
	return fmt.Errorf("it has no signature of this %q: %w", issuer.Subject, err)
}

// weaknesses lists what is out of date about a certificate.
func weaknesses(c *x509.Certificate) []string {
	var weak []string
	switch c.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
		weak = append(weak, "it is signed with SHA-1, which newer systems refuse")
	case x509.MD5WithRSA, x509.MD2WithRSA:
		weak = append(weak, "it is signed with MD5 or MD2, which systems refuse")
	}
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 {
			weak = append(weak, fmt.Sprintf("its RSA key has only %d bits", bits))
		}
	case *ecdsa.PublicKey:
		if bits := key.Params().BitSize; bits < 256 {
			weak = append(weak, fmt.Sprintf("its elliptic curve has only %d bits", bits))
		}
	}
	if c.PublicKeyAlgorithm == x509.DSA {
		weak = append(weak, "it has a DSA key")
	}
	return weak
}

// validity tells how a certificate stands at a time: not yet valid or expired
// are failures, an expiry within 30 days a warning.
func validity(c *x509.Certificate, now time.Time) (ok, warning bool, text string) {
	until := c.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case now.Before(c.NotBefore):
		return false, false, "not valid before " + c.NotBefore.UTC().Format(time.DateOnly)
	case now.After(c.NotAfter):
		return false, false, "expired on " + until
	case now.Add(soon).After(c.NotAfter):
		return false, true, "expires on " + until
	}
	return true, false, "valid until " + until
}
