package secret

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadToken(t *testing.T) {
	token := NewToken("lft")
	dir := t.TempDir()
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string // of the error; "" for none
	}{
		"good":           {" " + token + "\r\n", 0o600, ""},
		"read by others": {token, 0o640, "others than its owner"},
		"two":            {token + "\n" + token, 0o600, "holds no token"},
		"short":          {"lft_1", 0o600, "holds no token"},
		"large":          {strings.Repeat("x", maxFile+1), 0o600, "is larger than"},
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, c.mode); err != nil {
			t.Fatal(err)
		}
		got, err := ReadToken(file)
		switch {
		case c.want == "" && (err != nil || got != token):
			t.Errorf("%s: %q, %v", name, got, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), token)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("good", link); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadToken(link); err == nil {
		t.Error("a link was followed")
	}
}
