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

// word is what may be a group, with the line it stands in, from 1.
type word struct {
	text string
	line int
}

// Find reads all shares and passwords of a text, one after the other, with a mark
// before each or without. What else stands there does not matter: the checks tell it
// from groups. What is mistyped is in the error with its line, beside what could be
// read. ErrNothing if there is neither.
func Find(text string) ([]Found, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("the text is longer than %d bytes", MaxText)
	}
	marks := mark.FindAllStringSubmatchIndex(text, -1)
	end := len(text)
	if len(marks) > 0 {
		end = marks[0][0]
	}
	words := wordsIn(text[:end], 1)
	all, errs := search(words)
	if len(marks) == 0 && len(all)+len(errs) == 0 {
		// Mistyped all over, it is known by its length alone.
		f, right := likely(textsOf(words))
		if right == 0 && !nearly(len(words)) {
			return nil, ErrNothing
		}
		return nil, f.mistake(words, "")
	}
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		f := passwordForm
		if strings.EqualFold(text[m[2]:m[3]], shareForm.name) {
			f = shareForm
		}
		words := wordsIn(text[m[1]:end], 1+strings.Count(text[:m[1]], "\n"))
		if first, _, ok := whole(words); !ok || first > 0 {
			n := min(len(words), f.groups)
			if ok {
				n = min(n, first)
			}
			name := strings.Trim(strings.ToLower(strings.Join(strings.Fields(text[m[0]:m[1]]), " ")), ":")
			errs = append(errs, f.mistake(words[:n], name+": "))
			words = words[n:]
		}
		more, wrong := search(words)
		all, errs = append(all, more...), append(errs, wrong...)
	}
	return all, errors.Join(errs...)
}

// search gives the secrets among words, and an error for each that is nearly one.
func search(words []word) (all []Found, errs []error) {
	for len(words) > 0 {
		at, found, ok := whole(words)
		if !ok {
			return all, append(errs, nearMisses(words)...)
		}
		errs = append(errs, nearMisses(words[:at])...)
		all = append(all, found)
		words = words[at+found.form().groups:]
	}
	return all, errs
}

// whole is the first secret among words without a mistake, and where it begins.
func whole(words []word) (at int, found Found, ok bool) {
	for at := range words {
		for _, f := range forms {
			if at+f.groups <= len(words) && f.hits(words, at) == f.groups {
				if found, err := f.parse(textsOf(words[at : at+f.groups])); err == nil {
					return at, found, true
				}
			}
		}
	}
	return 0, found, false
}

// hits counts the groups that are right if the secret begins at a word; at may be
// negative when its first groups are missing.
func (f *form) hits(words []word, at int) int {
	n := 0
	for place := max(0, -at); place < f.groups && at+place < len(words); place++ {
		if f.right(place, words[at+place].text) {
			n++
		}
	}
	return n
}

// nearMisses names what is a secret in at least half of its groups: other text is
// not, as one word in 32 passes for a group.
func nearMisses(words []word) (errs []error) {
	for at := -1; at < len(words); at++ {
		for _, f := range forms {
			if 2*f.hits(words, at) < f.groups {
				continue
			}
			start, end := max(at, 0), min(at+f.groups, len(words))
			if start > 0 && !f.right(0, words[start].text) && f.right(0, words[start-1].text) {
				start-- // a group too many among the first
			}
			if end < len(words) && !f.right(f.groups-1, words[end-1].text) && f.right(f.groups-1, words[end].text) {
				end++ // or among the last
			}
			errs = append(errs, f.mistake(words[start:end], ""))
			words, at = words[end:], -2
			break
		}
	}
	return errs
}

// mistake says what is wrong with a secret, which has a name or "", and in which line.
func (f *form) mistake(words []word, name string) error {
	_, err := f.parse(textsOf(words))
	var wrong *GroupError
	at := 0
	if errors.As(err, &wrong) && len(wrong.Wrong) > 0 {
		at = wrong.Wrong[0] - 1
	}
	if len(words) == 0 {
		return fmt.Errorf("%s%w", name, err)
	}
	return fmt.Errorf("line %d: %s%w", words[min(at, len(words)-1)].line, name, err)
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

func (f Found) form() *form {
	if f.Share != nil {
		return shareForm
	}
	return passwordForm
}

func wordsIn(text string, line int) []word {
	var words []word
	for l := range strings.Lines(text) {
		for _, g := range groupsIn(l) {
			words = append(words, word{g, line})
		}
		line++
	}
	return words
}

func textsOf(words []word) []string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = w.text
	}
	return texts
}
