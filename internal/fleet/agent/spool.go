package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/wire"
)

// Spool is a directory of reports that are to be sent. One is on disk before it is
// tried, so that none gets lost with the machine.
type Spool struct{ dir string }

// NewSpool is the spool of a state directory. It is made when it is first needed.
func NewSpool(stateDir string) Spool { return Spool{filepath.Join(stateDir, "fleet")} }

const (
	// mostKept bounds the reports that wait; the oldest go, since how things stand now
	// is in the newest.
	mostKept = 500
	// sendTime bounds sending all of them.
	sendTime = 30 * time.Second
	suffix   = ".json"
)

// Report is a report with the id of its run.
type Report struct {
	Run string `json:"run"`
	wire.RunReport
}

// Add keeps a report until it was sent.
func (s Spool) Add(r Report) error {
	text, err := json.Marshal(r)
	if err == nil {
		err = os.MkdirAll(s.dir, 0o700)
	}
	if err == nil {
		name := fmt.Sprintf("%020d-%s%s", time.Now().UnixNano(), strings.ReplaceAll(r.Run, "/", "_"), suffix)
		err = renameio.WriteFile(filepath.Join(s.dir, name), text, 0o600, renameio.IgnoreUmask())
	}
	if err != nil {
		return fmt.Errorf("keep the report of run %s for the fleet server: %w", r.Run, err)
	}
	return nil
}

// names lists what waits, the oldest first.
func (s Spool) names() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reports for the fleet server: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) && e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil // ReadDir sorts them, and with that their times
}

// Waiting is how many reports wait.
func (s Spool) Waiting() int {
	names, _ := s.names()
	return len(names)
}

// Sent is what became of the reports that waited.
type Sent struct {
	Sent     int
	Waiting  int
	Refused  []error // by the server, for good; they are not kept
	Accepted wire.Receipt
}

// Send sends what waits, the oldest first, and ends at the first that does not get
// through: the server is not there, or does not know this host any more. One process
// at a time sends; while another does, there is nothing to do.
func (a *Agent) Send(ctx context.Context, s Spool) (sent Sent, err error) {
	names, err := s.names()
	if err != nil || len(names) == 0 {
		return Sent{}, err
	}
	unlock, err := s.lock()
	if err != nil || unlock == nil {
		return Sent{Waiting: len(names)}, err
	}
	defer unlock()
	if over := len(names) - mostKept; over > 0 {
		for _, name := range names[:over] {
			_ = os.Remove(filepath.Join(s.dir, name))
		}
		names = names[over:]
	}
	defer func() { sent.Waiting = s.Waiting() }()
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	if err := a.Renew(ctx, time.Now()); err != nil {
		return sent, err
	}
	for _, name := range names {
		path := filepath.Join(s.dir, name)
		err := a.sendOne(ctx, s, path, &sent)
		var p *client.Problem
		switch {
		case err == nil:
			sent.Sent++
		case errors.As(err, &p) && p.Permanent() && p.Status != http.StatusUnauthorized && p.Status != http.StatusForbidden && p.Status != http.StatusNotFound:
			sent.Refused = append(sent.Refused, err)
		default:
			return sent, err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return sent, fmt.Errorf("reports for the fleet server: %w", err)
		}
	}
	return sent, nil
}

func (a *Agent) sendOne(ctx context.Context, s Spool, path string, sent *Sent) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another process has sent it
	}
	if err != nil {
		return fmt.Errorf("reports for the fleet server: %w", err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		sent.Refused = append(sent.Refused, fmt.Errorf("%s is damaged and was removed: %w", path, err))
		return nil
	}
	if r.Configuration != nil {
		r.Configuration.After = s.newest()
	}
	if err := a.client.Do(ctx, http.MethodPut, "/agent"+client.Path("reports", r.Run), r.RunReport, &sent.Accepted); err != nil {
		return err
	}
	if n := sent.Accepted.Configuration; n > s.newest() {
		// Without it a server that is put back gives a number twice, and no more is lost.
		_ = keep(s.dir, newestFile, strconv.AppendInt(nil, n, 10))
	}
	return nil
}

// newestFile holds the newest version of the recovery configuration that the server
// has told of.
const newestFile = "newest-version"

func (s Spool) newest() int64 {
	text, err := read(s.dir, newestFile)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(string(text), 10, 64)
	return max(n, 0)
}

// lock lets one process send; nil, nil while another does.
func (s Spool) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("reports for the fleet server: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, fmt.Errorf("reports for the fleet server: %w", err)
	}
	return func() { _ = f.Close() }, nil
}
