package mysql

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Option files are what MySQL and MariaDB programs read their options from. The
// format is described in the servers' manuals ("Using Option Files").

// writeOptionFile renders options of one group. Every value is put in double
// quotes, so that # and spaces are kept.
func writeOptionFile(group string, options [][2]string) (string, error) {
	var out strings.Builder
	fmt.Fprintf(&out, "[%s]\n", group)
	for _, o := range options {
		if strings.ContainsRune(o[1], 0) {
			return "", fmt.Errorf("option %s holds a zero byte, which an option file cannot say", o[0])
		}
		line := o[0] + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\b", `\b`).Replace(o[1]) + `"`
		if len(line) > 4000 {
			return "", fmt.Errorf("option %s is longer than the tools read", o[0])
		}
		out.WriteString(line + "\n")
	}
	return out.String(), nil
}

// readOptionFile returns the options of the groups; what comes later wins. Names
// have - for _. Includes are not followed.
func readOptionFile(r io.Reader, groups ...string) (map[string]string, error) {
	options := map[string]string{}
	lines := bufio.NewScanner(io.LimitReader(r, 1<<20))
	group := ""
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';' || line[0] == '!':
		case line[0] == '[':
			end := strings.IndexByte(line, ']')
			if end < 0 {
				return nil, fmt.Errorf("line %d: group without ]", n)
			}
			group = strings.TrimSpace(line[1:end])
		case slices.Contains(groups, group):
			key, value, _ := strings.Cut(withoutComment(line), "=")
			key = strings.ReplaceAll(strings.TrimSpace(key), "_", "-")
			options[key] = unquoteOption(strings.TrimSpace(value))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return options, nil
}

// withoutComment cuts a # that stands outside quotes, with what follows.
func withoutComment(line string) string {
	var quote byte
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && c == '#':
			return line[:i]
		}
	}
	return line
}

func unquoteOption(value string) string {
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		value = value[1 : n-1]
	}
	var out strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] != '\\' || i+1 == len(value) {
			out.WriteByte(value[i])
			continue
		}
		i++
		if at := strings.IndexByte(`ntrbs"'\`, value[i]); at >= 0 {
			out.WriteByte("\n\t\r\b \"'\\"[at])
		} else {
			out.WriteString(`\` + value[i:i+1])
		}
	}
	return out.String()
}

// secretFile returns an open file that holds the way in as an option file, for a
// child's descriptor. It has no name any more, so nothing is left behind and
// nobody else finds it; the password is on no command line.
func (l login) secretFile(dir string) (*os.File, error) {
	options := [][2]string{{"user", l.user}, {"password", l.password}}
	if l.socket != "" {
		options = append(options, [2]string{"protocol", "socket"}, [2]string{"socket", l.socket})
	} else {
		host, port := l.host, l.port
		if host == "" || host == "localhost" {
			host = "127.0.0.1"
		}
		if port == "" {
			port = "3306"
		}
		options = append(options, [2]string{"protocol", "tcp"}, [2]string{"host", host}, [2]string{"port", port})
		for key, value := range l.tls {
			options = append(options, [2]string{key, value})
		}
	}
	text, err := writeOptionFile("client", options)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "access-*") // 0600
	if err != nil {
		return nil, fmt.Errorf("keep database access for a tool: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("keep database access for a tool: %w", err), f.Close())
	}
	if _, err := f.WriteString(text); err != nil {
		return nil, errors.Join(fmt.Errorf("keep database access for a tool: %w", err), f.Close())
	}
	return f, nil
}
