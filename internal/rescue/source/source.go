// Package source is where a rescue system gets a recovery configuration from: how the
// address is found, what in it stands for this machine, and how the bytes come, over
// HTTP, NFS or from a file. Whether the bytes are to be trusted must not enter: they
// are bounded here and judged elsewhere.
package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/internal/strict"
)

// Where a medium says what it knows, and what it has seen.
const (
	MediumFile = "/etc/lifeboat/rescue.yaml"
	maxMedium  = 1 << 20
)

// Medium is rescue.yaml: what was decided when the rescue medium was made.
type Medium struct {
	// URL is where the recovery configuration is, with variables in it; a server
	// alone (https://fleet.example.com:8444) is a fleet server.
	URL string `yaml:"url,omitempty"`
	// Keys are the fleet's signing keys, as `lifeboat serve` prints them. Nothing
	// that another key has signed is ever used.
	Keys []string `yaml:"keys,omitempty"`
	// CA is a PEM file of the only authorities trusted for https.
	CA string `yaml:"ca,omitempty"`
	// AllowStatic lets a server answer with a file that was signed for no request in
	// particular. Whoever controls the network can then serve old ones, until they
	// expire.
	AllowStatic bool `yaml:"allow_static,omitempty"`
	// Update is where bundles for `lifeboat rescue update` are.
	Update string `yaml:"update,omitempty"`
}

// Validate checks what can be checked without the network.
func (m *Medium) Validate() error {
	var errs []error
	if m.CA != "" && !filepath.IsAbs(m.CA) {
		errs = append(errs, fmt.Errorf("ca: %q is not absolute", m.CA))
	}
	if m.URL != "" {
		if _, err := parse(m.URL); err != nil {
			errs = append(errs, fmt.Errorf("url: %w", err))
		}
	}
	return errors.Join(errs...)
}

// LoadMedium reads rescue.yaml. A file that is not there is fs.ErrNotExist; one that
// others than its owner may write is refused, for it says which keys count.
func LoadMedium(file string) (Medium, error) {
	var m Medium
	f, err := os.Open(file)
	if err != nil {
		return m, fmt.Errorf("read what the medium says: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return m, fmt.Errorf("read what the medium says: %w", err)
	case !info.Mode().IsRegular():
		return m, fmt.Errorf("%s is no file", file)
	case info.Mode().Perm()&0o022 != 0:
		return m, fmt.Errorf("%s may be written by others than its owner, and says which keys count (chmod go-w %s)", file, file)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxMedium+1))
	if err == nil && len(text) > maxMedium {
		err = fmt.Errorf("it has more than %d bytes", maxMedium)
	}
	if err != nil {
		return m, fmt.Errorf("read what the medium says in %s: %w", file, err)
	}
	doc, err := strict.Parse(file, text)
	if err != nil {
		return m, err
	}
	doc.Decode(doc.Root, &m)
	return m, doc.Err()
}

// parameters are by what a kernel command line names the address; of the first that
// is given the last value counts, as for the kernel itself.
var parameters = []string{"lifeboat.recovery_config_url", "RECOVERY_CONFIG_URL"}

// FromCommandLine finds the address on a kernel command line; "" if it is not there.
// Values may stand in double quotes (Documentation/admin-guide/kernel-parameters of
// the kernel). Nothing else is ever taken from it, and no key.
func FromCommandLine(text string) string {
	found := map[string]string{}
	for _, word := range words(text) {
		name, value, ok := strings.Cut(word, "=")
		if ok && value != "" {
			found[name] = value
		}
	}
	for _, p := range parameters {
		if v := found[p]; v != "" {
			return v
		}
	}
	return ""
}

// words are the parameters of a command line, without their double quotes.
func words(text string) []string {
	var all []string
	var word strings.Builder
	quoted, any := false, false
	for _, r := range text {
		switch {
		case r == '"':
			quoted, any = !quoted, true
		case !quoted && (r == ' ' || r == '\t' || r == '\n' || r == 0):
			if any {
				all = append(all, word.String())
			}
			word.Reset()
			any = false
		default:
			word.WriteRune(r)
			any = true
		}
	}
	if any {
		all = append(all, word.String())
	}
	return all
}

// CommandLine reads this machine's.
func CommandLine() string {
	f, err := os.Open("/proc/cmdline")
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, maxMedium))
	return string(text)
}

// Why bytes are refused before anybody looks at what they say.
var (
	ErrRedirect = errors.New("the server sends us to another place")
	ErrEncoded  = errors.New("the answer is compressed, which nobody asked for")
	ErrLarge    = errors.New("the answer is too large")
	ErrEndless  = errors.New("the answer does not end")
	ErrNoFile   = errors.New("it is no plain file")
	ErrAnswer   = errors.New("the answer is none of a fleet server")
	ErrTrust    = errors.New("the server's certificate is not to be trusted")
)

// Refused tells whether an error is one of them: trying again would not help, and
// somebody may be playing tricks.
func Refused(err error) bool {
	for _, e := range []error{ErrRedirect, ErrEncoded, ErrLarge, ErrEndless, ErrNoFile, ErrAnswer, ErrTrust} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// What a server says when it has nothing to give.
var (
	ErrUnknown = errors.New("this machine is not known there")
	ErrCode    = errors.New("the recovery code is not known there")
	ErrOther   = errors.New("the recovery code was made for another host")
	ErrSpent   = errors.New("the recovery code was used already, or has expired")
)

// readFile gives a plain file of at most so many bytes.
func readFile(name string, most int64) ([]byte, error) {
	// A FIFO would be waited for, so it is opened without that.
	f, err := os.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "read", Path: name, Err: ErrNoFile}
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%w: %s has more than %d bytes", ErrLarge, name, most)
	}
	return text, err
}
