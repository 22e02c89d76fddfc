package rear

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lifeboat/internal/fleet/record"
)

const (
	maxLog  = 32 << 20 // bytes of one log that are kept
	maxLine = 8 << 10
	// silence is how long a log may say nothing: a recovery waits for its person.
	silence = 24 * time.Hour
	// gather is how long lines are collected before they are stored together.
	gather   = 500 * time.Millisecond
	maxBatch = 500
)

var (
	workflowName = regexp.MustCompile(`^[a-z][a-z0-9]{1,31}$`)
	startedAt    = regexp.MustCompile(`^[0-9]{14}$`) // local time of the client, as date +%Y%m%d%H%M%S writes it
)

// line is the data of one event of such a run.
type line struct {
	Type string `json:"type"` // "log"
	Text string `json:"text"`
}

// log receives PUT /clients/NAME/log/WORKFLOW/TIME: the log of a run, as it grows.
// The run is shown with the host's others; how it ended is read from its last
// lines, since DRLM's interface has no word for it.
func (s *server) log(w http.ResponseWriter, r *http.Request) {
	workflow, at := r.PathValue("workflow"), r.PathValue("time")
	if !workflowName.MatchString(workflow) || !startedAt.MatchString(at) {
		http.Error(w, "not a workflow and time of ReaR", http.StatusBadRequest)
		return
	}
	host, right, err := s.admit(r, r.PathValue("name"))
	if err != nil {
		s.answer(w, r, err)
		return
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		http.Error(w, "too many logs are being received", http.StatusServiceUnavailable)
		return
	}
	run := record.Run{
		ID: fmt.Sprintf("rear-%s-%s", workflow, at), Host: host.ID, System: "rear", Kind: workflow,
		State: "running", Started: s.Now(), Updated: s.Now(),
	}
	seq, err := s.begin(r, host, &run, right)
	if err != nil {
		s.answer(w, r, err)
		return
	}
	end, err := s.follow(w, r, run, seq)
	run.State, run.Updated = end, s.Now()
	// The client may be gone; how its run ended is stored all the same.
	last, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 30*time.Second)
	defer cancel()
	stored := s.Store.Change(last, func(tx record.Tx) ([]record.Entry, error) {
		return []record.Entry{s.entry(host, s.From(r), "rear.log", workflow+" "+run.State)}, tx.PutRun(run)
	})
	// However long the log took, the answer has time.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute))
	if err := errors.Join(err, stored); err != nil {
		s.answer(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// begin stores that the run is there. A log that is sent again (its connection was
// cut) goes on after what is stored.
func (s *server) begin(r *http.Request, host record.Host, run *record.Run, right string) (seq int64, err error) {
	err = s.Store.Change(r.Context(), func(tx record.Tx) ([]record.Entry, error) {
		seq = 0
		switch known, err := tx.Run(host.ID, run.ID); {
		case err == nil:
			run.Started = known.Started
		case !errors.Is(err, record.ErrNotFound):
			return nil, err
		}
		for {
			events, err := tx.Events(host.ID, run.ID, seq, maxBatch)
			if err != nil {
				return nil, err
			}
			if len(events) == 0 {
				break
			}
			seq = events[len(events)-1].Seq
		}
		return []record.Entry{s.entry(host, s.From(r), "rear.log", run.Kind+" begins, by "+right)}, errors.Join(tx.PutRun(*run), tx.SawHost(host.ID, run.Updated))
	})
	return seq, err
}

// follow stores lines as they come, and gives the state in which the run ended.
func (s *server) follow(w http.ResponseWriter, r *http.Request, run record.Run, seq int64) (string, error) {
	control := http.NewResponseController(w)
	lines, failed := make(chan string), make(chan error, 1)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		defer close(lines)
		kept := &io.LimitedReader{R: r.Body, N: maxLog}
		in := bufio.NewReaderSize(kept, maxLine)
		for {
			_ = control.SetReadDeadline(time.Now().Add(silence)) // not every connection has one
			text, err := in.ReadSlice('\n')
			if len(text) > 0 {
				select {
				case lines <- clean(text):
				case <-stop:
					return
				}
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				if kept.N == 0 {
					err = fmt.Errorf("it is longer than %d bytes", maxLog)
				}
				if !errors.Is(err, io.EOF) {
					failed <- err
				}
				return
			}
		}
	}()
	state := verdict{}
	tick := time.NewTicker(gather)
	defer tick.Stop()
	var batch []record.Event
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		run.Updated = s.Now()
		err := s.Store.Change(r.Context(), func(tx record.Tx) ([]record.Entry, error) {
			return nil, errors.Join(tx.AddEvents(batch), tx.PutRun(run))
		})
		batch = nil
		return err
	}
	for {
		select {
		case text, more := <-lines:
			if !more {
				err := flush()
				select {
				case cut := <-failed:
					s.Log.Info("rear: log cut off", "run", run.ID, "error", cut)
					return state.end("interrupted"), err
				default:
					return state.end("unknown"), err
				}
			}
			state.see(text)
			data, err := json.Marshal(line{Type: "log", Text: text})
			if err != nil {
				return "interrupted", fmt.Errorf("log of %s: %w", run.ID, err)
			}
			seq++
			batch = append(batch, record.Event{Run: run.ID, Host: run.Host, Seq: seq, Time: s.Now(), Data: data})
			if len(batch) < maxBatch {
				continue
			}
			if err := flush(); err != nil {
				return "interrupted", err
			}
		case <-tick.C:
			if err := flush(); err != nil {
				return "interrupted", err
			}
		case <-s.Done:
			return state.end("interrupted"), flush()
		}
	}
}

// clean gives a line as text: no control characters, whatever the bytes were.
func clean(raw []byte) string {
	text := strings.TrimRight(string(raw), "\r\n")
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "�")
	}
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '�'
	}, text)
}

// verdict reads from ReaR's own lines how a workflow ended (lib/_input-output-functions.sh
// and usr/sbin/rear of ReaR 2.7 write them).
type verdict struct{ done, failed bool }

func (v *verdict) see(text string) {
	switch {
	case strings.Contains(text, "Finished running ") && strings.HasSuffix(text, " workflow"):
		v.done = true
	case strings.Contains(text, "ERROR: "), strings.Contains(text, "Aborting due to an error"):
		v.failed = true
	}
}

// end gives the state of a run whose log has ended; otherwise is for one that did
// not say.
func (v *verdict) end(otherwise string) string {
	switch {
	case v.failed:
		return "failed"
	case v.done:
		return "done"
	}
	return otherwise
}
