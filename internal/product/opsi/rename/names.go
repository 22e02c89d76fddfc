// Package rename gives an opsi server another id, everywhere that its id is
// written: the database, the file backend, the host keys and the configuration.
// It plans first, and what it plans can be shown; nothing of the old server's
// names is found any more by a second plan. Services, accounts and certificates
// are none of its business.
package rename

import (
	"fmt"
	"regexp"
	"strings"
)

// Names are a server's id before and after: fully qualified host names in lower
// case, which is what opsi takes for the id of a host.
type Names struct {
	Old, New string
}

// hostID is opsi's own rule: a host name and a domain of at least two labels.
var hostID = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?){2,}$`)

// CheckID refuses what opsi would not take for the id of a host.
func CheckID(id string) error {
	if !hostID.MatchString(id) || len(id) > 253 {
		return fmt.Errorf("%q is no id of an opsi host; it is the fully qualified name in lower case, like opsi.example.com", id)
	}
	return nil
}

// Validate refuses what opsi would not take for the id of a host.
func (n Names) Validate() error {
	for _, id := range []string{n.Old, n.New} {
		if err := CheckID(id); err != nil {
			return err
		}
	}
	if n.Old == n.New {
		return fmt.Errorf("the server is called %s already", n.New)
	}
	return nil
}

func short(id string) string {
	name, _, _ := strings.Cut(id, ".")
	return name
}

// Rewrite replaces the old id where it stands as a whole host name, and the old
// short name where it is the host of a URL or of a Windows share. Neither is
// touched inside a path: a directory called like the server stays.
func (n Names) Rewrite(text string) string {
	text = n.replace(text, n.Old, n.New, false)
	return n.replace(text, short(n.Old), short(n.New), true)
}

// Mentions tells whether the old id stands in text as a whole host name, or the
// old short name as the host of a URL.
func (n Names) Mentions(text string) bool { return n.Rewrite(text) != text }

func (n Names) replace(text, from, to string, onlyHost bool) string {
	var out strings.Builder
	lower := strings.ToLower(text)
	if len(lower) != len(text) {
		lower = text // a letter whose lower case has another length; ids are ASCII
	}
	start := 0
	for at := 0; at < len(text); {
		i := strings.Index(lower[at:], from)
		if i < 0 {
			break
		}
		i += at
		at = i + len(from)
		if !whole(text, i, at) || !isHost(text[:i], onlyHost) {
			continue
		}
		out.WriteString(text[start:i])
		out.WriteString(to)
		start = at
	}
	if start == 0 {
		return text
	}
	out.WriteString(text[start:])
	return out.String()
}

// whole tells whether text[i:j] is not a part of a longer name.
func whole(text string, i, j int) bool {
	if i > 0 && (inName(text[i-1]) || text[i-1] == '.') {
		return false
	}
	if j == len(text) {
		return true
	}
	if text[j] != '.' {
		return !inName(text[j])
	}
	// A full stop ends a sentence or a name in DNS; more letters go on with it.
	return j+1 == len(text) || !inName(text[j+1])
}

func inName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c >= 0x80
}

// authority is what stands before the host of a URL or of a share: the slashes,
// perhaps a user. A share begins a value; in JSON each of its backslashes is doubled.
var authority = regexp.MustCompile(`(?:[A-Za-z][A-Za-z0-9+.-]*:(?://|\\/\\/)|(?:^|[\s"'=,;(\[])(?:\\\\){1,2})(?:[^\s/@"'\\]*@)?$`)

// isHost tells whether what follows before is in the place of a host name. A
// full id may also stand alone; one slash before it makes it part of a path.
func isHost(before string, only bool) bool {
	tail := before[max(0, len(before)-300):]
	if authority.MatchString(tail) {
		return true
	}
	return !only && !strings.HasSuffix(before, "/") && !strings.HasSuffix(before, `\`)
}
