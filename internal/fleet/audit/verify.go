package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"lifeboat/internal/fleet/record"
)

// Broken is a log that does not hold together.
type Broken struct {
	Number int64 // the first entry that is wrong or missing
	Reason string
}

func (b *Broken) Error() string {
	return fmt.Sprintf("the audit log is broken at entry %d: %s", b.Number, b.Reason)
}

// Witness is an entry that was known to be there, kept outside the database: on
// paper, in another log. The zero Witness knows nothing.
type Witness struct {
	Number int64
	Hash   string
}

// Result is what Verify has seen.
type Result struct {
	Entries int64       `json:"entries"`
	Head    record.Head `json:"head"`   // to keep as a witness
	Signed  bool        `json:"signed"` // by one of the keys that were given
	// Alarms are entries in which a server says that the log before them was not as it
	// had been written; at most 100.
	Alarms []record.Entry `json:"alarms,omitempty"`
}

// pageSize is how many entries are held in memory at a time.
const pageSize = 1000

// Verify reads a whole log from one consistent state. With keys the head must be
// signed by one of them, unless nothing was logged yet. Its error is a *Broken naming
// the first entry that is wrong, or that of the store.
func Verify(ctx context.Context, store record.Store, witness Witness, keys ...ed25519.PublicKey) (Result, error) {
	var result Result
	err := store.Read(ctx, func(r record.Reader) (err error) {
		result, err = verify(ctx, r, witness, keys)
		return err
	})
	return result, err
}

func verify(ctx context.Context, r record.Reader, witness Witness, keys []ed25519.PublicKey) (Result, error) {
	head, err := r.AuditHead()
	if err != nil && !errors.Is(err, record.ErrNotFound) {
		return Result{}, err
	}
	var at record.Head
	var alarms []record.Entry
	for {
		if err := ctx.Err(); err != nil {
			return Result{Entries: at.Number}, err
		}
		page, err := r.Audit(at.Number, pageSize)
		if err != nil {
			return Result{Entries: at.Number}, err
		}
		for _, e := range page {
			if at, err = follow(at, e, witness); err != nil {
				return Result{Entries: at.Number, Alarms: alarms}, err
			}
			if e.Action == Alarm && len(alarms) < 100 {
				alarms = append(alarms, e)
			}
		}
		if len(page) < pageSize {
			break
		}
	}
	result := Result{Entries: at.Number, Head: head, Signed: head.Number > 0 && Signed(head, keys...), Alarms: alarms}
	if len(keys) > 0 && at.Number == 0 && head.Number == 0 {
		// Adding a host leaves an entry.
		hosts, err := r.Hosts("", record.Page{Limit: 1})
		if err != nil {
			return result, err
		}
		if len(hosts) > 0 {
			return result, &Broken{1, "the log is empty, although there are hosts"}
		}
	}
	switch {
	case at.Number < head.Number:
		return result, &Broken{at.Number + 1, fmt.Sprintf("it and what came after are gone: there were %d entries", head.Number)}
	case at.Number > head.Number:
		return result, &Broken{head.Number + 1, "the log's head does not know it"}
	case at.Hash != head.Hash:
		return result, &Broken{head.Number, "the log's head knows another entry of this number"}
	case witness.Number > at.Number:
		return result, &Broken{at.Number + 1, fmt.Sprintf("entry %d was seen, and there are %d: the log is an older one", witness.Number, at.Number)}
	case len(keys) > 0 && head.Number > 0 && !result.Signed:
		return result, &Broken{head.Number, "none of the servers' keys signed the log's head"}
	}
	return result, nil
}

// follow checks that an entry comes next.
func follow(at record.Head, e record.Entry, witness Witness) (record.Head, error) {
	switch {
	case e.Number <= at.Number:
		return at, &Broken{at.Number + 1, fmt.Sprintf("another entry %d follows", e.Number)}
	case e.Number != at.Number+1:
		return at, &Broken{at.Number + 1, "it is missing"}
	case e.Previous != at.Hash:
		return at, &Broken{e.Number, "it does not hang on the one before"}
	case e.Hash != Sum(e):
		return at, &Broken{e.Number, "it was changed"}
	case e.Number == witness.Number && e.Hash != witness.Hash:
		return at, &Broken{e.Number, "it is not the entry that was seen before"}
	}
	return record.Head{Number: e.Number, Hash: e.Hash, Time: e.Time}, nil
}
