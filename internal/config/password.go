package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/internal/host"
)

// maxPassword bounds a password, in bytes.
const maxPassword = 4096

// Password says where a secret is; exactly one way is given. The secret itself
// never stands in the configuration.
type Password struct {
	File       string   `yaml:"file,omitempty"`       // its first line
	Command    []string `yaml:"command,omitempty"`    // prints it; arguments, no shell
	Env        string   `yaml:"env,omitempty"`        // environment variable
	Credential string   `yaml:"credential,omitempty"` // name of a systemd credential, systemd.exec(5)
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

// Read returns the password without the end of its line. The caller clears it.
func (p Password) Read(ctx context.Context) ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	text, where, err := p.read(ctx)
	if err != nil {
		return nil, err
	}
	text, _, _ = bytes.Cut(text, []byte("\n"))
	text = bytes.TrimSuffix(text, []byte("\r"))
	if len(text) == 0 {
		return nil, fmt.Errorf("the password in %s is empty", where)
	}
	return text, nil
}

func (p Password) read(ctx context.Context) (text []byte, where string, err error) {
	switch {
	case p.File != "":
		text, err = readSecret(p.File)
		return text, p.File, err
	case p.Credential != "":
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return nil, "", fmt.Errorf("the credential %s is only there when systemd starts this program (LoadCredential=)", p.Credential)
		}
		file := filepath.Join(dir, p.Credential)
		text, err = readSecret(file)
		return text, file, err
	case p.Env != "":
		value, ok := os.LookupEnv(p.Env)
		if !ok {
			return nil, "", fmt.Errorf("the environment variable %s, which holds the password, is not set", p.Env)
		}
		return []byte(value), "the environment variable " + p.Env, nil
	}
	text, err = host.Local().Output(ctx, p.Command...)
	if err != nil {
		return nil, "", fmt.Errorf("ask %s for the password: %w", p.Command[0], err)
	}
	if len(text) > maxPassword {
		return nil, "", fmt.Errorf("%s printed more than a password", p.Command[0])
	}
	return text, "what " + p.Command[0] + " prints", nil
}

// readSecret reads a small file that nobody but its owner may read.
func readSecret(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
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
