package repository

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

func TestNoise(t *testing.T) {
	t.Parallel()
	random := random(7, 1<<20)
	var plain bytes.Buffer
	text := []byte(strings.Repeat("all of this text was written for a test, line by line\n", 1000))
	for i := range 1 << 18 {
		fmt.Fprintf(&plain, "%d has the value %x\n", i, random[i:i+6])
	}
	encoder, err := newEncoder(CompressionMax, 1)
	if err != nil {
		t.Fatal(err)
	}
	zipped := encoder.EncodeAll(plain.Bytes(), nil)
	for _, c := range []struct {
		name string
		data []byte
		want bool
	}{
		{"random", random, true},
		{"zstd", zipped, true},
		{"too small to tell", random[:noiseMin-1], false},
		{"text", bytes.Repeat(text, 3), false},
		{"zeros", make([]byte, 1<<20), false},
		{"base64", []byte(base64.StdEncoding.EncodeToString(random)), false},
		{"half zeros", append(make([]byte, 1<<19), random[:1<<19]...), false},
	} {
		if got := noise(c.data); got != c.want {
			t.Errorf("%s of %d bytes: noise is %v", c.name, len(c.data), got)
		}
	}
}
