package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// batchSize is how many changes share a transaction at most.
const batchSize = 64

// job is a change that waits for the connection that writes.
type job struct {
	ctx  context.Context
	f    func(*tx) error
	err  error
	done chan struct{}
	// panicked is what f panicked with; it goes on in the caller.
	panicked any
}

func (e *sqliteEngine) change(ctx context.Context, f func(*tx) error) error {
	j := &job{ctx: ctx, f: f, done: make(chan struct{})}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-e.closing:
		return sql.ErrConnDone
	case e.jobs <- j:
	}
	<-j.done
	if j.panicked != nil {
		panic(j.panicked)
	}
	return j.err
}

// write takes what waits, until the store is closed.
func (e *sqliteEngine) write() {
	defer close(e.closed)
	for {
		var batch []*job
		select {
		case <-e.closing:
			return
		case j := <-e.jobs:
			batch = append(batch, j)
		}
	more:
		for len(batch) < batchSize {
			select {
			case j := <-e.jobs:
				batch = append(batch, j)
			default:
				break more
			}
		}
		if len(batch) == 1 || !e.together(batch) {
			for _, j := range batch {
				j.panicked = nil
				j.err = e.alone(j)
			}
		}
		for _, j := range batch {
			close(j.done)
		}
	}
}

// alone runs one change in its transaction.
func (e *sqliteEngine) alone(j *job) (err error) {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	if err := e.writer.do("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := e.call(j); err != nil {
		if lost := e.rollback(); lost != nil {
			return errors.Join(err, lost)
		}
		return err
	}
	if err := e.writer.do("COMMIT"); err != nil {
		return errors.Join(fmt.Errorf("commit: %w", err), e.rollback())
	}
	return nil
}

// rollback ends a transaction that SQLite may have ended already.
func (e *sqliteEngine) rollback() error {
	_ = e.writer.do("ROLLBACK")
	// A transaction that cannot be begun is one that could not be ended.
	if err := e.writer.do("BEGIN"); err != nil {
		return fmt.Errorf("roll back: %w", err)
	}
	return e.writer.do("ROLLBACK")
}

// together runs changes in one transaction. False: nothing of it is there, and each is
// to be run alone. A change's own error counts only when the transaction is committed:
// it may come from what another one did.
func (e *sqliteEngine) together(batch []*job) bool {
	if err := e.writer.do("BEGIN IMMEDIATE"); err != nil {
		for _, j := range batch {
			j.err = err
		}
		return true
	}
	for _, j := range batch {
		if !e.within(j) {
			_ = e.rollback()
			return false
		}
	}
	if e.writer.do("COMMIT") != nil {
		_ = e.rollback()
		return false
	}
	return true
}

// within runs a change in a savepoint; false: the transaction is lost.
func (e *sqliteEngine) within(j *job) bool {
	if j.err = j.ctx.Err(); j.err != nil {
		return true
	}
	if e.writer.do("SAVEPOINT change") != nil {
		return false
	}
	if j.err = e.call(j); j.err != nil && e.writer.do("ROLLBACK TO change") != nil {
		return false
	}
	return e.writer.do("RELEASE change") == nil
}

// call runs a change's function.
func (e *sqliteEngine) call(j *job) (err error) {
	t := &tx{ctx: j.ctx, run: e.writer}
	defer func() {
		if p := recover(); p != nil {
			j.panicked, err = p, fmt.Errorf("panic: %v", p)
		}
	}()
	if err := j.f(t); err != nil {
		return err
	}
	return t.failed
}
