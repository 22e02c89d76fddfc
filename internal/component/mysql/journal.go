package mysql

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
	doPacket    = "packet"   // the server's limit of a statement will be raised
	doLoad      = "load"     // the staging database will be made anew
	doLoaded    = "loaded"   // it holds the point's tables, all checked
	doSaved     = "saved"    // what hangs on the present tables is in the saved file
	doClear     = "clear"    // it will be removed
	doSwap      = "swap"     // tables will change places
	doSwapped   = "swapped"  // they have
	doObjects   = "objects"  // the second section will be applied
	doAccount   = "account"  // an account that does not exist will be made
	doRestored  = "restored" // everything is in place
	doRun       = "run"      // a statement will be executed
	doAgain     = "again"    // the restored tables were spoiled; they are taken back and loaded anew
	doRollback  = "rollback" // everything will be put back
	doRolled    = "rolled-back"
	doDiscard   = "discard"
	doDiscarded = "discarded"
)

// record is one line of the journal. It holds no secret.
type record struct {
	Do        string   `json:"do"`
	New       string   `json:"new,omitempty"`
	Aside     string   `json:"aside,omitempty"`
	Existed   bool     `json:"existed,omitempty"`
	Charset   string   `json:"charset,omitempty"` // of the present database
	Collation string   `json:"collation,omitempty"`
	Packet    int64    `json:"packet,omitempty"` // the server's limit before, in bytes
	Present   []string `json:"present,omitempty"`
	Fresh     []string `json:"fresh,omitempty"`
	Account   string   `json:"account,omitempty"`
	Statement string   `json:"statement,omitempty"`
	Keep      bool     `json:"keep,omitempty"` // of a rollback: others have written to the restored tables
}

// journalLimit bounds a journal, in bytes.
const journalLimit = 256 << 20

// journal is the record of one restore, in Env.State. It survives kill -9; a
// line that was cut off by it announces nothing that began.
type journal struct {
	file *log.File
	path string
	// What the records say.
	begun      *record
	packet     int64
	loaded     bool
	saved      bool
	clearing   bool
	swap       *record
	swapped    bool
	accounts   []string
	restored   bool
	again      bool
	rolling    bool
	keep       bool
	rolledBack bool
	discarded  bool
}

// openJournal reads what there is. With create it makes the journal, and the
// directory; without, a missing one is nil.
func openJournal(dir, database string, create bool) (*journal, error) {
	if dir == "" {
		return nil, errors.New("restore database: no directory to keep a journal in")
	}
	j := &journal{path: filepath.Join(dir, "database-"+database+".jsonl")}
	file, err := log.Open(j.path, journalLimit, create, func(line []byte) error {
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
		*j = journal{file: j.file, path: j.path, begun: &r}
	case doPacket:
		j.packet = r.Packet
	case doLoaded:
		j.loaded = true
	case doSaved:
		j.saved = true
	case doClear:
		j.clearing = true
	case doSwap:
		j.swap = &r
	case doSwapped:
		j.swapped = true
	case doAccount:
		if !slices.Contains(j.accounts, r.Account) {
			j.accounts = append(j.accounts, r.Account)
		}
	case doRestored:
		j.restored = true
	case doAgain:
		j.again = true
	case doRollback:
		j.rolling, j.keep = true, j.keep || r.Keep
	case doRolled:
		j.rolledBack = true
	case doDiscarded:
		j.discarded = true
	}
}

// add makes a record durable.
func (j *journal) add(ctx context.Context, r record) error {
	return j.file.Add(ctx, r.Do, r, func() { j.apply(r) })
}

func (j *journal) close() { j.file.Close() }

// savedPath is the file with what hung on the present tables.
func (j *journal) savedPath() string {
	return j.path[:len(j.path)-len(".jsonl")] + ".present.sql"
}
