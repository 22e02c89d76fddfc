package aside

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// What a record announces. A record is durable before its effect begins.
const (
	doTouch   = "touch"   // entries of directory Path will change; Meta is how it was
	doMkdir   = "mkdir"   // missing directory Path will be made
	doDressed = "dressed" // a made directory has got its metadata, Like
	doStage   = "stage"   // staging directory Path will be made
	doSwap    = "swap"    // present Path goes to Aside, New comes to Path
	doMeta    = "meta"    // directory Path stays, its metadata goes from Meta to Like
	doPlanned = "planned" // the plan is complete: from here on it is carried out, never made anew
	doAgain   = "again"   // the plan so far is void, staging starts anew

	doRestored   = "restored"
	doRollback   = "rollback"
	doReversed   = "reversed" // all swaps are reversed, what came in is about to be removed
	doRolledBack = "rolled-back"
	doFound      = "found" // what others changed at Path will go to Aside and stay there
	doDiscard    = "discard"
	doDiscarded  = "discarded"
)

// record is one line of the journal. Paths are the machine's, below its root,
// with the symbolic links of their parents resolved.
type record struct {
	Do    string    `json:"do"`
	Path  Name      `json:"path,omitempty"`
	New   Name      `json:"new,omitempty"`
	Aside Name      `json:"aside,omitempty"`
	Inode uint64    `json:"inode,omitempty"` // of New, to know it again at Path
	Keep  []Name    `json:"keep,omitempty"`  // of a rollback: what others changed
	Known bool      `json:"known,omitempty"` // of a rollback: Keep is all of it
	Meta  *metadata `json:"meta,omitempty"`
	Like  *metadata `json:"like,omitempty"`
}

// Name is a path in JSON, where bytes that are not UTF-8 have to survive.
type Name string

// MarshalText quotes as Go does inside a string literal.
func (n Name) MarshalText() ([]byte, error) {
	quoted := strconv.Quote(string(n))
	return []byte(quoted[1 : len(quoted)-1]), nil
}

// UnmarshalText is the reverse of MarshalText.
func (n *Name) UnmarshalText(text []byte) error {
	plain, err := strconv.Unquote(`"` + string(text) + `"`)
	if err != nil {
		return fmt.Errorf("path %q in journal: %w", text, err)
	}
	*n = Name(plain)
	return nil
}

// journal is a file of records, one JSON object a line.
type journal struct {
	path    string
	records []record
}

// openJournal reads the journal at path, which may be missing. A last line
// that was cut off announced nothing that has begun, and is dropped.
func openJournal(path string) (*journal, error) {
	j := &journal{path: path}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was set aside: %w", err)
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	for i, line := range bytes.Split(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n")) {
		if len(line) == 0 && len(whole) == 0 {
			break
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w (nothing was changed; the file must be mended by hand)", path, i+1, err)
		}
		j.records = append(j.records, r)
	}
	if len(whole) < len(text) {
		if err := os.Truncate(path, int64(len(whole))); err != nil {
			return nil, fmt.Errorf("cut torn line off: %w", err)
		}
	}
	return j, nil
}

// add appends records durably: they are on disk when it returns.
func (j *journal) add(records ...record) error {
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	var text bytes.Buffer
	for _, r := range records {
		line, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		text.Write(append(line, '\n'))
	}
	first := len(j.records) == 0
	f, err := os.OpenFile(j.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	defer f.Close()
	before, err := f.Seek(0, 2)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	_, err = f.Write(text.Bytes())
	if err == nil {
		err = f.Sync()
	}
	if err == nil && first {
		err = syncDir(filepath.Dir(j.path))
	}
	if err != nil {
		// A half-written batch must not stand before the next one.
		return errors.Join(fmt.Errorf("journal %s: %w", j.path, err), f.Truncate(before))
	}
	j.records = append(j.records, records...)
	return nil
}

// clear forgets everything.
func (j *journal) clear() error {
	if err := os.Remove(j.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: %w", err)
	}
	j.records = nil
	return nil
}

// has tells whether a record of this sort and path is there.
func (j *journal) has(do string, path string) bool {
	for _, r := range j.records {
		if r.Do == do && string(r.Path) == path {
			return true
		}
	}
	return false
}

// all lists the records of one sort that are in force.
func (j *journal) all(do string) []record {
	var found []record
	for _, r := range j.records {
		switch {
		case r.Do == doAgain && (do == doSwap || do == doMeta):
			found = nil
		case r.Do == do:
			found = append(found, r)
		}
	}
	return found
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
