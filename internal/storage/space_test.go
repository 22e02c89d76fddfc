package storage

import (
	"errors"
	"testing"
)

func TestSpace(t *testing.T) {
	for _, test := range []struct {
		size, blocks, free, available uint64
		want                          Space
	}{
		{4096, 100, 30, 20, Space{Free: 20 * 4096, Total: 90 * 4096}},
		{4096, 100, 0, 0, Space{Total: 100 * 4096}},
		{0, 100, 30, 20, Space{}},
		{4096, 0, 0, 0, Space{}},
		{4096, 100, 101, 20, Space{}},
		{1 << 40, 1 << 40, 1, 1, Space{}}, // more than there is
	} {
		got, err := NewSpace(test.size, test.blocks, test.free, test.available)
		if got != test.want || (err != nil) != (test.want == Space{}) {
			t.Errorf("%+v: %+v, %v", test, got, err)
		}
	}
	s, err := OpenLocal(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := SpaceOf(t.Context(), s); err != nil && !errors.Is(err, ErrSpaceUnknown) || err == nil && (got.Total <= 0 || got.Share() < 0 || got.Share() > 1) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := SpaceOf(t.Context(), struct{ Store }{s}); !errors.Is(err, ErrSpaceUnknown) {
		t.Errorf("of a store that does not tell: %v", err)
	}
}
