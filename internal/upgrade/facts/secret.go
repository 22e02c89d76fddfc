package facts

import (
	"bytes"
	"regexp"
)

// cut takes what matches out of a line and leaves what the first group holds.
type cut struct {
	what *regexp.Regexp
	by   string
}

func cutting(what, by string) cut { return cut{regexp.MustCompile(what), by} }

// secretKey is the end of a key of some case of letters that may hold a secret:
// proxypass, vncpassword, auth_token.
const secretKey = `(?i:pass|token|secret|auth)[A-Za-z0-9_-]*`

// Cuts take secrets out of lines, in this order; the script does the same with sed. What
// was cut stays as it is, so what the script wrote can be cut again. A password may hold
// "/", "?" and "@": an address loses what stands before its last "@", and then what
// follows a "?". In XML an address ends at the next "<".
var (
	xmlCuts = []cut{
		cutting(`://[^<[:space:]]*@`, "://"),
		cutting(`(:/[^?<[:space:]]*\?)[^<[:space:]]*`, "$1"),
	}
	lineCuts = []cut{
		cutting(`://[^[:space:]]*@`, "://"),
		cutting(`(:/[^?[:space:]]*\?)[^[:space:]]*`, "$1"),
		cutting(`(=[[:blank:]]*)[^,/[:space:]]*:[^[:space:]]*@`, "$1"), // without a scheme: proxies, iscsi
		cutting(`^([[:blank:]]*[A-Za-z0-9_.-]*`+secretKey+`)[[:blank:]]*=.*`, "$1="),
		cutting(`(`+secretKey+`)="[^"]*"`, "$1="),
		cutting(`(`+secretKey+`)[[:blank:]]+=[[:blank:]]*[^[:space:]]*`, "$1="),
		cutting(`(`+secretKey+`)=[^[:space:]]*`, "$1="),
	}
	isXML = regexp.MustCompile(`^[[:space:]]*<`)
)

func withoutSecrets(text []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(text) {
		rest, ended := bytes.CutSuffix(line, []byte("\n"))
		cuts := lineCuts
		if isXML.Match(rest) {
			cuts = xmlCuts
		}
		for _, c := range cuts {
			rest = c.what.ReplaceAll(rest, []byte(c.by))
		}
		b.Write(rest)
		if ended {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}
