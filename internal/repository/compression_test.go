package repository

import "testing"

func TestParseCompression(t *testing.T) {
	for _, name := range Compressions() {
		c, err := ParseCompression(name)
		if err != nil || c.String() != name {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	if c, err := ParseCompression(""); c != CompressionAuto || err != nil {
		t.Errorf("nothing: %v, %v", c, err)
	}
	for _, name := range []string{"Max", "better", "auto ", "0"} {
		if c, err := ParseCompression(name); err == nil {
			t.Errorf("%q is taken for %v", name, c)
		}
	}
}
