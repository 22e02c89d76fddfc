package postgres

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"lifeboat/internal/component/boundary"
)

// What a record of a restore's journal announces or states. A record is durable
// before its effect begins.
const (
	doBegin     = "begin"    // names are chosen
	doRole      = "role"     // a role that does not exist will be made
	doLoaded    = "loaded"   // the database beside holds what was captured
	doSwap      = "swap"     // names will be exchanged
	doRestored  = "restored" // they are
	doRollback  = "rollback"
	doBack      = "back" // the names are as they were
	doRolled    = "rolled-back"
	doDiscard   = "discard"
	doDiscarded = "discarded"
)

// record is one line of the journal. It holds no secret.
type record struct {
	Do       string           `json:"do"`
	Database string           `json:"database,omitempty"`
	New      string           `json:"new,omitempty"`
	Aside    string           `json:"aside,omitempty"`
	Existed  bool             `json:"existed,omitempty"`
	Role     string           `json:"role,omitempty"`
	Tables   map[string]Table `json:"tables,omitempty"`
	Keep     bool             `json:"keep,omitempty"` // of a rollback: others have written to the restored tables
}

// journalLimit bounds a journal, in bytes.
const journalLimit = 64 << 20

// journal is the record of one restore, in Env.State. A line that was cut off by a
// kill announces nothing that began.
type journal struct {
	file       *os.File
	begun      *record
	roles      []string
	loaded     *record
	swap       bool
	restored   bool
	rolling    bool
	keep       bool
	back       bool
	rolledBack bool
	discarding bool
	discarded  bool
}

// openJournal reads what there is; without create a missing one is nil.
func (c *Component) openJournal(create bool) (*journal, error) {
	if c.env.State == "" {
		if create {
			return nil, errors.New("no state directory given")
		}
		return nil, nil //nolint:nilnil // nothing was restored
	}
	flags := os.O_RDWR | os.O_APPEND
	if create {
		if err := os.MkdirAll(c.env.State, 0o700); err != nil {
			return nil, err
		}
		flags |= os.O_CREATE
	}
	file, err := os.OpenFile(filepath.Join(c.env.State, "postgres-"+c.name+".jsonl"), flags, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing was restored
	}
	if err != nil {
		return nil, err
	}
	j := &journal{file: file}
	if err := j.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", file.Name(), err), file.Close())
	}
	dir, err := os.Open(c.env.State)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	defer dir.Close()
	return j, dir.Sync()
}

// read applies every whole line and cuts a torn one off.
func (j *journal) read() error {
	if info, err := j.file.Stat(); err != nil {
		return err
	} else if !info.Mode().IsRegular() || info.Size() > journalLimit {
		return errors.New("it is no journal")
	}
	data, err := os.ReadFile(j.file.Name())
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(data, '\n') + 1
	lines := bufio.NewScanner(bytes.NewReader(data[:whole]))
	lines.Buffer(nil, journalLimit)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return err
		}
		j.apply(r)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if whole < len(data) {
		return j.file.Truncate(int64(whole))
	}
	return nil
}

func (j *journal) apply(r record) {
	switch r.Do {
	case doBegin: // also a new restore after a rollback
		*j = journal{file: j.file, begun: &r}
	case doRole:
		if !slices.Contains(j.roles, r.Role) {
			j.roles = append(j.roles, r.Role)
		}
	case doLoaded:
		j.loaded = &r
	case doSwap:
		j.swap = true
	case doRestored:
		j.restored = true
	case doRollback:
		j.rolling, j.keep = true, j.keep || r.Keep
	case doBack:
		j.back = true
	case doRolled:
		j.rolledBack = true
	case doDiscard:
		j.discarding = true
	case doDiscarded:
		j.discarded = true
	}
}

// add makes a record durable.
func (j *journal) add(ctx context.Context, r record) error {
	boundary.Reached(ctx, "before "+r.Do)
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.apply(r)
	boundary.Reached(ctx, "after "+r.Do)
	return nil
}

func (j *journal) close() { _ = j.file.Close() }
