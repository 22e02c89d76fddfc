package sles

import (
	"context"
	"os"
	"path/filepath"
)

// signer is whom packages and repositories are signed by.
const signer = "build@suse.example"

// keyring is a GnuPG home with the lab's own key. The public one is in key.asc.
type keyring struct{ home string }

func (k keyring) public() string { return filepath.Join(k.home, "key.asc") }

// newKeyring makes a key into dir.
func newKeyring(ctx context.Context, dir string) error {
	return withGPG(ctx, func(k keyring) error {
		for _, args := range [][]string{
			{"--quick-gen-key", "SUSE Package Signing Key (of the lab) <" + signer + ">", "rsa2048", "sign", "never"},
			{"--armor", "--output", k.public(), "--export", signer},
		} {
			if err := run(ctx, "", nil, "gpg", append([]string{"--homedir", k.home, "--batch", "--quiet", "--passphrase", ""}, args...)...); err != nil {
				return err
			}
		}
		return run(ctx, "", nil, "cp", "-a", "--no-preserve=ownership", k.home+"/key.asc", k.home+"/private-keys-v1.d", k.home+"/pubring.kbx", k.home+"/trustdb.gpg", dir)
	})
}

// use calls f with a copy of the key ring: GnuPG keeps a process for each home,
// and one that is used at several places could not be ended at either.
func (k keyring) use(ctx context.Context, f func(keyring) error) error {
	return withGPG(ctx, func(own keyring) error {
		if err := run(ctx, "", nil, "cp", "-a", k.home+"/.", own.home); err != nil {
			return err
		}
		return f(own)
	})
}

func withGPG(ctx context.Context, f func(keyring) error) (err error) {
	home, err := os.MkdirTemp("", "lab-gpg-") // its sockets need a short name
	if err != nil {
		return err
	}
	k := keyring{home}
	defer func() {
		// The process ends by itself when its home is gone; this is sooner.
		_ = run(context.WithoutCancel(ctx), "", nil, "gpgconf", "--homedir", home, "--kill", "all")
		if gone := os.RemoveAll(home); err == nil {
			err = gone
		}
	}()
	return f(k)
}

// sign makes name.asc, a detached signature.
func (k keyring) sign(ctx context.Context, name string) error {
	return run(ctx, "", nil, "gpg", "--homedir", k.home, "--batch", "--quiet", "--yes", "--armor", "--local-user", signer, "--detach-sign", name)
}

// signPackages puts signatures into rpm files.
func (k keyring) signPackages(ctx context.Context, names []string) error {
	args := append([]string{"--define", "_gpg_path " + k.home, "--define", "_gpg_name " + signer, "--define", "__gpg /usr/bin/gpg", "--addsign"}, names...)
	return run(ctx, "", nil, "rpmsign", args...)
}
