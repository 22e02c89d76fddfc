package console

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"lifeboat/internal/fleet/account"
	"lifeboat/internal/fleet/audit"
	"lifeboat/internal/fleet/record"
)

// entries is how many lines of the audit log a page shows.
const entries = 50

// chain remembers what the last check of the whole audit log has found.
type chain struct {
	running sync.Mutex // one check at a time: it reads everything
	mu      sync.Mutex
	last    checked
}

type checked struct {
	At      time.Time // zero: not since this server was started
	Entries int64
	Signed  bool
	Broken  string
	Alarms  int
	Alarm   int64 // the newest
}

// auditView is a page of the audit log, the newest first.
type auditView struct {
	Entries []record.Entry
	Head    record.Head
	First   int64 // number of the oldest that is shown
	Before  int64 // 0: the newest page
	Checked checked
}

func (c *Console) audit(w http.ResponseWriter, r *http.Request, v *visit) error {
	var view auditView
	view.Before, _ = strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	err := c.Store.Read(r.Context(), func(rd record.Reader) error {
		head, err := rd.AuditHead()
		if errors.Is(err, record.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		view.Head = head
		last := head.Number
		if view.Before > 0 {
			last = min(last, view.Before-1)
		}
		if last < 1 {
			return nil
		}
		after := max(0, last-entries)
		view.Entries, err = rd.Audit(after, int(last-after))
		return err
	})
	if err != nil {
		return err
	}
	slices.Reverse(view.Entries)
	if n := len(view.Entries); n > 0 {
		view.First = view.Entries[n-1].Number
	}
	c.chain.mu.Lock()
	view.Checked = c.chain.last
	c.chain.mu.Unlock()
	return v.show(w, r, http.StatusOK, auditPage(v, view))
}

// checkAudit reads the whole log and remembers whether it holds together.
func (c *Console) checkAudit(w http.ResponseWriter, r *http.Request, v *visit) error {
	if !c.chain.running.TryLock() {
		return account.ErrBusy
	}
	defer c.chain.running.Unlock()
	result, err := audit.Verify(r.Context(), c.Store, audit.Witness{}, c.AuditKeys...)
	now := checked{At: c.Now(), Entries: result.Entries, Signed: result.Signed}
	if now.Alarms = len(result.Alarms); now.Alarms > 0 {
		now.Alarm = result.Alarms[now.Alarms-1].Number
	}
	var broken *audit.Broken
	switch {
	case errors.As(err, &broken):
		now.Broken = broken.Error()
		c.Log.Error("console: the audit log does not hold together", "error", err)
	case err != nil:
		return err
	}
	c.chain.mu.Lock()
	c.chain.last = now
	c.chain.mu.Unlock()
	return back(w, r, "/audit")
}

func (c checked) words() string {
	if c.Signed {
		return count(int(c.Entries), "entry") + ", the newest signed by this fleet"
	}
	return count(int(c.Entries), "entry") + ", unsigned"
}
