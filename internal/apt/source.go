package apt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/host"
)

// maxFile bounds a file of /etc/apt, in bytes.
const maxFile = 1 << 20

// switchSources copies what /etc/apt says of sources, keys and preferences, with the
// sources of the new release. Others than the release's own are left out: Debian's
// release notes want them disabled. Configuration that could run programs stays behind.
func switchSources(h *host.Host, etc string, o Options) (left []string, err error) {
	for _, dir := range []string{"sources.list.d", "trusted.gpg.d", "preferences.d", "auth.conf.d"} {
		if err := os.MkdirAll(filepath.Join(etc, dir), 0o755); err != nil {
			return nil, fmt.Errorf("switch sources: %w", err)
		}
	}
	kept := 0
	for _, pattern := range []string{
		"sources.list", "sources.list.d/*.list", "sources.list.d/*.sources", "trusted.gpg", "trusted.gpg.d/*", "keyrings/*",
		"preferences", "preferences.d/*", "auth.conf", "auth.conf.d/*",
	} {
		names, err := h.Match("/etc/apt/" + pattern)
		if err != nil {
			return nil, fmt.Errorf("switch sources: %w", err)
		}
		for _, name := range names {
			if isDirectory(h, name) {
				continue
			}
			text, err := read1(h, name)
			if err != nil {
				return nil, fmt.Errorf("switch sources: %w", err)
			}
			switch filepath.Ext(name) {
			case ".list":
				n, others := 0, []string(nil)
				text, n, others = switchLines(text, o)
				kept, left = kept+n, append(left, others...)
			case ".sources":
				n, others := 0, []string(nil)
				text, n, others = switchStanzas(text, o)
				kept, left = kept+n, append(left, others...)
			}
			to := filepath.Join(etc, strings.TrimPrefix(name, "/etc/apt/"))
			if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, []byte(text), 0o600)); err != nil {
				return nil, fmt.Errorf("switch sources: %w", err)
			}
		}
	}
	if kept == 0 {
		return nil, fmt.Errorf("switch sources: no source of %s is in /etc/apt/sources.list or sources.list.d, so none of %s can be made of it", o.From, o.To)
	}
	return left, nil
}

func isDirectory(h *host.Host, name string) bool {
	path, err := h.Path(name)
	if err != nil {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func read1(h *host.Host, name string) (string, error) {
	path, err := h.Path(name)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return "", fmt.Errorf("%s is no file of at most %d bytes", name, maxFile)
	}
	text, err := os.ReadFile(path)
	return string(text), err
}

// suite gives the suite of the new release that follows one of the old: bookworm-security
// becomes trixie-security. ok is false for another supplier's.
func (o Options) suite(old string) (now string, ok bool) {
	for _, word := range []string{o.From, "stable", "oldstable"} {
		rest, found := strings.CutPrefix(old, word)
		if found && (rest == "" || rest[0] == '-' || rest[0] == '/') {
			return o.To + rest, true
		}
	}
	return "", false
}

// sourceLine is a line of sources.list(5): type, options, address, suite, components.
var sourceLine = regexp.MustCompile(`^(\s*deb(?:-src)?\s+(?:\[[^\]]*\]\s+)?)(\S+)(\s+)(\S+)(.*)$`)

// switchLines rewrites a file of sources in the one-line form.
func switchLines(text string, o Options) (out string, kept int, left []string) {
	for line := range strings.Lines(text) {
		m := sourceLine.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if m == nil {
			out += line
			continue
		}
		now, ok := o.suite(m[4])
		if !ok {
			left = append(left, m[2]+" "+m[4])
			continue
		}
		out += m[1] + m[2] + m[3] + now + m[5] + "\n"
		kept++
	}
	return out, kept, left
}

// switchStanzas rewrites a file of sources in the form of deb822(5).
func switchStanzas(text string, o Options) (out string, kept int, left []string) {
	for _, stanza := range regexp.MustCompile(`\n[ \t\r]*\n`).Split(text, -1) {
		address := field(stanza, "URIs")
		suites := strings.Fields(field(stanza, "Suites"))
		if len(suites) == 0 || strings.EqualFold(field(stanza, "Enabled"), "no") {
			continue
		}
		var now []string
		for _, old := range suites {
			if s, ok := o.suite(old); ok {
				now = append(now, s)
			}
		}
		if len(now) == 0 {
			left = append(left, address+" "+strings.Join(suites, " "))
			continue
		}
		out += withField(stanza, "Suites", strings.Join(now, " ")) + "\n\n"
		kept++
	}
	return out, kept, left
}

// field is the value of a field, continued lines joined.
func field(stanza, name string) string {
	value, inside := "", false
	for line := range strings.Lines(stanza) {
		key, rest, ok := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(line, "#"):
		case line[0] == ' ' || line[0] == '\t':
			if inside {
				value += " " + strings.TrimSpace(line)
			}
		case ok:
			if inside = strings.EqualFold(strings.TrimSpace(key), name); inside {
				value = strings.TrimSpace(rest)
			}
		}
	}
	return strings.TrimSpace(value)
}

// withField gives a field another value.
func withField(stanza, name, value string) string {
	var out []string
	inside := false
	for line := range strings.Lines(stanza) {
		line = strings.TrimRight(line, "\r\n")
		key, _, ok := strings.Cut(line, ":")
		switch {
		case line == "":
			continue
		case line[0] == ' ' || line[0] == '\t':
			if inside {
				continue
			}
		case line[0] != '#' && ok:
			if inside = strings.EqualFold(strings.TrimSpace(key), name); inside {
				line = name + ": " + value
			}
		}
		out = append(out, line)
	}
	return strings.Join(slices.Clip(out), "\n")
}
