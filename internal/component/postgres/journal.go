package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"

	log "lifeboat/internal/component/journal"
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
	file       *log.File
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
	j := &journal{}
	file, err := log.Open(filepath.Join(c.env.State, "postgres-"+c.name+".jsonl"), journalLimit, create, func(line []byte) error {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		j.apply(r)
		return nil
	})
	if err != nil || file == nil {
		return nil, err
	}
	j.file = file
	return j, nil
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
	return j.file.Add(ctx, r.Do, r, func() { j.apply(r) })
}

func (j *journal) close() { j.file.Close() }
