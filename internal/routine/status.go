package routine

import (
	"path/filepath"
	"time"

	"lifeboat/internal/storage"
)

// Verified is what is remembered of a verify that found a repository whole.
type Verified struct {
	Time   time.Time `json:"time"`
	Points int       `json:"points"` // of the system
	Bytes  int64     `json:"bytes"`  // of all packs
	Read   int64     `json:"bytes_read"`
}

// Verified reads when a system's points in a repository were last found whole; the
// zero value if never.
func (b Book) Verified(system, repository string) (Verified, error) {
	var v Verified
	return v, b.read(filepath.Join("verified", plain(system), plain(repository)+".json"), &v)
}

// SetVerified remembers that.
func (b Book) SetVerified(system, repository string, v Verified) error {
	return b.write(filepath.Join("verified", plain(system), plain(repository)+".json"), v)
}

// Attempt is what is remembered of a backup that ended before it was a run: its
// repository could not be opened, say.
type Attempt struct {
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	Exit     int       `json:"exit"`
	Error    string    `json:"error,omitempty"`
}

// Attempt reads the last of them; the zero value if there was none.
func (b Book) Attempt(system string) (Attempt, error) {
	var t Attempt
	return t, b.read(filepath.Join("attempts", plain(system)+".json"), &t)
}

// SetAttempt remembers one.
func (b Book) SetAttempt(system string, t Attempt) error {
	return b.write(filepath.Join("attempts", plain(system)+".json"), t)
}

// Known is the newest recovery point of a system that a repository was seen to hold.
type Known struct {
	Point string    `json:"point"`
	Time  time.Time `json:"time,omitzero"`
}

// Known reads that; the zero value where none was ever seen.
func (b Book) Known(system, repository string) (Known, error) {
	var k Known
	return k, b.read(filepath.Join("known", plain(system), plain(repository)+".json"), &k)
}

// SetKnown remembers it, for the day on which nobody can look. What is known already
// is not written again.
func (b Book) SetKnown(system, repository string, k Known) error {
	if old, err := b.Known(system, repository); err == nil && old.Point == k.Point && old.Time.Equal(k.Time) {
		return nil
	}
	return b.write(filepath.Join("known", plain(system), plain(repository)+".json"), k)
}

// Gaps is what was remembered of a look for what no recovery point would hold.
type Gaps struct {
	Time   time.Time `json:"time"`
	Likely int       `json:"likely"` // which a recovery would miss, critical components among them
	All    int       `json:"all"`
}

// Gaps reads what the last look for gaps of a system came to; the zero value if there
// was none.
func (b Book) Gaps(system string) (Gaps, error) {
	var g Gaps
	return g, b.read(filepath.Join("gaps", plain(system)+".json"), &g)
}

// SetGaps remembers that.
func (b Book) SetGaps(system string, g Gaps) error {
	return b.write(filepath.Join("gaps", plain(system)+".json"), g)
}

// Store is how one repository of a system stands.
type Store struct {
	Name       string    `json:"name"`
	Error      string    `json:"error,omitempty"` // it could not be looked at
	Gone       bool      `json:"gone,omitempty"`  // there is no repository in its place
	Known      Known     `json:"known,omitzero"`  // the newest point when it was last looked at
	Points     int       `json:"points"`
	Newest     string    `json:"newest,omitempty"`
	Time       time.Time `json:"time,omitzero"`   // of the newest
	Bytes      int64     `json:"bytes,omitempty"` // that the newest protects
	Incomplete bool      `json:"incomplete,omitempty"`
	Damaged    bool      `json:"damaged,omitempty"` // the newest cannot be read
	Lacks      int       `json:"lacks,omitempty"`   // points of the first one that it would keep
	Verified   Verified  `json:"verified,omitzero"`
	Doubts     []string  `json:"doubts,omitempty"` // what changed behind this machine's back
	// Space is the room of the file system that it stands in; nil where that is
	// not known.
	Space *storage.Space `json:"space,omitempty"`
}

// Status is how a system's protection stands.
type Status struct {
	System string `json:"system"`
	// Orphaned says that a schedule is on for it and that the configuration has it no
	// longer; then nothing else is told.
	Orphaned   bool     `json:"orphaned,omitempty"`
	Stores     []Store  `json:"repositories"`         // the first is backed up into
	Unfinished []string `json:"unfinished,omitempty"` // runs that wait for somebody
	Held       bool     `json:"held,omitempty"`       // a backup that died has left services stopped
	Failed     []string `json:"failed,omitempty"`     // jobs whose last run failed
	Schedule   Standing `json:"schedule,omitzero"`
	// Broken is the newest backup where it came to no point, or not beyond
	// it; nil where it did.
	Broken *Broken `json:"broken_backup,omitempty"`

	Drill        Drill         `json:"drill,omitzero"`
	Kit          *Kit          `json:"kit,omitempty"` // nil: none was made
	Certificates []Certificate `json:"certificates,omitempty"`
	// Gaps are what the last look for them came to; they are not judged.
	Gaps Gaps `json:"gaps,omitzero"`
	// Unread is what could not be looked at, with why and what that means.
	Unread []string `json:"unread,omitempty"`
}

// Broken is a backup that failed or was interrupted.
type Broken struct {
	Run   string    `json:"run,omitempty"` // none where it ended before it was one
	Error string    `json:"error,omitempty"`
	Time  time.Time `json:"time"`
	State string    `json:"state"`
	// Sealed says that there is a point all the same: what follows it failed, a hook or
	// a copy.
	Sealed bool `json:"sealed,omitempty"`
}
