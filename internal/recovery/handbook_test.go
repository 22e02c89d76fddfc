package recovery_test

import (
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/backup/backuptest"
	"lifeboat/internal/host"
	"lifeboat/internal/recovery"
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
