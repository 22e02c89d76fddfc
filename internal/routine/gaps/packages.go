package gaps

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lifeboat/internal/host"
)

// shipped is what a package database says of a path.
type shipped struct {
	by     string // the package
	digest string // of the content, in hex; "" for what has none
	config bool
}

// ask reads the machine's package databases, dpkg's with what ucf(1) has put in
// place, and rpm's: the digests of configuration are in there.
func ask(ctx context.Context, h *host.Host) (map[string]shipped, []string, error) {
	known := map[string]shipped{}
	var managers []string
	for _, manager := range []struct {
		program string
		queries [][]string
		read    []func(io.Reader, map[string]shipped)
	}{
		{"dpkg-query", [][]string{
			// The pattern's star matches slashes too, dpkg-query(1).
			append([]string{"dpkg-query", "--search", "--"}, patterns()...),
			{"dpkg-query", "--show", "--showformat=${Package}\n${Conffiles}\n"},
		}, []func(io.Reader, map[string]shipped){readSearch, readConffiles}},
		{"rpm", [][]string{
			{"rpm", "--query", "--all", "--queryformat", "[%{=NAME}\t%{FILEFLAGS}\t%{FILEDIGESTS}\t%{FILENAMES}\n]"},
		}, []func(io.Reader, map[string]shipped){readFiles}},
	} {
		if _, err := h.Look(manager.program); err != nil {
			continue
		}
		before := len(known)
		for i, query := range manager.queries {
			out, err := h.Output(ctx, query...)
			var exit *host.ExitError
			if err != nil && !(errors.As(err, &exit) && exit.Code == 1) { // 1: nothing is known
				return nil, nil, fmt.Errorf("ask %s what is installed: %w", manager.program, err)
			}
			manager.read[i](bytes.NewReader(out), known)
		}
		if len(known) > before {
			managers = append(managers, strings.TrimSuffix(manager.program, "-query"))
		}
	}
	if err := readHashes(h, known); err != nil {
		return nil, nil, err
	}
	return known, managers, nil
}

// patterns are what dpkg is asked about: places, and all that is in them.
func patterns() []string {
	var list []string
	for _, place := range places {
		list = append(list, place, place+"/*")
	}
	return list
}

// verified adds what the package managers find changed when they compare all files of
// all packages; configuration was compared before.
func (s *search) verified(ctx context.Context, managers []string) error {
	for _, manager := range managers {
		words := []string{"dpkg", "--verify"}
		if manager == "rpm" {
			words = []string{"rpm", "--verify", "--all", "--nodeps", "--noscripts", "--nomtime"}
		}
		out, err := s.Host.Output(ctx, words...)
		var exit *host.ExitError
		if err != nil && !(errors.As(err, &exit) && exit.Code <= 2) { // it found something
			return fmt.Errorf("have %s compare the files of packages: %w", manager, err)
		}
		for _, at := range altered(bytes.NewReader(out)) {
			if is := s.known[at]; is.config || is.digest != "" || s.covered(at) || s.rules.ignores(at) {
				continue
			}
			s.gaps = append(s.gaps, Gap{Path: at, Kind: Changed, Package: s.known[at].by, Files: 1, Bytes: s.sizeOf(at)})
		}
	}
	return nil
}

// altered reads lines of nine flags, of which the third is 5 where the content is
// another one, perhaps a letter, and a path (rpm(8), dpkg(1)).
func altered(r io.Reader) []string {
	var list []string
	eachLine(r, func(line string) {
		if len(line) < 12 || line[2] != '5' {
			return
		}
		rest := strings.TrimLeft(line[9:], " ")
		if len(rest) > 2 && rest[0] != '/' && rest[1] == ' ' {
			rest = strings.TrimLeft(rest[1:], " ")
		}
		if strings.HasPrefix(rest, "/") {
			list = append(list, rest)
		}
	})
	return list
}

// eachLine calls do for every line; one that is too long for a path ends it, as no
// database has any.
func eachLine(r io.Reader, do func(line string)) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		do(lines.Text())
	}
}

// readSearch reads lines of package[, package]: path. A diversion has no package
// that ships it (dpkg-query(1), dpkg-divert(1)).
func readSearch(r io.Reader, known map[string]shipped) {
	eachLine(r, func(line string) {
		by, at, ok := strings.Cut(line, ": ")
		if !ok || !strings.HasPrefix(at, "/") || strings.HasPrefix(by, "diversion by ") {
			return
		}
		by, _, _ = strings.Cut(by, ",")
		by, _, _ = strings.Cut(by, ":") // of an architecture
		is := known[at]
		is.by = by
		known[at] = is
	})
}

