package recovery

import (
	"os/exec"
	"testing"
)

// What a person pastes must reach the program unchanged.
func TestQuoteSurvivesAShell(t *testing.T) {
	for _, word := range []string{"", "plain", "/srv/www/htdocs/repo/$RCE", "a b", `it's`, "$(reboot)", "`id`", "new\nline", "ä", "-n", `"`, "*", "~root"} {
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+quote(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("quote(%q) = %s reaches the program as %q (%v)", word, quote(word), out, err)
		}
	}
}

func TestSlug(t *testing.T) {
	for in, want := range map[string]string{
		"Restore the CA":                               "restore-the-ca",
		"/srv/www/htdocs/repo/$RCE/":                   "srv-www-htdocs-repo-rce",
		"smt-mirror -d -L /var/log/smt/smt-mirror.log": "smt-mirror-d-l-var-log-smt-smt-mirror-lo",
		"***": "",
	} {
		if got := slug(in); got != want {
			t.Errorf("slug(%q) = %q, want %q", in, got, want)
		}
	}
}
