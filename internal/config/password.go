package config

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"lifeboat/internal/host"
)

// maxPassword bounds a password, in bytes.
const maxPassword = 4096

// commandPatience is how long a command may take to print a password. It has no
// terminal, so one that asks somebody would wait for ever.
var commandPatience = time.Minute

// Password says where a secret is; exactly one way is given. The secret itself
// never stands in the configuration.
type Password struct {
	File       string   `yaml:"file,omitempty"`
	Command    []string `yaml:"command,omitempty"`    // prints it; arguments, no shell
	Env        string   `yaml:"env,omitempty"`        // environment variable
	Credential string   `yaml:"credential,omitempty"` // name of a systemd credential, systemd.exec(5)

	// Dir is where Command runs; "" is the root, as a configuration means the
	// same from wherever it is used.
	Dir string `yaml:"-"`
}

// Validate demands exactly one way.
func (p *Password) Validate() error {
	given := 0
	for _, set := range []bool{p.File != "", len(p.Command) > 0, p.Env != "", p.Credential != ""} {
		if set {
			given++
		}
	}
	switch {
	case given != 1:
		return errors.New("password needs exactly one of file, command, env, credential")
	case p.File != "" && !filepath.IsAbs(p.File):
		return fmt.Errorf("password file %q is not absolute", p.File)
	case strings.ContainsAny(p.Credential, "/\x00") || p.Credential == "..":
		return fmt.Errorf("credential %q is a name, not a path", p.Credential)
	}
	return nil
}

// IsZero tells whether no way is given at all.
func (p Password) IsZero() bool {
	return p.File == "" && len(p.Command) == 0 && p.Env == "" && p.Credential == ""
}

// ParseCommand reads a command in one string, as flags and the environment give
// it: words between blanks, or a YAML list, [program, "an argument"], as in the
// configuration. Nothing of it is interpreted by a shell.
func ParseCommand(text string) ([]string, error) {
	text = strings.TrimSpace(text)
	var words []string
	switch {
	case strings.HasPrefix(text, "["):
		if err := yaml.Load([]byte(text), &words); err != nil {
			return nil, errors.New("a command that begins with a bracket is a list: [program, \"an argument\"]")
		}
	case strings.ContainsAny(text, "\"'`\\$|;&<>"):
		return nil, errors.New("no shell reads the command: write it as a list, [program, \"an argument\"]")
	default:
		words = strings.Fields(text)
	}
	if len(words) == 0 || words[0] == "" {
		return nil, errors.New("the command is empty")
	}
	return words, nil
}

// Read returns the password, the same as restic takes from the same place: of
// files and credentials all text without the white space around it and without
// the mark of its encoding, of commands the same without looking for a mark, of
// the environment every byte. (Found by trying restic 0.14 out.) The caller
// clears it.
func (p Password) Read(ctx context.Context) ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	text, where, err := p.read(ctx)
	if err != nil {
		return nil, err
	}
	if p.File != "" || p.Credential != "" {
		text = decode(text)
	}
	if p.Env == "" {
		text = bytes.TrimSpace(text)
	}
	if len(text) == 0 {
		return nil, fmt.Errorf("the password in %s is empty: there must be a password and nothing else", where)
	}
	return text, nil
}

// decode makes UTF-8 of text with a byte order mark, as editors and shells of
// Windows write it. Other text stays as it is, byte for byte.
func decode(text []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return text[3:]
	case bytes.HasPrefix(text, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(text, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return text
	}
	var units []uint16
	for text = text[2:]; len(text) >= 2; text = text[2:] {
		units = append(units, order.Uint16(text))
	}
	if len(text) > 0 { // half a unit
		units = append(units, utf8.RuneError)
	}
	return []byte(string(utf16.Decode(units)))
}

// Warning says what about the place of the password a person should know
// although it can be used; "" if there is nothing.
func (p Password) Warning() string {
	if p.File == "" {
		return ""
	}
	info, err := os.Stat(p.File)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o040 == 0 {
		return ""
	}
	return fmt.Sprintf("password file %s may be read by its group (chmod 600 %s)", p.File, p.File)
}

func (p Password) read(ctx context.Context) (text []byte, where string, err error) {
	switch {
	case p.File != "":
		// Its group may read it, with a warning: backup operators often have one.
		text, err = readSecret(p.File, 0o037)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("password file %s is not there: write the password into it (umask 077), or copy it from where it is kept: %w", p.File, fs.ErrNotExist)
		}
		return text, p.File, err
	case p.Credential != "":
		return p.readCredential()
	case p.Env != "":
		value, ok := os.LookupEnv(p.Env)
		if !ok {
			return nil, "", fmt.Errorf("the environment variable %s, which holds the password, is not set", p.Env)
		}
		return []byte(value), "the environment variable " + p.Env, nil
	}
	return p.ask(ctx)
}

// readCredential reads what systemd has put into the directory of this unit's
// credentials. The directory is private to the unit; for a unit with User= the
// files in it show group bits, which are the mask of their ACL.
func (p Password) readCredential() ([]byte, string, error) {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return nil, "", fmt.Errorf("the credential %s is only there when systemd starts this program (LoadCredential=%s:FILE in the unit): CREDENTIALS_DIRECTORY is not set", p.Credential, p.Credential)
	}
	file := filepath.Join(dir, p.Credential)
	text, err := readSecret(file, 0o007)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("systemd has handed over no credential %s: %s is not there (LoadCredential=%s:FILE in the unit): %w", p.Credential, file, p.Credential, fs.ErrNotExist)
	}
	return text, file, err
}

// ask runs the command. What it prints is in no error.
func (p Password) ask(ctx context.Context) ([]byte, string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandPatience, errPatience)
	defer cancel()
	out := &secret{left: maxPassword}
	err := host.Local().Run(ctx, host.Command{Args: p.Command, Dir: p.Dir, Env: os.Environ(), Stdout: out})
	switch {
	case out.left < 0:
		return nil, "", fmt.Errorf("%s printed more than a password (at most %d bytes)", p.Command[0], maxPassword)
	case err != nil && context.Cause(ctx) == errPatience:
		return nil, "", fmt.Errorf("%s printed no password within %v: it has no terminal and must not ask", p.Command[0], commandPatience)
	case err != nil:
		return nil, "", fmt.Errorf("ask %s for the password: %w", p.Command[0], err)
	case len(out.text) == 0:
		return nil, "", fmt.Errorf("%s printed nothing: it must print the password on its standard output", p.Command[0])
	}
	return out.text, "what " + p.Command[0] + " prints", nil
}

var errPatience = errors.New("took too long")

// secret takes at most as many bytes as are left.
type secret struct {
	text []byte
	left int
}

func (s *secret) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left < 0 {
		return 0, io.ErrShortBuffer
	}
	s.text = append(s.text, p...)
	return len(p), nil
}

// readSecret reads a small file that has none of the forbidden permissions.
func readSecret(file string, forbidden fs.FileMode) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("read password: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("password file %s is a directory", file)
	case info.Mode().IsRegular() && info.Mode().Perm()&forbidden != 0:
		return nil, fmt.Errorf("password file %s may be used by others than its owner (chmod 600 %s)", file, file)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPassword+1))
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	if len(text) > maxPassword {
		return nil, fmt.Errorf("password file %s is larger than %d bytes", file, maxPassword)
	}
	return text, nil
}