// readConffiles reads packages, each followed by indented lines of path, MD5 and
// perhaps a word: obsolete ones are left from an earlier version (dpkg-query(1)).
func readConffiles(r io.Reader, known map[string]shipped) {
	by := ""
	eachLine(r, func(line string) {
		rest, indented := strings.CutPrefix(line, " ")
		if !indented {
			by = line
			return
		}
		rest = strings.TrimSuffix(strings.TrimSuffix(rest, " remove-on-upgrade"), " obsolete")
		i := strings.LastIndexByte(rest, ' ')
		if i < 0 || !strings.HasPrefix(rest, "/") {
			return
		}
		is := shipped{by: by, config: true}
		if sum := rest[i+1:]; isDigest(sum) { // newconffile is not there yet
			is.digest = sum
		}
		known[rest[:i]] = is
	})
}

// Flags of a file in rpm's database (rpmfiles.h).
const (
	rpmConfig = 1 << 0
	rpmGhost  = 1 << 6 // not shipped, but owned
)

// readFiles reads lines of package, flags, digest and path.
func readFiles(r io.Reader, known map[string]shipped) {
	eachLine(r, func(line string) {
		fields := strings.SplitN(line, "\t", 4)
		if len(fields) != 4 || !strings.HasPrefix(fields[3], "/") {
			return
		}
		flags, err := strconv.ParseUint(fields[1], 10, 32)
		if err != nil || flags&rpmConfig == 0 && !slices.ContainsFunc(places, func(p string) bool { return below(fields[3], p) }) {
			return
		}
		is := shipped{by: fields[0], config: flags&rpmConfig != 0}
		if flags&rpmGhost == 0 && isDigest(fields[2]) {
			is.digest = fields[2]
		}
		known[fields[3]] = is
	})
}

// hashes is where ucf keeps what it has put in place for packages: lines of MD5 and
// path (ucf(1)).
const hashes = "/var/lib/ucf/hashfile"

func readHashes(h *host.Host, known map[string]shipped) error {
	real, err := h.Path(hashes)
	if err != nil {
		return err
	}
	f, err := os.Open(real)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	eachLine(io.LimitReader(f, 64<<20), func(line string) {
		sum, at, ok := strings.Cut(line, " ")
		at = strings.TrimLeft(at, " ")
		if ok && isDigest(sum) && strings.HasPrefix(at, "/") && known[at].digest == "" {
			known[at] = shipped{by: known[at].by, digest: sum, config: true}
		}
	})
	return nil
}

func isDigest(text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil && hasher(text) != nil
}

// hasher is the hash of a digest of that length; nil for none that is known.
func hasher(digest string) hash.Hash {
	switch len(digest) {
	case 2 * md5.Size:
		return md5.New()
	case 2 * sha1.Size:
		return sha1.New()
	case 2 * sha256.Size:
		return sha256.New()
	case 2 * sha512.Size:
		return sha512.New()
	}
	return nil
}

// maxHashed is how large a file of configuration is that is compared, in bytes;
// whoever made it larger has changed it.
const maxHashed = 64 << 20

// unchanged tells whether the file is as it was shipped. Access times stay where the
// kernel allows that. What is no plain file any more is changed.
func (s shipped) unchanged(h *host.Host, at string) (same bool, size int64, err error) {
	real, err := h.Entry(at)
	if err != nil {
		return false, 0, err
	}
	info, err := os.Lstat(real)
	if errors.Is(err, unix.ENOTDIR) {
		err = fs.ErrNotExist
	}
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxHashed {
		if err == nil {
			size = info.Size()
		}
		return false, size, err
	}
	const flags = os.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK
	f, err := os.OpenFile(real, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		f, err = os.OpenFile(real, flags, 0)
	}
	if err != nil {
		return false, 0, err
	}
	defer f.Close()
	sum := hasher(s.digest)
	if _, err := io.Copy(sum, io.LimitReader(f, maxHashed+1)); err != nil {
		return false, 0, fmt.Errorf("read %s: %w", at, err)
	}
	return strings.EqualFold(hex.EncodeToString(sum.Sum(nil)), s.digest), info.Size(), nil
}
