package recovery_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/backup/backuptest"
	"lifeboat/internal/host"
	"lifeboat/internal/recovery"
	"lifeboat/internal/vault"
)

const handRecovery = `recovery:
  prepare:
    - run: [true]
      when: file("DIR/never")
  restore:
    - restore: configuration
    - restore: extra
    - owner: {path: DIR/gone, owner: root}
  start:
    - system: start
  verify:
    - check: {command: {run: [cat, DIR/data/a], records: a}, hint: look at a}
`

func handbook(t *testing.T, change func(*recovery.Options)) (text, dir string) {
	t.Helper()
	s := backuptest.New(t, handRecovery)
	s.Write(t, "data/a", "one\n```sh\nreboot\n\x1b[2Jtwo\n")
	if _, _, err := s.Backup(t); err != nil {
		t.Fatal(err)
	}
	r, _ := s.Recovery(t, change)
	page, err := r.Handbook(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(page), s.Dir
}

func tells(t *testing.T, page string, want, never []string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(page, w) {
			t.Errorf("the page does not say %q", w)
		}
	}
	for _, n := range never {
		if strings.Contains(page, n) {
			t.Errorf("the page says %q", n)
		}
	}
	if t.Failed() {
		t.Log("\n" + page)
	}
}

func TestHandbook(t *testing.T) {
	page, dir := handbook(t, nil)
	etc := filepath.Join(dir, "etc")
	tells(t, page, []string{
		"test ! -e " + etc + " || test -e " + etc + ".fresh || mv " + etc + " " + etc + ".fresh\n",
		"    rm -rf " + etc + ".fresh\n", "rm -r /.lifeboat\n",
		"looked at and compared: data (" + dir + "/data)",
		"Rows when the point was made: 4\n\n    one\n    ```sh\n    reboot\n     [2Jtwo\n", "If it does not hold: look at a",
	}, []string{"never", "Restore extra", "\n```sh\nreboot", "before-", "Owner of"})
}

// On a machine that is only files nothing that may apply is left out.
func TestHandbookOfAnImport(t *testing.T) {
	staged, err := host.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	page, dir := handbook(t, func(o *recovery.Options) { o.Host = staged })
	tells(t, page, []string{
		"Only where `file(\"" + dir + "/never\")` holds.\n\n```sh\ntrue\n```",
		"test ! -e " + dir + "/gone || chown -h root: " + dir + "/gone",
	}, []string{"Restore extra"})
}

// Directories above what is restored come back with the lost machine's numbers
// too, and are given back by name.
func TestHandbookOwnersAbove(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: changes owners")
	}
	s := backuptest.New(t, handRecovery)
	etc := filepath.Join(s.Dir, "etc")
	nobody, err := host.Local().User("nobody")
	if err != nil {
		t.Skip("needs the account nobody")
	}
	for _, p := range []string{s.Dir, filepath.Join(etc, "app.conf")} {
		if err := os.Chown(p, int(nobody.UID), 0); err != nil {
			t.Fatal(err)
		}
	}
	b, _, err := s.Backup(t)
	if err != nil {
		t.Fatal(err)
	}
	page, err := b.Point().Text(t.Context(), vault.RunbookPath)
	if err != nil {
		t.Fatal(err)
	}
	tells(t, string(page), []string{
		fmt.Sprintf("find %s -maxdepth 0 -uid %d -exec chown -h %d {} +\n", s.Dir, nobody.UID, 4_000_000+nobody.UID),
		fmt.Sprintf("find %s -maxdepth 0 -uid %d -exec chown -h nobody {} +\n", s.Dir, 4_000_000+nobody.UID),
		fmt.Sprintf("find %s -uid %d -exec chown -h nobody {} +\n", etc, 4_000_000+nobody.UID),
	}, nil)
}
