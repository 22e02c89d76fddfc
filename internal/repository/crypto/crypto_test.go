package crypto

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

func TestSealOpen(t *testing.T) {
	k := Random()
	for _, size := range []int{0, 1, 15, 16, 17, 1000, 1 << 20} {
		plain := bytes.Repeat([]byte{7}, size)
		prefix := []byte("prefix")
		sealed := k.Seal(bytes.Clone(prefix), plain)
		if !bytes.HasPrefix(sealed, prefix) || len(sealed) != len(prefix)+size+Overhead {
			t.Fatalf("%d bytes became %d", size, len(sealed))
		}
		sealed = sealed[len(prefix):]
		if size > 16 && bytes.Contains(sealed, plain) {
			t.Error("the plaintext shows")
		}
		if again := k.Seal(nil, plain); bytes.Equal(again, sealed) {
			t.Error("two seals are equal")
		}
		got, err := k.Open(bytes.Clone(sealed))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %v", size, err)
		}
		for _, at := range []int{0, IVSize - 1, len(sealed) / 2, len(sealed) - 1} {
			bad := bytes.Clone(sealed)
			bad[at] ^= 1
			kept := bytes.Clone(bad)
			if _, err := k.Open(bad); !errors.Is(err, ErrUnauthenticated) || !bytes.Equal(bad, kept) {
				t.Errorf("bit %d of %d bytes: %v", at, size, err)
			}
		}
		if _, err := Random().Open(sealed); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("another key: %v", err)
		}
	}
	for n := range Overhead {
		if _, err := k.Open(make([]byte, n)); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestKeyJSON(t *testing.T) {
	k := Random()
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	other := new(Key)
	if err := json.Unmarshal(text, other); err != nil {
		t.Fatal(err)
	}
	if plain, err := other.Open(k.Seal(nil, []byte("x"))); err != nil || string(plain) != "x" {
		t.Errorf("%q, %v", plain, err)
	}
	for _, bad := range []string{`{}`, `{"mac":{"k":"","r":""},"encrypt":"AAAA"}`, `[]`, ``} {
		if err := json.Unmarshal([]byte(bad), new(Key)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestParams(t *testing.T) {
	for _, p := range []Params{{1 << 15, 8, 6}, {1 << 15, 8, 1}, {1024, 1, 1}, {1 << 20, 8, 1}} {
		if err := p.Validate(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, p := range []Params{{}, {1000, 8, 1}, {1 << 15, 0, 1}, {1 << 15, 8, 0}, {-2, 8, 1}, {1 << 40, 8, 1}, {1 << 20, 1 << 20, 1}, {1 << 15, 8, 1 << 30}, {2, 1 << 62, 1 << 62}} {
		if err := p.Validate(); err == nil {
			t.Errorf("%+v was taken", p)
		}
		if _, err := Derive([]byte("x"), []byte("y"), p); err == nil {
			t.Errorf("%+v was used", p)
		}
	}
}
