package config

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"

	"lifeboat/internal/storage/limit"
	"lifeboat/internal/storage/open"
	"lifeboat/internal/strict"
)

// handleStore makes a document read the parts of a Store by their own rules.
func handleStore(doc *strict.Document) {
	strict.Handle(doc, func(node *yaml.Node, p *Password) { doc.Fill(node, p) })
	strict.Handle(doc, func(node *yaml.Node, l *Limit) { doc.Fill(node, l) })
	strict.Handle(doc, func(node *yaml.Node, s *S3) { doc.Fill(node, s) })
	strict.Handle(doc, func(node *yaml.Node, o *ObjectLock) { doc.Fill(node, o) })
	strict.Handle(doc, func(node *yaml.Node, s *SFTP) { doc.Fill(node, s) })
	strict.Handle(doc, func(node *yaml.Node, f *Files) {
		if node.Kind != yaml.ScalarNode {
			doc.Decode(node, (*[]string)(f))
			return
		}
		var one string
		doc.Decode(node, &one)
		*f = Files{one}
	})
	strict.Handle(doc, func(node *yaml.Node, r *REST) { doc.Fill(node, r) })
}

// Set changes single options, each given as KEY=VALUE or SECTION.KEY=VALUE with
// the keys of the configuration and values in YAML: s3.region=eu-central-1,
// rest.password={file: /etc/lifeboat/token}. What is not named stays, and what is
// named twice has the later value.
func (s *Store) Set(options []string) error {
	sections := map[string]map[string]string{}
	for _, option := range options {
		key, value, ok := strings.Cut(option, "=")
		section, name, nested := strings.Cut(key, ".")
		if !nested {
			section, name = "", key
		}
		if !ok || name == "" || value == "" || strings.ContainsAny(option, "\n\r") || strings.ContainsAny(key, " :{}[]#\"'") {
			return fmt.Errorf("option %q has not the form KEY=VALUE or SECTION.KEY=VALUE", key)
		}
		if sections[section] == nil {
			sections[section] = map[string]string{}
		}
		sections[section][name] = value
	}
	var text strings.Builder
	for _, section := range slices.Sorted(maps.Keys(sections)) { // those of no section first
		indent := ""
		if section != "" {
			fmt.Fprintf(&text, "%s:\n", section)
			indent = "  "
		}
		for _, name := range slices.Sorted(maps.Keys(sections[section])) {
			fmt.Fprintf(&text, "%s%s: %s\n", indent, name, sections[section][name])
		}
	}
	if text.Len() == 0 {
		return nil
	}
	doc, err := strict.Parse("option", []byte(text.String()))
	if err == nil {
		handleStore(doc)
		doc.Decode(doc.Root, s)
		err = doc.Err()
	}
	if err != nil {
		return fmt.Errorf("options: %w", unnumbered(err))
	}
	return nil
}

// unnumbered drops the lines of a text that nobody has seen.
func unnumbered(err error) error {
	problems, ok := err.(strict.Problems)
	if !ok {
		return err
	}
	texts := make([]string, len(problems))
	for i, p := range problems {
		texts[i] = p.Text
	}
	return fmt.Errorf("%s", strings.Join(texts, "; "))
}

// Options is what the store is opened with. Secrets are read when they are
// needed, the key of S3 now.
func (s *Store) Options(ctx context.Context) (open.Options, error) {
	up, err := s.Limit.Upload.Bytes()
	if err != nil {
		return open.Options{}, named("limit: upload", err)
	}
	down, err := s.Limit.Download.Bytes()
	if err != nil {
		return open.Options{}, named("limit: download", err)
	}
	opts := open.Options{CACert: s.CAFile, Fingerprint: s.Fingerprint, Limit: limit.New(up, down)}
	opts.Retry.For = s.RetryFor
	opts.S3.Region, opts.S3.StorageClass, opts.S3.Lookup = s.S3.Region, s.S3.StorageClass, s.S3.BucketLookup
	opts.S3.CredentialsFile, opts.S3.Profile = s.S3.CredentialsFile, s.S3.Profile
	opts.S3.Lock = s.ObjectLock.lock()
	if s.S3.SecretKey != nil {
		secret, err := s.S3.SecretKey.Read(ctx)
		if err != nil {
			return open.Options{}, named("s3: secret_key", err)
		}
		opts.S3.AccessKey, opts.S3.SecretKey = s.S3.AccessKey, string(secret)
	}
	opts.SFTP.KeyFile, opts.SFTP.KnownHosts = s.SFTP.KeyFile, s.SFTP.KnownHosts
	opts.SFTP.Passphrase = once(s.SFTP.Passphrase)
	opts.SFTP.Password = once(s.SFTP.Password)
	opts.REST.User = s.REST.User
	opts.REST.Password = once(s.REST.Password)
	return opts, nil
}

// once reads a secret when it is first asked for, and remembers it: a server is
// logged in to with every request, and the command behind a secret may be slow.
func once(p *Password) func(context.Context) ([]byte, error) {
	if p == nil {
		return nil
	}
	var mu sync.Mutex
	var known []byte
	return func(ctx context.Context) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		if known == nil {
			secret, err := p.Read(ctx)
			if err != nil {
				return nil, err
			}
			known = secret
		}
		return slices.Clone(known), nil // callers clear theirs
	}
}
