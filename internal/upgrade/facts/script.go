package facts

import (
	_ "embed"
	"strings"
)

//go:embed script.sh
var scriptText string

// Script is a shell script that gathers what Collect does and writes it to a file
// which Read understands. It keeps to the shell and the programs of POSIX (IEEE Std
// 1003.1), and to the options that the ones of SLES 10 and busybox have.
func Script() string {
	var b strings.Builder
	for _, s := range sources() {
		b.WriteString("\t")
		if s.live {
			b.WriteString("live && ")
		}
		if len(s.when) > 0 {
			b.WriteString("any")
			for _, name := range s.when {
				b.WriteString(" " + quote(name))
			}
			b.WriteString(" && ")
		}
		b.WriteString(string(s.kind))
		switch s.kind {
		case fromFile, fromOwn, fromProcesses, fromMaps:
			b.WriteString(" " + quote(s.name) + " " + quote(s.keep))
		case fromGlob:
			b.WriteString(" " + quote(s.name) + " " + quote(s.args[0]) + " " + quote(s.keep))
		default:
			b.WriteString(" " + quote(s.name))
			for _, arg := range s.args {
				b.WriteString(" " + quote(arg))
			}
		}
		b.WriteString("\n")
	}
	before, after, _ := strings.Cut(scriptText, "#SOURCES#\n")
	return before + b.String() + after
}

// quote makes one word of the shell. The places of a root are filled in when it runs.
func quote(arg string) string {
	arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	for _, place := range []string{"{root}", "{path}"} {
		arg = strings.ReplaceAll(arg, place, `'"$root"'`)
	}
	return strings.TrimPrefix(arg, "''")
}
