package archive

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the format's
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// digest is a SHA-1 sum, which the format has.
type digest [sha1.Size]byte

func (d digest) String() string { return hex.EncodeToString(d[:]) }

// checksums is what CONTROL/checksums says.
type checksums struct {
	sums  map[string]digest // by the member's name as the archive has it
	order []string
	// rest is a last line without an end: the list is cut off there.
	rest string
	cut  bool
	odd  int // lines that are none
}

const sumDigits = 2 * sha1.Size

// parseChecksums reads foreign bytes: lines of a sum in hexadecimal, one space
// and a name. A name may hold line ends; a line that does not begin with a sum
// goes on with the name before it.
//
// opsi-backup gives the list the length it has in characters and not in bytes:
// with names outside ASCII its end is missing, which may be several lines.
func parseChecksums(data []byte) checksums {
	c := checksums{sums: map[string]digest{}}
	var name []byte
	var sum digest
	var open bool
	keep := func() {
		if open {
			key := string(name)
			if _, twice := c.sums[key]; !twice {
				c.order = append(c.order, key)
			}
			c.sums[key] = sum
		}
	}
	for len(data) > 0 {
		line, after, ended := bytes.Cut(data, []byte("\n"))
		data = after
		d, n, ok := sumLine(line)
		switch {
		case !ended: // parts of a sum too
			if ok || !open || prefixOfSum(line) {
				keep()
				open, c.rest, c.cut = false, string(line), true
			} else { // a name with a line end in it is cut
				c.rest, c.cut = sum.String()+" "+string(name)+"\n"+string(line), true
				open = false
			}
		case ok:
			keep()
			sum, open = d, true
			name = bytes.Clone(n)
		case open:
			name = append(append(name, '\n'), line...)
		default:
			c.odd++
		}
	}
	keep()
	return c
}

func sumLine(line []byte) (d digest, name []byte, ok bool) {
	if len(line) < sumDigits+2 || line[sumDigits] != ' ' {
		return d, nil, false
	}
	if _, err := hex.Decode(d[:], line[:sumDigits]); err != nil {
		return d, nil, false
	}
	return d, line[sumDigits+1:], true
}

// prefixOfSum tells whether a cut line may be the beginning of one with a sum.
func prefixOfSum(line []byte) bool {
	for i, c := range line {
		if i == sumDigits {
			return c == ' '
		}
		if !strings.ContainsRune("0123456789abcdef", rune(c)) {
			return false
		}
	}
	return true
}

// begins tells whether the cut line is the beginning of the one that a member
// would have, and whether it holds enough of the sum to prove anything.
func (c checksums) begins(name string, d digest) (fits, proves bool) {
	full := d.String() + " " + name + "\n"
	return strings.HasPrefix(full, c.rest), len(c.rest) >= sumDigits
}

// line is how many bytes the line of a name has.
func sumLength(name string) int { return sumDigits + len(name) + 2 }

// lost is how many bytes of the list opsi-backup leaves out for a name.
func lost(name string) int { return len(name) - utf8.RuneCountInString(name) }

// writeSum appends one line.
func writeSum(b *bytes.Buffer, d digest, name string) { fmt.Fprintf(b, "%s %s\n", d, name) }
