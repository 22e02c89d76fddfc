// Package open turns a repository's URL into a store. It alone knows all sorts
// of stores; package storage knows only the local one, and no sort knows another.
package open

import (
	"context"
	"fmt"
	"strings"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/limit"
	"lifeboat/internal/storage/redact"
	"lifeboat/internal/storage/rest"
	"lifeboat/internal/storage/retry"
	"lifeboat/internal/storage/s3"
	"lifeboat/internal/storage/sftp"
	"lifeboat/internal/storage/stall"
	"lifeboat/internal/storage/transport"
)

// Options says how stores are opened. The zero value takes everything from the
// environment and the usual files, as restic does.
type Options struct {
	// ReadOnly refuses every write with storage.ErrReadOnly.
	ReadOnly bool
	// CACert is a PEM file of the only authorities trusted for HTTPS; empty for
	// those of the system.
	CACert string
	// Fingerprint is that of the only certificate trusted for HTTPS; empty for
	// the usual checks.
	Fingerprint string
	// Limit bounds what is transferred; nil for no bound.
	Limit *limit.Limit
	// Stall is the least progress of a transfer; stall.Default if not set.
	Stall stall.Limit
	// Retry says how patiently failures of networks and servers are borne with;
	// retry.Default if not set.
	Retry retry.Policy

	// What is special to a sort of store. What stands above need not be repeated
	// there.
	S3   s3.Options
	SFTP sftp.Options
	REST rest.Options
}

// Schemes are the sorts of stores, as the beginnings of their URLs.
var Schemes = []string{"local", "rest", "s3", "sftp"}

// Open returns the store that a URL names, in restic's notation: a path,
// local:PATH, rest:URL, s3:HOST/BUCKET/PREFIX or sftp:USER@HOST:PATH. Nothing
// behind a network is spoken to, and nothing is created, before the first
// operation.
func Open(ctx context.Context, address string, opts Options) (storage.Store, error) {
	scheme, _, _ := strings.Cut(address, ":")
	var store storage.Store
	var err error
	switch scheme {
	case "s3":
		store, err = opts.s3(address)
	case "sftp":
		store, err = opts.sftp(address)
	case "rest":
		store, err = opts.rest(address)
	default:
		return storage.Open(ctx, address, storage.Options{ReadOnly: opts.ReadOnly, Limit: opts.Limit})
	}
	if err != nil {
		return nil, fmt.Errorf("repository %s: %w", redact.URL(address), err)
	}
	return retry.New(store, opts.Retry), nil
}

func (o Options) transport(own transport.Options) transport.Options {
	if own.CACert == "" {
		own.CACert = o.CACert
	}
	if own.Fingerprint == "" {
		own.Fingerprint = o.Fingerprint
	}
	if own.Limit == nil {
		own.Limit = o.Limit
	}
	own.Stall = own.Stall.Or(o.Stall)
	return own
}

func (o Options) s3(address string) (storage.Store, error) {
	place, err := s3.ParseURL(address)
	if err != nil {
		return nil, err
	}
	opts := o.S3
	opts.ReadOnly = opts.ReadOnly || o.ReadOnly
	opts.Transport = o.transport(opts.Transport)
	return s3.Open(place, opts)
}

func (o Options) sftp(address string) (storage.Store, error) {
	place, err := sftp.ParseURL(address)
	if err != nil {
		return nil, err
	}
	opts := o.SFTP
	opts.ReadOnly = opts.ReadOnly || o.ReadOnly
	opts.Stall = opts.Stall.Or(o.Stall)
	if opts.Limit == nil {
		opts.Limit = o.Limit
	}
	return sftp.Open(place, opts)
}

func (o Options) rest(address string) (storage.Store, error) {
	place, err := rest.ParseURL(address)
	if err != nil {
		return nil, err
	}
	opts := o.REST
	opts.ReadOnly = opts.ReadOnly || o.ReadOnly
	opts.Transport = o.transport(opts.Transport)
	return rest.Open(place, opts)
}
