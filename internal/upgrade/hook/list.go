package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/strict"
)

// maxEntries bounds how many names of a directory are looked at.
const maxEntries = 10000

// Reason says why something in the directory does not run. It is stable.
type Reason string

// The reasons.
const (
	// NotExecutable, Unsafe and CannotRun are of hooks by their names. They count as
	// failures when their turn comes.
	NotExecutable Reason = "not-executable"
	Unsafe        Reason = "unsafe"     // others than root can change it, or a part of its path
	CannotRun     Reason = "cannot-run" // no file, or its interpreter is missing
	// OddName is one that Wagon takes for a hook and the manual does not allow: its
	// number has not two digits, or prefix or name are missing. Strict does not run it,
	// and does not go on in silence either.
	OddName Reason = "odd-name"
	// WrongName, UnknownOccasion and Copy are of what is no hook.
	WrongName       Reason = "wrong-name"
	UnknownOccasion Reason = "unknown-occasion"
	Copy            Reason = "copy" // that rpm or an editor has left
)

// Hook is one program that is a hook by its name, or, among List.Others, is none.
type Hook struct {
	Name string `json:"name"`
	Path string `json:"path"` // on the machine
	// Obsolete marks the two programs of older Wagons.
	Obsolete bool   `json:"obsolete,omitempty"`
	Reason   Reason `json:"reason,omitempty"` // "" for one that would run
	Why      string `json:"why,omitempty"`    // the same in words, with what to do
}

// Runs tells whether it would run.
func (h Hook) Runs() bool { return h.Reason == "" }

// Listed is a call with the hooks that belong to it, in their order.
type Listed struct {
	Call
	Hooks []Hook `json:"hooks"`
}

// List is what would run.
type List struct {
	Dir    string   `json:"dir"`
	Policy Policy   `json:"policy"`
	Calls  []Listed `json:"calls"`
	Others []Hook   `json:"others"` // what is there and is no hook
}

// Problems are the hooks that would fail, as they cannot run; each is told once.
func (l *List) Problems() []Hook {
	var found []Hook
	for _, c := range l.Calls {
		for _, h := range c.Hooks {
			if !h.Runs() && !slices.Contains(found, h) {
				found = append(found, h)
			}
		}
	}
	return found
}

// Of are the hooks of an occasion.
func (l *List) Of(o Occasion) []Hook {
	for _, c := range l.Calls {
		if c.Occasion == o {
			return c.Hooks
		}
	}
	return nil
}

var (
	// wagonName matches what follows the occasion for Wagon, manualName for the manual.
	wagonName  = regexp.MustCompile(`^_[0-9]+_`)
	manualName = regexp.MustCompile(`^_[0-9]{2}_[^_]+_.+$`)
	// copied matches the endings of copies that rpm and editors leave.
	copied = regexp.MustCompile(`(\.rpm(save|new|orig)|~|\.(bak|orig|old|sw[a-p]))$`)
)

// Look lists what dir, "" being Dir, would have run on the machine. A directory that is
// not there has no hooks.
func Look(ctx context.Context, h *host.Host, dir string, policy Policy) (*List, error) {
	if dir == "" {
		dir = Dir
	}
	names, err := entries(h, dir)
	if err != nil {
		return nil, fmt.Errorf("hooks of %s: %w", dir, err)
	}
	hooks := map[Occasion][]Hook{}
	l := &List{Dir: dir, Policy: policy, Calls: []Listed{}, Others: []Hook{}}
	for _, o := range Occasions() {
		hooks[o] = []Hook{}
		if path := o.obsolete(); path != "" {
			if entry, err := h.Entry(path); err == nil && isThere(entry) {
				hooks[o] = append(hooks[o], judge(ctx, h, Hook{Name: filepath.Base(path), Path: path, Obsolete: true}))
			}
		}
	}
	for _, name := range names {
		one := Hook{Name: name, Path: filepath.Join(dir, name)}
		o, reason, why := classify(name, policy)
		switch {
		case o == "":
			one.Reason, one.Why = reason, why
			l.Others = append(l.Others, one)
			continue
		case reason != "":
			one.Reason, one.Why = reason, why
		default:
			one = judge(ctx, h, one)
		}
		hooks[o] = append(hooks[o], one)
	}
	for _, c := range Calls() {
		l.Calls = append(l.Calls, Listed{c, hooks[c.Occasion]})
	}
	return l, nil
}

// entries are the names in dir, sorted as Wagon sorts them: as strings.
func entries(h *host.Host, dir string) ([]string, error) {
	path, err := h.Path(dir)
	if err != nil {
		return nil, err
	}
	d, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(names) == maxEntries {
		return nil, fmt.Errorf("there are more than %d entries", maxEntries)
	}
	slices.Sort(names)
	return names, nil
}

// classify says which occasion a name belongs to, and why it is not run in spite of
// that; with no occasion, why it is no hook.
func classify(name string, policy Policy) (Occasion, Reason, string) {
	var words []string
	for _, o := range Occasions() {
		words = append(words, string(o))
		rest, ok := strings.CutPrefix(name, string(o))
		if !ok || !wagonName.MatchString(rest) {
			continue
		}
		switch {
		case policy == Wagon:
			return o, "", ""
		case copied.MatchString(name):
			return "", Copy, "a copy that a package or an editor has left; remove it"
		case !manualName.MatchString(rest):
			return o, OddName, fmt.Sprintf("Wagon would run it, but the manual wants %s_NN_prefix_name with two digits; rename it", o)
		}
		return o, "", ""
	}
	for _, o := range words {
		if strings.HasPrefix(name, o+"_") {
			return "", WrongName, "a hook is named " + o + "_NN_prefix_name, with two digits"
		}
	}
	given := name
	if at := regexp.MustCompile(`_[0-9]+_`).FindStringIndex(name); at != nil {
		given = name[:at[0]]
	}
	return "", UnknownOccasion, "there is no step of this name" + strict.Suggest(given, words)
}

// judge sees whether a hook can run.
func judge(ctx context.Context, h *host.Host, hook Hook) Hook {
	_, err := h.Program(ctx, hook.Path, "")
	if err == nil {
		return hook
	}
	hook.Reason, hook.Why = CannotRun, err.Error()
	switch path, pathErr := h.Path(hook.Path); {
	case errors.Is(err, host.ErrUnsafe):
		hook.Reason = Unsafe
	case pathErr == nil:
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 == 0 {
			hook.Reason = NotExecutable
		}
	}
	return hook
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
