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
	"slices"
	"strings"
	"time"

	"lifeboat/internal/component/certificates"
	"lifeboat/internal/host"
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
	record, err := r.point.Manifest.Component(spec.Name)
	if err != nil {
		return runbook.Step{}, false
	}
	// Only the component that has the authority itself, not one whose certificates it
	// has issued.
	var own []string
	for _, file := range r.authorities(spec) {
		for _, p := range record.Paths {
			if (file == p || below(file, p)) && !slices.Contains(own, file) {
				own = append(own, file)
			}
		}
	}
	if len(own) == 0 {
		return runbook.Step{}, false
	}
	return runbook.Step{
		ID: proofStage + "/authority-" + spec.Name, Title: "Sign a test certificate with the restored authority", Repeat: runbook.RepeatSafe,
		Run: func(ctx context.Context, task runbook.Task) error {
			named, elsewhere := r.authorityKeys(spec)
			keys, err := r.ownKeys(ctx, named)
			if err != nil {
				return err
			}
			others, err := findKeys(record.Paths)
			if err != nil {
				return err
			}
			for _, file := range own {
				if link, ok := r.leadsElsewhere(file); ok {
					task.Check(runbook.Check{Name: authorityCheck(file), Skipped: true, Found: "not tried: " + file + keptElsewhere(link)})
					continue
				}
				saved, err := r.saved(ctx, file)
				if err != nil {
					return err
				}
				if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) && saved == nil {
					task.Logf("neither the recovery point nor the recovered system has %s", file)
					continue
				}
				task.Check(testAuthority(file, saved, keys, elsewhere, others))
			}
			return nil
		},
	}, true
}

// saved is a small file as the point has it; nil when it has none.
func (r *rehearsal) saved(ctx context.Context, file string) ([]byte, error) {
	node, err := r.point.Find(ctx, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	content, err := r.point.OpenFile(ctx, node)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(io.LimitReader(content, maxKeyFile))
}

// authorities are the files that may hold the certificate of an authority: those that
// the component names, and for kinds that name none the one that the profile reads as a
// setting.
func (r *rehearsal) authorities(spec profile.Component) []string {
	if opts := r.certificates(spec); opts != nil {
		return opts.Authority
	}
	if file := r.point.Manifest.Settings["authority"]; strings.HasSuffix(file, ".pem") || strings.HasSuffix(file, ".crt") {
		return []string{file}
	}
	return nil
}

func authorityCheck(file string) string { return "authority " + file + " signs a certificate" }

// testAuthority says of an authority's certificate whether it is the saved one and can
// sign. Commands of a product may have made another. Keys are those that the profile
// names, or, where it names none, those that were found with the certificate. With
// elsewhere another machine may have the key.
func testAuthority(file string, saved []byte, keys []ownKey, elsewhere bool, others []crypto.Signer) runbook.Check {
	check := runbook.Check{Name: authorityCheck(file), Expected: "a certificate that it has signed is valid"}
	text, err := readSmall(file)
	var ca *x509.Certificate
	if err == nil {
		ca, err = parseCertificate(text)
	}
	if err != nil {
		check.Found = fmt.Sprintf("%s: %v", file, err)
		return check
	}
	if !bytes.Equal(text, saved) {
		check.Expected, check.Found = "the authority that was saved", "another one in "+file+", made while the system was recovered"
		check.Hint = "clients that trust the lost one do not trust this server: see that backups hold the authority"
		return check
	}
	if now := time.Now(); now.After(ca.NotAfter) || now.Before(ca.NotBefore) {
		check.Found = fmt.Sprintf("the authority's certificate is valid from %s to %s", ca.NotBefore.Format(time.DateOnly), ca.NotAfter.Format(time.DateOnly))
		check.Hint = "clients do not trust it: make a new authority and give its certificate to them"
		return check
	}
	var wrong []string
	var locked, shut, away *ownKey
	for _, own := range keys {
		switch {
		case errors.Is(own.err, certificates.ErrEncrypted):
			locked = &own
		case errors.Is(own.err, errPassword):
			shut = &own
		case errors.Is(own.err, errElsewhere):
			away = &own
		case errors.Is(own.err, fs.ErrNotExist) && elsewhere:
		case errors.Is(own.err, fs.ErrNotExist):
			wrong = append(wrong, own.path+" was not restored: it can issue nothing")
		case own.err != nil:
			wrong = append(wrong, fmt.Sprintf("%s: %v", own.path, own.err))
		case !certificates.Fits(own.key, ca):
			wrong = append(wrong, own.path+" is not the key of this certificate")
		default:
			return signed(check, ca, own.key)
		}
	}
	switch {
	case len(wrong) > 0:
		check.Found = strings.Join(wrong, "; ")
		check.Hint = "see that backups hold the authority's key; an older recovery point may have it"
		return check
	case shut != nil:
		check.Warning = true
		check.Found = "not tried: the password that was given does not open " + shut.path
		check.Hint = "it is another password, or the key was damaged after it was encrypted: try again with the right one"
		return check
	case away != nil:
		check.Skipped, check.Found = true, "not tried: "+away.err.Error()
		return check
	case locked != nil:
		check.Skipped = true
		check.Found = EncryptedKey + ": " + locked.path
		check.Hint = "whoever has the password can try it: lifeboat drill SYSTEM --ca-password-file FILE"
		return check
	}
	for _, key := range others {
		if certificates.Fits(key, ca) {
			return signed(check, ca, key)
		}
	}
	check.Warning, check.Found = true, "no key of it was restored: it can issue nothing"
	return check
}

func signed(check runbook.Check, ca *x509.Certificate, key crypto.Signer) runbook.Check {
	if err := sign(ca, key); err != nil {
		check.Found = err.Error()
		return check
	}
	check.OK, check.Found = true, "signed and verified"
	return check
}

func parseCertificate(text []byte) (*x509.Certificate, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, errors.New("it holds no certificate in PEM form")
}

func readSmall(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKeyFile))
}

// findKeys reads the private keys below the paths that need no password.
func findKeys(paths []string) ([]crypto.Signer, error) {
	var keys []crypto.Signer
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
			if key, err := certificates.ReadKey(host.Local(), at); err == nil {
				keys = append(keys, key)
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("look for keys: %w", err)
		}
	}
	return keys, nil
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
