package rename

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/host"
)

// apply renames a file. That it was there, and that none had its new name, is kept
// below aside.
func (m move) apply(h *host.Host, aside string) error {
	for _, name := range []string{m.from, m.to} {
		if err := h.KeepFile(name, filepath.Join(aside, name)); err != nil {
			return err
		}
	}
	from, err := h.Path(m.from)
	if err != nil {
		return err
	}
	return os.Rename(from, filepath.Join(filepath.Dir(from), path.Base(m.to)))
}

// remove takes a file away after it was copied below aside.
func remove(h *host.Host, name, aside string) error {
	present, err := h.Path(name)
	if err != nil {
		return err
	}
	if err := h.KeepFile(name, filepath.Join(aside, name)); err != nil {
		return err
	}
	err = os.Remove(present)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// signed tells whether a file is worth nothing once it is changed: certificates,
// keys, and the vendor's licences.
func signed(name string) bool {
	switch path.Ext(name) {
	case ".pem", ".crt", ".key", ".opsilic", ".srl":
		return true
	}
	base := path.Base(name)
	return base == "modules" || slices.Contains(strings.Split(path.Dir(name), "/"), "ssl")
}

// madeOut tells whether one of the certificates in PEM text is made out to a host.
func madeOut(data []byte, id string) bool {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err == nil && (c.Subject.CommonName == id || slices.Contains(c.DNSNames, id)) {
			return true
		}
	}
	return false
}

const asideHead = `-- The rows of the host that had the server's new id. Give that host another id in
-- all of them before you load them: this one is the server's now.
`

// writeAside keeps the statements that bring removed rows back. What an earlier
// run has written stays: by then the rows may be gone.
func writeAside(file string, statements []string) error {
	if len(statements) == 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(asideHead + strings.Join(statements, "\n") + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}
