// Package certificates is the component kind for a certificate authority and
// the certificates made with it. They are captured and restored as files, by
// kind files; what is added here is looking at them: chain, keys, expiry, names
// and revocation. Making certificates does not belong here.
package certificates

import (
	"context"
	"errors"

	"lifeboat/internal/component"
	"lifeboat/internal/component/files"
	"lifeboat/internal/profile"
)

// Options are the kind's keys in a profile.
type Options struct {
	// Paths are captured as files, say the directory of an authority. The
	// certificates, keys and revocation lists right in them are looked at.
	Paths []string `yaml:"paths" json:"paths" pattern:"true" jsonschema:"required"`
	// Exclude leaves entries out, as in kind files.
	Exclude []string `yaml:"exclude,omitempty" json:"exclude,omitempty" pattern:"true"`
	// MissingOK makes a path that is not on the machine no error.
	MissingOK bool `yaml:"missing_ok,omitempty" json:"missing_ok,omitempty"`
	// Authority names the authority's certificates. What is found beside them is
	// looked at, and certificates found must have been issued by one of them.
	// They are captured only when they are below a path.
	Authority []string `yaml:"authority,omitempty" json:"authority,omitempty" path:"true"`
	// AuthorityKey names the authority's own private key. Without it, or with one that
	// cannot be used, the authority issues nothing: a backup warns and a drill fails.
	AuthorityKey []string `yaml:"authority_key,omitempty" json:"authority_key,omitempty" path:"true"`
	// AuthorityKeyMissingOK makes a key that is not on the machine no error, where
	// another machine may be the authority.
	AuthorityKeyMissingOK bool `yaml:"authority_key_missing_ok,omitempty" json:"authority_key_missing_ok,omitempty"`
}

// Validate checks what a profile says.
func (o *Options) Validate() error {
	plain := o.plain()
	return errors.Join(plain.Validate(), files.ValidatePatterns("authority", o.Authority, true), files.ValidatePatterns("authority_key", o.AuthorityKey, true))
}

// Kind describes the kind to the registry.
func Kind() component.Kind {
	return files.Derived("certificates", "a certificate authority and server certificates, with their keys",
		(*Options).plain,
		func(plain *files.Component, env component.Env, spec profile.Component, options Options) component.Component {
			return &Component{Component: plain, env: env, spec: spec, options: options}
		})
}

// plain are the options of the files below.
func (o *Options) plain() files.Options {
	return files.Options{Paths: o.Paths, Exclude: o.Exclude, MissingOK: o.MissingOK}
}

// Component is the certificates of one system. Capturing, restoring, rolling
// back and extracting are those of kind files.
type Component struct {
	*files.Component
	env     component.Env
	spec    profile.Component
	options Options
}

// Inspect adds what the certificates say to what kind files finds.
func (c *Component) Inspect(ctx context.Context) (component.Inspection, error) {
	in, err := c.Component.Inspect(ctx)
	if err != nil || !in.Present {
		return in, err
	}
	in.Detail = map[string]string{}
	seen := c.look(ctx)
	for _, f := range seen.findings {
		if !f.OK {
			in.Warnings = append(in.Warnings, f.sentence())
		}
	}
	for key, value := range seen.detail {
		in.Detail[key] = value
	}
	return in, ctx.Err()
}

// Detail is what the kind keeps in the manifest.
type Detail struct {
	files.Detail
	Certificates []Held `json:"certificates,omitempty"`
}

// Capture stores the files, notes which certificates they are, and warns of what is
// wrong with them.
func (c *Component) Capture(ctx context.Context, sink component.Sink) (component.Captured, error) {
	got, plain, err := c.CaptureFiles(ctx, sink)
	if err != nil {
		return got, err
	}
	seen := c.look(ctx)
	for _, f := range seen.findings {
		if !f.OK && !f.Note {
			got.Warnings = append(got.Warnings, f.sentence())
		}
	}
	got.Detail = Detail{Detail: plain, Certificates: seen.held()}
	return got, nil
}

// Check compares the files with the record and then the certificates with each
// other and with this machine.
func (c *Component) Check(ctx context.Context, record component.Record) ([]component.Check, error) {
	checks, err := c.Component.Check(ctx, record)
	if err != nil {
		return nil, err
	}
	for _, f := range c.look(ctx).findings {
		f.Name = c.spec.Name + ": " + f.Name
		if f.Note {
			f.OK, f.Warning = true, false
		}
		checks = append(checks, f.Check)
	}
	return checks, ctx.Err()
}
