package action

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fleet/audit"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/store"
)

// Other keys on records that are there are refused, and change nothing.
func TestBind(t *testing.T) {
	database := "sqlite:" + filepath.Join(t.TempDir(), "fleet.db")
	desk := func(k *keys.Keys) *Desk {
		t.Helper()
		db, err := store.Open(t.Context(), database, store.Signed(k.Signing))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return New(db, k)
	}
	some := func() *keys.Keys {
		t.Helper()
		settings, err := keys.NewSettings("https://127.0.0.1:8444", nil)
		if err != nil {
			t.Fatal(err)
		}
		k, err := keys.Create(filepath.Join(t.TempDir(), "keys"), settings, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first, second := some(), some()
	own, other := desk(first), desk(second)
	if err := own.TakeAdministrator(t.Context(), "lft_some-token-of-an-administrator"); err != nil {
		t.Fatal(err)
	}
	// Records from before it was remembered whose they are: the log's end is signed.
	if err := other.Bind(t.Context()); !errors.Is(err, ErrOtherFleet) {
		t.Errorf("other keys: %v", err)
	}
	for range 2 {
		if err := own.Bind(t.Context()); err != nil {
			t.Error(err)
		}
	}
	err := other.Bind(t.Context())
	if !errors.Is(err, ErrOtherFleet) {
		t.Fatalf("other keys: %v", err)
	}
	for _, k := range []*keys.Keys{first, second} {
		if !strings.Contains(err.Error(), keys.Fingerprint(k.Authority)) || !strings.Contains(err.Error(), k.SigningKey()) {
			t.Errorf("it does not name both: %v", err)
		}
	}
	// What differs is named, and nothing else.
	mixed := *first
	mixed.Age = second.Age
	err = desk(&mixed).Bind(t.Context())
	if !errors.Is(err, ErrOtherFleet) || !strings.Contains(err.Error(), "age.key) is "+first.Recipient()+" in the records and "+second.Recipient()+" here") ||
		strings.Contains(err.Error(), first.SigningKey()) || strings.Contains(err.Error(), "authority") {
		t.Errorf("another age.key: %v", err)
	}
	result, err := audit.Verify(t.Context(), own.Store, audit.Witness{}, own.SigningKeys()...)
	if err != nil || len(result.Alarms) > 0 {
		t.Errorf("the log has suffered: %+v, %v", result, err)
	}
}
