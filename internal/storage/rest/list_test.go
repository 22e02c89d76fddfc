package rest

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"lifeboat/internal/storage"
)

func FuzzList(f *testing.F) {
	name := strings.Repeat("0", 64)
	f.Add([]byte(`[{"name":"` + name + `","size":3},{"name":"` + name + `","size":4}]`))
	f.Add([]byte(`[{"name":"` + name + `","size":3}`))
	f.Add([]byte(`["` + name + `"]`))
	f.Add([]byte(`null`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries := 0
		err := decode(bytes.NewReader(text), func(e entry) error {
			if len(e.Name) > 2*maxEntry {
				t.Errorf("a name of %d bytes", len(e.Name))
			}
			entries++
			return nil
		})
		end := bytes.TrimSpace(text)
		if err == nil && !bytes.Contains(end, []byte("]")) && !bytes.HasPrefix(end, []byte("null")) {
			t.Errorf("a list without an end was taken, with %d entries", entries)
		}
		if errors.Is(err, storage.ErrNotFound) {
			t.Error(err)
		}
	})
}
