package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// site is a configuration in a directory of its own, and what is done with it.
type site struct {
	t      *testing.T
	dir    string
	words  *strings.Replacer
	spoken strings.Builder // all that lifeboat has said
}

// newSite begins a site; in the texts that are put there DIR is its directory, and
// each further pair is a word and what stands for it.
func newSite(t *testing.T, words ...string) *site {
	t.Helper()
	dir := t.TempDir()
	return &site{t: t, dir: dir, words: strings.NewReplacer(append([]string{"DIR", dir}, words...)...)}
}

func (s *site) put(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(s.words.Replace(text)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// lifeboat runs the program, which has to end with an exit code.
func (s *site) lifeboat(want int, args ...string) string {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(programs, "lifeboat"), append([]string{"--config", filepath.Join(s.dir, "lifeboat.yaml")}, args...)...)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
		s.t.Fatalf("lifeboat %v: %v, want exit code %d\n%s", args, err, want, out)
	}
	s.spoken.Write(out)
	return string(out)
}

func (s *site) says(text string, parts ...string) {
	s.t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			s.t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}
