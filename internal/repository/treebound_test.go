package repository

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// A tree of next to nothing but entries does not fill the memory: it is refused
// before it takes more than a few times its own size. Not parallel: all that is
// allocated meanwhile counts.
func TestTreeOfManyEntries(t *testing.T) {
	id := strings.Repeat("ab", 32)
	for name, tree := range map[string][3]string{
		"empty nodes":   {`{"nodes":[`, `{}`, `]}`},
		"null nodes":    {`{"nodes":[`, `null`, `]}`},
		"short nodes":   {`{"nodes":[`, `{"name":"a","type":""}`, `]}`},
		"other order":   {`{"nodes": [`, `{"type":"file","name":"a"}`, `]}`},
		"attributes":    {`{"nodes":[{"name":"a","type":"file","extended_attributes":[`, `{}`, `]}]}`},
		"empty content": {`{"nodes":[{"type":"file","name":"a","content":[`, `null`, `]}]}`},
		"nested":        {`{"nodes":[`, strings.Repeat("[", 100) + strings.Repeat("]", 100), `]}`},
	} {
		n := 8 << 20 / len(tree[1])
		text := []byte(tree[0] + strings.Repeat(tree[1]+",", n-1) + tree[1] + tree[2])
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := parseTree(text)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrHostile) {
			t.Errorf("%s: %v", name, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 12*uint64(len(text)) {
			t.Errorf("%s: %d bytes were taken for %d", name, took, len(text))
		}
	}
	// What is honest is read, however it is written.
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, `,{"name":"f%06d","type":"file","mode":420,"uid":0,"gid":0,"content":["%s"]}`, i, id)
	}
	for _, space := range []string{"", " "} {
		tree, err := parseTree([]byte(`{"nodes":` + space + `[` + b.String()[1:] + `]}`))
		if err != nil || len(tree.Nodes) != 20_000 {
			t.Error(err)
		}
	}
}
