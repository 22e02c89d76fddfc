package typed

import (
	"errors"
	"fmt"
	"regexp"
)

// Reader takes secrets as a person types them, one after the other, in as many lines
// as they like, with a heading before each or without. Each group is checked at once.
// Not for several goroutines.
type Reader struct {
	form   *form
	groups []string
}

// heading is how people write above a share what it is: Share 2, LIFEBOAT SHARE
// 7F3K-2:, password of kit 7F3K.
var heading = regexp.MustCompile(`(?i)^\W*(?:lifeboat\s+)?(?:share|password)\b(?:\s+(?:no\.?|of|kit|[0-9a-z]{4}(?:-[0-9]{1,2})?|[0-9]{1,2})(?:\b|$))*\s*:?`)

// ErrCutOff says that a heading came before the secret before it was whole.
var ErrCutOff = errors.New("it was not whole and is left out")

// Line takes the groups of a line, up to the first that is wrong, which the error
// names: that one and those after it are to be typed again. It returns the secrets
// that are whole with this line, with an error too.
func (r *Reader) Line(line string) (all []Found, err error) {
	if at := mark.FindStringIndex(line); at != nil {
		if len(r.groups) > 0 && at[0] > 0 {
			if all, err = r.take(line[:at[0]]); err != nil {
				return all, err
			}
		}
		err = r.begin()
		line = line[at[1]:]
	} else if at := heading.FindStringIndex(line); at != nil {
		err = r.begin()
		line = line[at[1]:]
	}
	more, wrong := r.take(line)
	return append(all, more...), errors.Join(err, wrong)
}

// begin is for what stands below a heading.
func (r *Reader) begin() error {
	n, form := len(r.groups), r.form
	r.form, r.groups = nil, nil
	if n == 0 {
		return nil
	}
	return fmt.Errorf("of the %s before there are %d groups of %d: %w", form.name, n, form.groups, ErrCutOff)
}

func (r *Reader) take(line string) (all []Found, err error) {
	for _, g := range groupsIn(line) {
		f := r.form
		if f == nil {
			var right int
			if f, right = likely([]string{g}); right == 0 {
				return all, &GroupError{Form: "secret", Wrong: []int{1}}
			}
		}
		if !f.right(len(r.groups), g) {
			return all, &GroupError{Form: f.name, Wrong: []int{len(r.groups) + 1}, Want: f.groups, Found: f.groups}
		}
		r.form = f
		if r.groups = append(r.groups, g); len(r.groups) < f.groups {
			continue
		}
		found, err := f.parse(r.groups)
		r.form, r.groups = nil, nil
		if err != nil {
			return all, err
		}
		all = append(all, found)
	}
	return all, nil
}

// Next is the group that is to be typed next, from 1; of is how many there are, 0
// while that is not known.
func (r *Reader) Next() (next, of int) {
	if r.form != nil {
		of = r.form.groups
	}
	return len(r.groups) + 1, of
}
