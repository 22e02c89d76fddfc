package typed

import (
	"crypto/rand"
	"errors"
)

// CodeSize is how many random bytes a one-time recovery code has: 80 bits, which
// nobody tries out even with what is derived from a code before them.
const CodeSize = 10

// Code is a one-time recovery code: what an administrator reads out and somebody
// types on a lost machine.
type Code [CodeSize]byte

// codeForm is not among the forms that Find looks for: a code is never in a kit.
var codeForm = &form{"recovery code", 4, 8}

// NewCode draws a code.
func NewCode() Code {
	var c Code
	_, _ = rand.Read(c[:]) // never fails
	return c
}

// String is what is shown: 4 groups with hyphens between them.
func (c Code) String() string { return codeForm.write(c[:]) }

// ErrNoCode says that nothing was typed.
var ErrNoCode = errors.New("no recovery code was given")

// ParseCode reads a code as people type it: upper or lower case, O for 0, I and L
// for 1, anything or nothing between the groups. A *GroupError names the groups that
// are mistyped.
func ParseCode(text string) (Code, error) {
	groups := groupsIn(text)
	if len(groups) == 1 && len(groups[0]) == codeForm.groups*groupSize {
		whole := groups[0]
		groups = nil
		for ; whole != ""; whole = whole[groupSize:] {
			groups = append(groups, whole[:groupSize])
		}
	}
	if len(groups) == 0 {
		return Code{}, ErrNoCode
	}
	data, err := codeForm.read(groups)
	if err != nil {
		return Code{}, err
	}
	return Code(data), nil
}
