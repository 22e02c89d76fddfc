package config

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"lifeboat/internal/storage/limit"
	"lifeboat/internal/storage/s3"
	"lifeboat/internal/storage/transport"
)

// Store says how the store of a repository is reached and used. Every field may be
// missing.
type Store struct {
	// CAFile is a PEM file of the only authorities trusted for HTTPS.
	CAFile string `yaml:"ca_file,omitempty"`
	// Fingerprint is that of the only certificate trusted for HTTPS.
	Fingerprint string `yaml:"fingerprint,omitempty"`
	// RetryFor is how long a network or server that fails is borne with.
	RetryFor time.Duration `yaml:"retry_for,omitempty"`
	Limit    Limit         `yaml:"limit,omitempty"`
	// ObjectLock keeps what is written from being removed, in S3 alone.
	ObjectLock ObjectLock `yaml:"object_lock,omitempty"`
	S3         S3         `yaml:"s3,omitempty"`
	SFTP       SFTP       `yaml:"sftp,omitempty"`
	REST       REST       `yaml:"rest,omitempty"`
}

// Limit bounds what is transferred over a network.
type Limit struct {
	Upload   Speed `yaml:"upload,omitempty"`
	Download Speed `yaml:"download,omitempty"`
}

// Speed is a number of bytes a second as people write it: 10M, 512K, 1.5MiB.
// Empty is no limit.
type Speed string

// S3 says how object storage is used.
type S3 struct {
	Region       string `yaml:"region,omitempty"`
	StorageClass string `yaml:"storage_class,omitempty"`
	// BucketLookup says where the bucket's name stands in a request: in the
	// host's name (dns), in the path (path), or as the host needs it (auto).
	BucketLookup string `yaml:"bucket_lookup,omitempty" jsonschema:"enum=auto,enum=dns,enum=path"`
	// Profile is the section of the credentials file.
	CredentialsFile string    `yaml:"credentials_file,omitempty"`
	Profile         string    `yaml:"profile,omitempty"`
	AccessKey       string    `yaml:"access_key,omitempty"`
	SecretKey       *Password `yaml:"secret_key,omitempty"`
}

// ObjectLock says how S3 keeps new files from being removed, even by those who
// have our keys.
type ObjectLock struct {
	// Mode is governance, which users with a special right can lift, or
	// compliance, which nobody can.
	Mode string `yaml:"mode,omitempty" jsonschema:"enum=governance,enum=compliance"`
	Days int    `yaml:"days,omitempty"` // from when a file is written, or protected again
}

// Validate checks both fields together.
func (o *ObjectLock) Validate() error { return o.lock().Validate() }

func (o *ObjectLock) lock() s3.Lock { return s3.Lock{Mode: o.Mode, Days: o.Days} }

// SFTP says how we log in to a host.
type SFTP struct {
	KeyFile    string    `yaml:"key_file,omitempty"`
	Passphrase *Password `yaml:"passphrase,omitempty"` // of the key file
	Password   *Password `yaml:"password,omitempty"`   // where no key is taken
	KnownHosts Files     `yaml:"known_hosts,omitempty"`
}

// Files are paths: a list, or a single one.
type Files []string

// REST says how we log in to a REST server.
type REST struct {
	User     string    `yaml:"user,omitempty"`
	Password *Password `yaml:"password,omitempty"` // or a token
}

// ParseSize reads a number of bytes: 500G, 10M, 512K count in thousands, GiB,
// MiB and KiB in 1024s.
func ParseSize(text string) (int64, error) {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("%q is no number of bytes; write one like 500G, 10M or 512KiB", text)
	}
	return int64(n), nil
}

// Bytes is the speed in bytes a second, 0 for no limit.
func (s Speed) Bytes() (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := ParseSize(string(s))
	if err == nil && n < limit.Least {
		err = fmt.Errorf("%q is too slow for a limit; the least is %d bytes a second", string(s), limit.Least)
	}
	return n, err
}

// Validate checks both directions.
func (l *Limit) Validate() error {
	_, up := l.Upload.Bytes()
	_, down := l.Download.Bytes()
	return errors.Join(named("upload", up), named("download", down))
}

func named(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", key, err)
}

func absolute(key, path string) error {
	if path == "" || filepath.IsAbs(path) {
		return nil
	}
	return fmt.Errorf("%s: %q is not absolute", key, path)
}

// Validate checks what belongs together.
func (s *S3) Validate() error {
	errs := []error{absolute("credentials_file", s.CredentialsFile)}
	if (s.AccessKey == "") != (s.SecretKey == nil) {
		errs = append(errs, errors.New("access_key and secret_key belong together"))
	}
	if s.AccessKey != "" && (s.CredentialsFile != "" || s.Profile != "") {
		errs = append(errs, errors.New("keys come either from access_key and secret_key or from credentials_file and profile"))
	}
	return errors.Join(errs...)
}

// Validate checks the files.
func (s *SFTP) Validate() error {
	errs := []error{absolute("key_file", s.KeyFile)}
	for _, file := range s.KnownHosts {
		errs = append(errs, absolute("known_hosts", file))
	}
	if s.Passphrase != nil && s.KeyFile == "" {
		errs = append(errs, errors.New("passphrase is that of a key_file, which is missing"))
	}
	return errors.Join(errs...)
}

// Validate checks what belongs together.
func (r *REST) Validate() error {
	if r.Password != nil && r.User == "" {
		return errors.New("password is that of a user, who is missing")
	}
	return nil
}

// Fits tells what of the options has no meaning for a repository at this URL.
func (s *Store) Fits(url string) error {
	scheme, rest, _ := strings.Cut(url, ":")
	place := scheme + ": addresses"
	if !slices.Contains([]string{"s3", "sftp", "rest"}, scheme) {
		place = "a directory"
	}
	errs := []error{absolute("ca_file", s.CAFile)}
	only := func(key string, given bool, schemes ...string) {
		if given && !slices.Contains(schemes, scheme) {
			errs = append(errs, fmt.Errorf("%s has no meaning for %s, only for %s", key, place, strings.Join(schemes, ", ")))
		}
	}
	only("ca_file", s.CAFile != "", "s3", "rest")
	only("fingerprint", s.Fingerprint != "", "s3", "rest")
	only("retry_for", s.RetryFor != 0, "s3", "sftp", "rest")
	only("s3", s.S3 != (S3{}), "s3")
	only("object_lock", s.ObjectLock != (ObjectLock{}), "s3")
	only("sftp", s.SFTP.KeyFile != "" || s.SFTP.Passphrase != nil || s.SFTP.Password != nil || len(s.SFTP.KnownHosts) > 0, "sftp")
	only("rest", s.REST != (REST{}), "rest")
	if s.Fingerprint != "" {
		_, err := transport.ParseFingerprint(s.Fingerprint)
		errs = append(errs, named("fingerprint", err))
		if s.CAFile != "" {
			errs = append(errs, errors.New("ca_file and fingerprint: one of them is enough, as a fingerprint asks no authority"))
		}
	}
	if plain := strings.HasPrefix(rest, "http://") || strings.HasPrefix(rest, "http+unix:"); plain && (s.CAFile != "" || s.Fingerprint != "") {
		errs = append(errs, errors.New("ca_file and fingerprint are for https, not for http"))
	}
	return errors.Join(errs...)
}
