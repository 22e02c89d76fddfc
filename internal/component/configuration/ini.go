package configuration

import (
	"regexp"
	"strings"
)

// ini is a file of sections and keys that is changed line by line, so that
// comments, order and spacing stay. (Libraries that read such files write them
// in a format of their own.) Files of shell assignments, as in /etc/sysconfig,
// are ini files without sections.
type ini struct {
	lines []iniLine
}

type iniLine struct {
	raw     string // with its end
	section string
	key     string // "" for all but settings
	value   string
	at      int // where value begins in raw; -1 when the key has none
}

type settingKey struct{ section, key string }

func (k settingKey) String() string {
	if k.section == "" {
		return k.key
	}
	return "[" + k.section + "] " + k.key
}

var (
	iniSection = regexp.MustCompile(`^\s*\[([^\[\]]+)\]\s*$`)
	iniSetting = regexp.MustCompile(`^\s*([A-Za-z0-9_][A-Za-z0-9_.:/@ -]*?)\s*=[ \t]*`)
	iniBare    = regexp.MustCompile(`^\s*([A-Za-z][A-Za-z0-9_-]*)\s*$`)
	shellName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)
	shellValue = regexp.MustCompile(`^("[^"]*"|'[^']*'|[^\s"']*)\s*(#.*)?$`)
)

// parseINI reads a file; ok is false when anything in it is not understood for
// certain, a key stands twice, or there are no settings. Such a file is text.
func parseINI(text []byte) (f *ini, ok bool) {
	f = &ini{}
	section, sections := "", false
	seen := map[settingKey]bool{}
	for raw := range strings.Lines(string(text)) {
		line := iniLine{raw: raw, section: section, at: -1}
		plain := strings.TrimRight(raw, "\r\n")
		trimmed := strings.TrimSpace(plain)
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
		case iniSection.MatchString(plain):
			section, sections = iniSection.FindStringSubmatch(plain)[1], true
			line.section = section
		case iniSetting.MatchString(plain):
			m := iniSetting.FindStringSubmatchIndex(plain)
			line.key, line.at = plain[m[2]:m[3]], m[1]
			line.value = strings.TrimRight(plain[line.at:], " \t")
			if strings.HasSuffix(line.value, `\`) {
				return nil, false // continued on the next line
			}
		case sections && iniBare.MatchString(plain):
			line.key = iniBare.FindStringSubmatch(plain)[1]
		default:
			return nil, false
		}
		if line.key != "" {
			id := settingKey{section, line.key}
			if seen[id] || !sections && (!shellName.MatchString(line.key) || !shellValue.MatchString(line.value)) {
				return nil, false
			}
			seen[id] = true
		}
		f.lines = append(f.lines, line)
	}
	return f, len(seen) > 0
}

// settings maps every key to its value.
func (f *ini) settings() map[settingKey]string {
	all := map[settingKey]string{}
	if f == nil {
		return all
	}
	for _, l := range f.lines {
		if l.key != "" {
			all[settingKey{l.section, l.key}] = l.value
		}
	}
	return all
}

// keys lists the keys in the file's order.
func (f *ini) keys() []settingKey {
	var all []settingKey
	for _, l := range f.lines {
		if l.key != "" {
			all = append(all, settingKey{l.section, l.key})
		}
	}
	return all
}

// line returns the line of a key.
func (f *ini) line(id settingKey) iniLine {
	for _, l := range f.lines {
		if l.key == id.key && l.section == id.section {
			return l
		}
	}
	return iniLine{}
}

// set takes a setting over from another file: as the new value of the same line
// where the key is there, else as a line at the end of its section.
func (f *ini) set(id settingKey, from iniLine) {
	for i, l := range f.lines {
		if l.key != id.key || l.section != id.section {
			continue
		}
		if l.at < 0 || from.at < 0 {
			l.raw, l.at = ended(from.raw), from.at
		} else {
			end := l.raw[len(strings.TrimRight(l.raw, "\r\n")):]
			l.raw = l.raw[:l.at] + from.value + end
		}
		l.value = from.value
		f.lines[i] = l
		return
	}
	from.raw = ended(from.raw)
	last, found := -1, id.section == ""
	for i, l := range f.lines {
		if l.section != id.section {
			continue
		}
		found = true
		// Blank lines and comments at the end belong to the section that follows.
		if l.key != "" || iniSection.MatchString(strings.TrimRight(l.raw, "\r\n")) {
			last = i
		}
	}
	if n := len(f.lines); n > 0 {
		f.lines[n-1].raw = ended(f.lines[n-1].raw)
	}
	add := []iniLine{from}
	switch {
	case !found:
		last = len(f.lines) - 1
		add = []iniLine{{raw: "\n", section: id.section, at: -1}, {raw: "[" + id.section + "]\n", section: id.section, at: -1}, from}
	case last < 0: // a file without sections, or keys before the first one
		for i, l := range f.lines {
			if l.section != "" {
				break
			}
			last = i
		}
	}
	f.lines = append(f.lines[:last+1], append(add, f.lines[last+1:]...)...)
}

// remove takes a setting out.
func (f *ini) remove(id settingKey) {
	for i, l := range f.lines {
		if l.key == id.key && l.section == id.section {
			f.lines = append(f.lines[:i], f.lines[i+1:]...)
			return
		}
	}
}

func (f *ini) bytes() []byte {
	var out strings.Builder
	for _, l := range f.lines {
		out.WriteString(l.raw)
	}
	return []byte(out.String())
}

func ended(raw string) string {
	if strings.HasSuffix(raw, "\n") {
		return raw
	}
	return raw + "\n"
}
