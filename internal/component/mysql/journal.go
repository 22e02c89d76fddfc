package mysql

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"lifeboat/internal/component/boundary"
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
	file *os.File
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
	flags := os.O_RDWR | os.O_APPEND
	if create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("journal of database %s: %w", database, err)
		}
		flags |= os.O_CREATE
	}
	file, err := os.OpenFile(j.path, flags, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil //nolint:nilnil // no journal is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("journal of database %s: %w", database, err)
	}
	j.file = file
	if err := j.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", j.path, err), file.Close())
	}
	return j, syncDir(dir)
}

// read applies every whole line and cuts a torn one off.
func (j *journal) read() error {
	if info, err := j.file.Stat(); err != nil {
		return err
	} else if !info.Mode().IsRegular() || info.Size() > journalLimit {
		return errors.New("it is no journal")
	}
	data, err := os.ReadFile(j.path)
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(data, '\n') + 1
	lines := bufio.NewScanner(bytes.NewReader(data[:whole]))
	lines.Buffer(nil, 64<<20)
	for n := 1; lines.Scan(); n++ {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
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
	boundary.Reached(ctx, "before "+r.Do)
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("journal %s: %w", j.path, err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("journal %s: %w", j.path, err)
	}
	j.apply(r)
	boundary.Reached(ctx, "after "+r.Do)
	return nil
}

func (j *journal) close() { _ = j.file.Close() }

// savedPath is the file with what hung on the present tables.
func (j *journal) savedPath() string {
	return j.path[:len(j.path)-len(".jsonl")] + ".present.sql"
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}
