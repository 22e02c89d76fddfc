package typed

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Found is what was typed, scanned or read: a share, or a whole password.
type Found struct {
	Share    *Share
	Password string // in the spelling that opens the repository
}

// MaxText bounds a text that is looked through, in bytes.
const MaxText = 1 << 20

// mark begins each secret in printed files and QR codes, so that it is found among
// other text: LIFEBOAT SHARE 7F3K-2: and then the groups.
var mark = regexp.MustCompile(`(?i)lifeboat\s+(share|password)\s[^:\n]{0,40}:`)

// Mark is the line before the groups of a share or password.
func Mark(kit string, share int) string {
	if share == 0 {
		return "LIFEBOAT PASSWORD " + kit + ":"
	}
	return fmt.Sprintf("LIFEBOAT SHARE %s-%d:", kit, share)
}

// ErrNothing says that a text holds no share and no password.
var ErrNothing = errors.New("there is neither a share nor a password in it")

// Find reads all shares and passwords of a text. With marks in it, what stands
// elsewhere does not matter; a text without one is a single secret and nothing
// else. What cannot be read is in the error, beside what could.
func Find(text string) ([]Found, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("the text is longer than %d bytes", MaxText)
	}
	marks := mark.FindAllStringSubmatchIndex(text, -1)
	if len(marks) == 0 {
		groups := groupsIn(text)
		f, right := likely(groups)
		if right == 0 && !nearly(len(groups)) {
			return nil, ErrNothing
		}
		found, err := f.parse(groups)
		if err != nil {
			return nil, err
		}
		return []Found{found}, nil
	}
	var all []Found
	var errs []error
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		f := passwordForm
		if strings.EqualFold(text[m[2]:m[3]], shareForm.name) {
			f = shareForm
		}
		groups := groupsIn(text[m[1]:end])
		found, err := f.parse(groups[:min(len(groups), f.groups)])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", strings.Trim(strings.ToLower(strings.Join(strings.Fields(text[m[0]:m[1]]), " ")), ":"), err))
			continue
		}
		all = append(all, found)
	}
	return all, errors.Join(errs...)
}

// likely is the form of which more groups are right, and how many are.
func likely(groups []string) (best *form, most int) {
	best = shareForm
	for _, f := range forms {
		n := 0
		for i, g := range groups {
			if f.right(i, g) {
				n++
			}
		}
		if n > most {
			best, most = f, n
		}
	}
	return best, most
}

// nearly tells whether so many groups may be a secret with one too few or too many.
func nearly(groups int) bool {
	return slices.ContainsFunc(forms, func(f *form) bool { return groups >= f.groups-1 && groups <= f.groups+1 })
}

func (f *form) parse(groups []string) (Found, error) {
	data, err := f.read(groups)
	if err != nil {
		return Found{}, err
	}
	if f == passwordForm {
		return Found{Password: f.write(data)}, nil
	}
	s, err := parseShare(data)
	if err != nil {
		return Found{}, err
	}
	return Found{Share: &s}, nil
}

// Reader takes a secret as a person types it, in as many lines as they like. Each
// group is checked at once. Not for several goroutines.
type Reader struct {
	form   *form
	groups []string
}

// Line takes the groups of a line up to the first that is wrong, which the error
// names: that one and those after it are to be typed again.
func (r *Reader) Line(line string) error {
	if at := mark.FindStringIndex(line); at != nil {
		line = line[at[1]:]
	}
	for _, g := range groupsIn(line) {
		f := r.form
		if f == nil {
			var right int
			if f, right = likely([]string{g}); right == 0 {
				return &GroupError{Form: "secret", Wrong: []int{1}}
			}
			r.form = f
		}
		if r.Done() {
			return fmt.Errorf("a %s has %d groups, and all of them are there", f.name, f.groups)
		}
		if !f.right(len(r.groups), g) {
			return &GroupError{Form: f.name, Wrong: []int{len(r.groups) + 1}, Want: f.groups, Found: f.groups}
		}
		r.groups = append(r.groups, g)
	}
	return nil
}

// Next is the group that is to be typed next, from 1; Of is how many there are, 0
// while that is not known.
func (r *Reader) Next() (next, of int) {
	if r.form != nil {
		of = r.form.groups
	}
	return len(r.groups) + 1, of
}

// Done tells whether all groups are there.
func (r *Reader) Done() bool { return r.form != nil && len(r.groups) == r.form.groups }

// Found is the secret when all groups are there.
func (r *Reader) Found() (Found, error) {
	if !r.Done() {
		return Found{}, ErrNothing
	}
	return r.form.parse(r.groups)
}
