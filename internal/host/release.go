package host

import (
	"regexp"
	"strings"
)

// os finds out which operating system is installed: os-release(5), or the
// files that SUSE, Red Hat and Debian systems had before it.
func (h *Host) os() OS {
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if o := parseOSRelease(h.text(file)); o.ID != "" {
			return o
		}
	}
	if o := parseSuSERelease(h.text("/etc/SuSE-release")); o.ID != "" {
		return o
	}
	if line := h.line("/etc/redhat-release"); line != "" {
		return OS{ID: "rhel", Name: line, VersionID: number.FindString(line)}
	}
	if line := h.line("/etc/debian_version"); line != "" {
		return OS{ID: "debian", Name: "Debian " + line, VersionID: line}
	}
	return OS{}
}

var number = regexp.MustCompile(`[0-9]+(\.[0-9]+)*`)

// parseOSRelease reads os-release(5): shell assignments without expansion.
func parseOSRelease(text string) OS {
	var o OS
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		value = unquote(value)
		switch key {
		case "ID":
			o.ID = strings.ToLower(value)
		case "VERSION_ID":
			o.VersionID = value
		case "PRETTY_NAME":
			o.Name = value
		case "ID_LIKE":
			o.Like = strings.Fields(value)
		}
	}
	return o
}

// unquote takes shell quotes and the backslashes inside double quotes away.
func unquote(value string) string {
	if len(value) < 2 || value[0] != value[len(value)-1] {
		return value
	}
	switch value[0] {
	case '\'':
		return value[1 : len(value)-1]
	case '"':
		return strings.NewReplacer(`\"`, `"`, `\$`, `$`, "\\`", "`", `\\`, `\`).Replace(value[1 : len(value)-1])
	}
	return value
}

// parseSuSERelease reads /etc/SuSE-release, which SUSE systems had up to
// SLES 12: the name with the architecture in parentheses, then VERSION and
// PATCHLEVEL. The version is given as os-release would: 11.3.
func parseSuSERelease(text string) OS {
	var o OS
	var version, patch string
	for i, line := range strings.Split(text, "\n") {
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case i == 0:
			o.Name, _, _ = strings.Cut(strings.TrimSpace(line), " (")
		case ok && key == "VERSION":
			version = value
		case ok && key == "PATCHLEVEL":
			patch = value
		}
	}
	if o.Name == "" || version == "" {
		return OS{}
	}
	o.VersionID = version
	if patch != "" && patch != "0" {
		o.VersionID += "." + patch
		o.Name += " SP" + patch
	}
	switch name := strings.ToLower(o.Name); {
	case strings.Contains(name, "enterprise server"):
		o.ID = "sles"
	case strings.Contains(name, "enterprise desktop"):
		o.ID = "sled"
	default:
		o.ID = "opensuse"
	}
	o.Like = []string{"suse"}
	return o
}
