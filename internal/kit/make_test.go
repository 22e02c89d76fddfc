package kit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/kit/typed"
	"lifeboat/internal/repository"
	"lifeboat/internal/storage"
	"lifeboat/internal/vault"
)

// options are of a kit for no system, in a new repository.
func options(t *testing.T) Options {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repository")
	store, err := storage.Open(t.Context(), dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	repo, err := repository.Create(t.Context(), store, []byte("correct horse"), repository.Options{Scrypt: repository.ScryptParams{N: 1 << 8, R: 8, P: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	return Options{
		Vault: vault.New(repo), Repository: config.Repository{URL: dir}, Host: host.Local(),
		Output: filepath.Join(t.TempDir(), "out"), StateDir: t.TempDir(), Total: 3, Threshold: 2,
	}
}

func keys(t *testing.T, o Options) []repository.Key {
	t.Helper()
	list, err := o.Vault.Repository().Keys(t.Context())
	if len(list) == 0 {
		t.Fatal(err)
	}
	return list
}

func TestMakeAndRevoke(t *testing.T) {
	t.Parallel()
	o := options(t)
	made, err := Make(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(made.Files) != 8 || len(keys(t, o)) != 2 {
		t.Errorf("%+v", made)
	}
	parts := new(Assembly)
	for _, n := range []string{"3", "1"} {
		file := filepath.Join(o.Output, "lifeboat-kit-"+made.ID+"-share-"+n+".txt")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found, err := typed.Find(string(text))
		if err != nil || len(found) != 1 || parts.Add(found[0]) != nil {
			t.Fatalf("%+v, %v", found, err)
		}
	}
	password, err := parts.Password()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range made.Files {
		text, err := os.ReadFile(file)
		info, statErr := os.Stat(file)
		if err != nil || statErr != nil || info.Mode().Perm() != 0o600 || strings.Contains(string(text), password[:11]) {
			t.Errorf("%s: %v, %v, %v", file, err, statErr, info.Mode())
		}
	}
	store, _ := storage.Open(t.Context(), o.Repository.URL, storage.Options{})
	if _, err := repository.Open(t.Context(), store, []byte(password), repository.Options{NoLock: true}); err != nil {
		t.Error(err)
	}
	s, err := Find(t.Context(), o.Vault.Repository(), o.StateDir, strings.ToLower(made.ID))
	if err != nil || s.State != Valid || s.Key != made.Key {
		t.Fatalf("%+v, %v", s, err)
	}
	for range 2 { // again: it is revoked already
		if err := Revoke(t.Context(), o.Vault.Repository(), o.StateDir, s); err != nil {
			t.Fatal(err)
		}
		if s, err = Find(t.Context(), o.Vault.Repository(), o.StateDir, made.ID); err != nil || s.State != Revoked {
			t.Errorf("%+v, %v", s, err)
		}
	}
	if _, err := repository.Open(t.Context(), store, []byte(password), repository.Options{NoLock: true}); !errors.Is(err, repository.ErrWrongPassword) {
		t.Errorf("a revoked kit: %v", err)
	}
	if _, err := Find(t.Context(), o.Vault.Repository(), o.StateDir, "nothing"); !errors.Is(err, ErrNoKit) {
		t.Error(err)
	}
}

// What fails leaves neither a key nor a file behind.
func TestMakeFails(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, o *Options) error{
		"the record cannot be written": func(_ *testing.T, o *Options) error {
			return os.Symlink("elsewhere/none", filepath.Join(o.StateDir, "kits"))
		},
		"a file is there": func(_ *testing.T, o *Options) error {
			o.Output = filepath.Join(o.StateDir, "kit.pdf")
			return os.WriteFile(filepath.Join(o.StateDir, "kit.txt"), []byte("mine"), 0o600)
		},
		"a link is there": func(_ *testing.T, o *Options) error {
			o.Output = filepath.Join(o.StateDir, "kit.pdf")
			return os.Symlink("elsewhere", filepath.Join(o.StateDir, "kit.txt"))
		},
		"no directory above": func(_ *testing.T, o *Options) error {
			o.Output = filepath.Join(o.StateDir, "none", "out")
			return nil
		},
		"too many keys": func(_ *testing.T, o *Options) error {
			for i := range 31 { // damaged ones count too
				junk := []byte{byte(i)}
				if err := os.WriteFile(filepath.Join(o.Repository.URL, "keys", repository.Hash(junk).String()), junk, 0o600); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			if err := spoil(t, &o); err != nil {
				t.Fatal(err)
			}
			before := len(keys(t, o))
			made, err := Make(t.Context(), o)
			if err == nil || made != nil {
				t.Fatalf("%+v, %v", made, err)
			}
			if strings.HasSuffix(name, "is there") && !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
			if after := len(keys(t, o)); after != before {
				t.Errorf("%d keys before, %d after", before, after)
			}
			if _, err := os.Lstat(o.Output); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is left: %v", o.Output, err)
			}
			if records, _ := Records(o.StateDir); len(records) != 0 {
				t.Errorf("%+v", records)
			}
		})
	}
	for _, test := range []struct{ total, threshold int }{{1, 1}, {3, 1}, {2, 3}, {17, 2}, {0, 2}, {3, 0}} {
		if err := (Options{Total: test.total, Threshold: test.threshold}).Validate(); err == nil {
			t.Errorf("%+v is not refused", test)
		}
	}
}
