package configuration

import (
	"bufio"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"syscall"

	"lifeboat/internal/host"
)

// pristine asks the machine's package database what a file was shipped as.
type pristine struct {
	host  *host.Host
	dpkg  map[string]string // path → MD5 in hex; nil until read
	hasIt bool              // rpm is installed
}

func newPristine(h *host.Host) *pristine {
	_, err := h.Look("rpm")
	return &pristine{host: h, hasIt: err == nil}
}

// unmodified tells whether the file at a path is known to be as its package
// ships it. Without a database, or for a file of no package, that is not known.
func (p *pristine) unmodified(ctx context.Context, path, real string) (bool, error) {
	want, err := p.digest(ctx, path)
	if want == "" || err != nil {
		return false, err
	}
	var h hash.Hash
	switch len(want) {
	case 2 * md5.Size:
		h = md5.New()
	case 2 * sha1.Size:
		h = sha1.New()
	case 2 * sha256.Size:
		h = sha256.New()
	default:
		return false, nil
	}
	sum, err := digestFile(real, h)
	return err == nil && sum == want, err
}

// digest is the shipped file's digest in hex, "" when it is not known.
func (p *pristine) digest(ctx context.Context, path string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if p.hasIt {
		out, err := p.host.Output(ctx, "rpm", "-q", "--dump", "-f", path)
		if ctx.Err() != nil {
			return "", err
		}
		if err == nil {
			return rpmDigest(string(out), path), nil
		}
		// A file that no package owns is an exit code other than 0.
	}
	if p.dpkg == nil {
		p.dpkg = map[string]string{}
		status, err := p.host.Path("/var/lib/dpkg/status")
		if err != nil {
			return "", err
		}
		f, err := os.Open(status)
		if errors.Is(err, os.ErrNotExist) {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("read package database: %w", err)
		}
		defer f.Close()
		if p.dpkg, err = conffiles(f); err != nil {
			return "", fmt.Errorf("read package database: %w", err)
		}
	}
	return p.dpkg[path], nil
}

// rpmDigest finds a path in rpm's --dump: path size mtime digest mode owner
// group isconfig isdoc rdev symlink, separated by spaces (rpm(8)).
func rpmDigest(dump, path string) string {
	for line := range strings.Lines(dump) {
		rest, ok := strings.CutPrefix(line, path+" ")
		if fields := strings.Fields(rest); ok && len(fields) == 10 {
			return fields[2]
		}
	}
	return ""
}

// conffiles reads the Conffiles fields of dpkg's status file: lines of a space,
// the path, the MD5 and perhaps "obsolete" (deb822(5), dpkg-query(1)).
func conffiles(r io.Reader) (map[string]string, error) {
	found := map[string]string{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxText)
	in := false
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, " ") {
			in = strings.TrimSpace(line) == "Conffiles:"
			continue
		}
		if fields := strings.Fields(line); in && len(fields) >= 2 && strings.HasPrefix(fields[0], "/") {
			found[fields[0]] = fields[1]
		}
	}
	return found, lines.Err()
}

func sumFile(real string) (string, error) { return digestFile(real, sha256.New()) }

func sumBytes(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func digestFile(real string, h hash.Hash) (string, error) {
	f, err := os.OpenFile(real, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", real, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
