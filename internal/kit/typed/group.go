// Package typed writes the secrets of a recovery kit, and one-time recovery codes,
// so that people can type them, and reads them back: groups of five signs, of which
// the last is a check, so that a wrong group is found and named. What the secrets open, and how
// they are split, is not known here.
package typed

import (
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// alphabet is that of Douglas Crockford's base 32: the letters I, L, O and U are
// not in it, so that they are not taken for 1, 1, 0 and V.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

var base = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)

const (
	groupData = 4 // signs of a group that carry data
	groupSize = groupData + 1
)

// form is one sort of secret on paper.
type form struct {
	name   string
	groups int
	mark   byte // keeps the groups of one form from passing for the other's
}

var (
	passwordForm = &form{"password", 8, 0}
	shareForm    = &form{"share", 12, 16}
	forms        = []*form{shareForm, passwordForm}
)

// check is the last sign of a group, as a value of GF(32): the weighted sum of the
// others and of the group's place. Any single wrong sign is found by it, any two
// neighbours that are exchanged, and any two groups that are.
func (f *form) check(place int, data [groupData]byte) byte {
	sum := f.mark ^ byte(place)
	for i, d := range data {
		for range i + 1 { // times x^(i+1), modulo x^5+x^2+1
			d = d<<1&31 ^ 5&-(d>>4)
		}
		sum ^= d
	}
	return sum
}

// write makes groups of data that fill them exactly.
func (f *form) write(data []byte) string {
	signs := base.EncodeToString(data)
	groups := make([]string, f.groups)
	for i := range groups {
		part := signs[i*groupData : (i+1)*groupData]
		values, _ := valuesOf(part)
		groups[i] = part + alphabet[f.check(i, values):][:1]
	}
	return strings.Join(groups, "-")
}

// valuesOf are the values of a group's first signs.
func valuesOf(signs string) (values [groupData]byte, ok bool) {
	for i := range values {
		v := strings.IndexByte(alphabet, signs[i])
		if v < 0 {
			return values, false
		}
		values[i] = byte(v)
	}
	return values, true
}

// right tells whether a group is right at its place, counted from 0.
func (f *form) right(place int, group string) bool {
	if len(group) != groupSize || place >= f.groups {
		return false
	}
	values, ok := valuesOf(group)
	return ok && alphabet[f.check(place, values)] == group[groupData]
}

// read gives the data of groups, or a GroupError that names those that are wrong.
func (f *form) read(groups []string) ([]byte, error) {
	e := &GroupError{Form: f.name, Want: f.groups, Found: len(groups)}
	for i, g := range groups[:min(len(groups), f.groups)] {
		if !f.right(i, g) {
			e.Wrong = append(e.Wrong, i+1)
		}
	}
	if len(e.Wrong) > 0 || e.Found != e.Want {
		return nil, e
	}
	var signs strings.Builder
	for _, g := range groups {
		signs.WriteString(g[:groupData])
	}
	return base.DecodeString(signs.String())
}

// GroupError says which groups of a secret are not as they were printed.
type GroupError struct {
	Form        string // share or password
	Wrong       []int  // counted from 1
	Want, Found int    // groups
}

// Error names the groups and never shows what they are.
func (e *GroupError) Error() string {
	list := make([]string, len(e.Wrong))
	for i, w := range e.Wrong {
		list[i] = fmt.Sprint(w)
	}
	n := len(list)
	switch {
	case e.Found != e.Want && n > 0: // those behind a missing group are wrong too
		return fmt.Sprintf("a %s has %d groups of %d signs, but %d were given; group %s is the first that is wrong", e.Form, e.Want, groupSize, e.Found, list[0])
	case e.Found != e.Want:
		return fmt.Sprintf("a %s has %d groups of %d signs, but %d were given", e.Form, e.Want, groupSize, e.Found)
	case n == 1:
		return fmt.Sprintf("the %s is mistyped: group %s is wrong", e.Form, list[0])
	}
	return fmt.Sprintf("the %s is mistyped: groups %s and %s are wrong", e.Form, strings.Join(list[:n-1], ", "), list[n-1])
}

// ErrMistyped says that each group looks right and the whole does not, so that
// several signs of one group are wrong.
var ErrMistyped = errors.New("each group looks right, but the whole is not: compare all of them with the paper")

// groupsIn are the groups of a text, in one spelling. What stands between them does
// not matter, nor do numbers of one or two digits, which count them.
func groupsIn(text string) []string {
	var groups []string
	for _, word := range strings.FieldsFunc(text, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) }) {
		if len(word) <= 2 && strings.Trim(word, "0123456789") == "" {
			continue
		}
		groups = append(groups, split(spelling.Replace(strings.ToUpper(word)))...)
	}
	return groups
}

// split takes groups apart that were typed without anything between them. What is long
// may have a sign too few or too many, and the first group that is wrong is named then;
// else other words stay whole.
func split(word string) []string {
	if len(word) < 2*groupSize || len(word)%groupSize != 0 && len(word) < 4*groupSize || strings.Trim(word, alphabet) != "" {
		return []string{word}
	}
	var groups []string
	for ; len(word) > groupSize; word = word[groupSize:] {
		groups = append(groups, word[:groupSize])
	}
	return append(groups, word)
}

// spelling takes signs that are not in the alphabet for what they look like.
var spelling = strings.NewReplacer("O", "0", "I", "1", "L", "1")
