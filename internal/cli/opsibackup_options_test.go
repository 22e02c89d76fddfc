package cli

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
)

// As argparse has it: beginnings that fit one option, and nothing else.
func TestBeginningsOfOptions(t *testing.T) {
	for given, want := range map[string]string{
		"create --flush --back file /b":          "create --flush-logs --backends file /b",
		"create --no-conf --comp=gz":             "create --no-configuration --compression=gz",
		"--log-l 5 create --flush":               "--log-level 5 create --flush-logs",
		"--log-f --flush create --flush":         "--log-file --flush create --flush-logs",
		"--verb create --flush":                  "--verbose create --flush-logs",
		"restore --conf --new x.y.z a":           "restore --configuration --new-server-id x.y.z a",
		"restore --config a":                     "restore --config a", // the whole name of another
		"restore --configuration --fo a":         "restore --configuration --force a",
		"restore -- --conf":                      "restore -- --conf",
		"--log create":                           "--log create", // two
		"verify --back file --js a":              "verify --back file --js a",
		"create -c --flush":                      "create -c --flush-logs",
		"create --he":                            "create --help",
		"create restore --conf":                  "create restore --conf", // of create there is none, and --config is not meant
		"create --state-dir --flush --state /s":  "create --state-dir --flush --state /s",
		"list --nothing":                         "list --nothing",
		"create --backends= --backends --flush ": "create --backends= --backends --flush ",
	} {
		a := &app{Screen: screen.Screen{Out: io.Discard, Err: io.Discard}}
		root := a.root()
		var verb *cobra.Command
		for _, c := range root.Commands() {
			if c.Name() == opsiBackupName {
				verb = c
			}
		}
		if got := strings.Join(wholeOptions(verb, strings.Split(given, " ")), " "); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}
