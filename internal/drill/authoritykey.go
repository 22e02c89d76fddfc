package drill

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"lifeboat/internal/component"
	"lifeboat/internal/component/certificates"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
)

// EncryptedKey is how a check begins that could not try an authority's key.
const EncryptedKey = "not tried: the key is encrypted, and only its password shows that it is usable"

// What keeps a key from being tried, and says nothing against it.
var (
	errElsewhere = errors.New("what is there is not in the recovery point")
	errPassword  = errors.New("the password that was given does not open it")
)

// leadsElsewhere is the link of any component by which a path leads to what is saved
// elsewhere.
func (r *rehearsal) leadsElsewhere(path string) (component.Link, bool) {
	for _, record := range r.point.Manifest.Components {
		if link, ok := record.LeadsElsewhere(path); ok {
			return link, true
		}
	}
	return component.Link{}, false
}

func keptElsewhere(link component.Link) string {
	return " leads to " + link.Target + ", which is saved elsewhere"
}

// ownKey is what was found at the place of an authority's own key.
type ownKey struct {
	path string
	key  crypto.Signer
	err  error
}

// certificates are the component's options, if it is one of certificates.
func (r *rehearsal) certificates(spec profile.Component) *certificates.Options {
	expanded, err := profile.ExpandOptions(spec.Options, r.point.Manifest.Settings)
	if err != nil {
		return nil
	}
	opts, _ := expanded.(*certificates.Options)
	return opts
}

// authorityKeys are the files of the authority's own key, and whether it may be kept
// elsewhere. Kinds that name none have it in a setting.
func (r *rehearsal) authorityKeys(spec profile.Component) (paths []string, elsewhere bool) {
	if opts := r.certificates(spec); opts != nil {
		return slices.DeleteFunc(slices.Clone(opts.AuthorityKey), func(p string) bool { return p == "" }), opts.AuthorityKeyMissingOK
	}
	if file := r.point.Manifest.Settings["authority_key"]; file != "" {
		return []string{file}, true
	}
	return nil, true
}

// ownKeys reads the keys, of those that the point has: the live machine's does not help.
func (r *rehearsal) ownKeys(ctx context.Context, paths []string) ([]ownKey, error) {
	var keys []ownKey
	for _, path := range paths {
		own := ownKey{path: path}
		if link, ok := r.leadsElsewhere(path); ok {
			own.err = fmt.Errorf("%s%s: %w", path, keptElsewhere(link), errElsewhere)
			keys = append(keys, own)
			continue
		}
		_, err := r.point.Find(ctx, path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			own.err = fs.ErrNotExist
		case err != nil:
			return nil, err
		default:
			own.key, own.err = readOwn(ctx, path, r.CAPassword)
		}
		keys = append(keys, own)
	}
	return keys, nil
}

// readOwn reads a key, an encrypted one with the password if there is one. openssl opens
// it, for it knows all the forms that such keys have had; password and key go through
// pipes.
func readOwn(ctx context.Context, path string, password []byte) (crypto.Signer, error) {
	local := host.Local()
	key, err := certificates.ReadKey(local, path)
	if !errors.Is(err, certificates.ErrEncrypted) || len(password) == 0 {
		return key, err
	}
	if _, err := local.Look("openssl"); err != nil {
		return nil, fmt.Errorf("the key cannot be opened with its password: %w", err)
	}
	text, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	var plain []byte
	defer func() { clear(plain) }()
	// openssl before 1.0 has no pkey.
	for _, verb := range []string{"pkey", "rsa"} {
		if plain, err = openKey(ctx, verb, text, password); err == nil {
			return certificates.ParseKey(plain)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, errPassword
}

func openKey(ctx context.Context, verb string, text, password []byte) ([]byte, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer from.Close()
	_, err = to.Write(append(slices.Clone(password), '\n')) // less than a pipe holds
	if err = errors.Join(err, to.Close()); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = host.Local().Run(ctx, host.Command{
		Args: []string{"openssl", verb, "-passin", "fd:3"}, Stdin: bytes.NewReader(text), Stdout: &out, Files: []*os.File{from},
	})
	return out.Bytes(), err
}
