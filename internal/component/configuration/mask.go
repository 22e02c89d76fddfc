package configuration

import (
	"regexp"
	"strings"
)

// masked stands for a value that is not shown.
const masked = "••••"

var (
	secretKey = regexp.MustCompile(`(?i)pass|pwd|secret|token|credential|private|api_?key|auth|psk|preshared|community`)
	inURL     = regexp.MustCompile(`(://[^/\s:@]*:)[^@\s/]+@`)
)

// maskValue hides the value of a key whose name tells of a secret, and
// passwords in addresses.
func maskValue(key, value string) string {
	if value != "" && secretKey.MatchString(key) {
		return masked
	}
	return inURL.ReplaceAllString(value, "${1}"+masked+"@")
}

// maskDiff hides every line of a unified diff that a secret may stand in: from
// the first telling word on nothing of it is shown.
func maskDiff(diff string) string {
	var out strings.Builder
	hiding := false // inside a key block: -----BEGIN … KEY-----
	for line := range strings.Lines(diff) {
		plain := strings.TrimRight(line, "\n")
		body := strings.TrimLeft(plain, "+- ")
		switch {
		case strings.Contains(plain, "-BEGIN ") && strings.Contains(plain, "KEY-"):
			hiding = true
		case strings.Contains(plain, "-END ") && strings.Contains(plain, "KEY-"):
			hiding = false
		case hiding:
			plain = plain[:1] + masked
		default:
			if at := secretKey.FindStringIndex(body); at != nil && !strings.HasPrefix(plain, "@@") {
				cut := len(plain) - len(body) + at[1]
				if end := strings.IndexAny(plain[cut:], " \t=:"); end >= 0 {
					plain = plain[:cut+end+1] + masked
				}
			}
			plain = inURL.ReplaceAllString(plain, "${1}"+masked+"@")
		}
		out.WriteString(plain + "\n")
	}
	return out.String()
}
