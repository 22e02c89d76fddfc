package head

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Kind says what sort of change was noticed.
type Kind string

// The kinds of changes.
const (
	Vanished   Kind = "vanished"    // a point that nobody here removed is gone
	Altered    Kind = "altered"     // a point is not what it was
	RolledBack Kind = "rolled-back" // the repository is in an older state
	Returned   Kind = "returned"    // a point that was forgotten is there again
	Unpinned   Kind = "unpinned"    // a pin that nobody here removed is gone
	Replaced   Kind = "replaced"    // another repository lies at the location
	Tampered   Kind = "tampered"    // the record is not as this machine wrote it
	Lost       Kind = "record-lost" // the record itself was removed
)

// Warning tells whether nothing is known to be gone: a pin only keeps what is there,
// and without a record nothing can be told.
func (k Kind) Warning() bool { return k == Unpinned || k == Lost }

// Problem is one change that this machine did not make.
type Problem struct {
	Kind   Kind   `json:"kind"`
	Point  *Point `json:"point,omitempty"`
	Pin    *Pin   `json:"pin,omitempty"`
	Text   string `json:"text"`
	Advice string `json:"advice"`
}

// Findings is what a look noticed.
type Findings struct {
	First    bool      `json:"first,omitempty"` // there was no record; there is one now
	Since    time.Time `json:"since,omitzero"`  // the last look without problems
	Points   int       `json:"points"`          // that are there
	New      int       `json:"new"`             // that the record did not have
	Problems []Problem `json:"problems,omitempty"`
	Accepted bool      `json:"accepted,omitempty"`
	// Settled are points that this machine was removing when it was cut short, and
	// that are gone. They count as forgotten by it.
	Settled []Point `json:"settled,omitempty"`
}

// Alarms are the problems that no removal by rules, on another machine say, explains,
// in one text for each kind: rules never remove the newest point.
func (f *Findings) Alarms() []string {
	var kinds []Kind
	texts, more, advice := map[Kind]string{}, map[Kind]int{}, map[Kind]string{}
	for _, p := range f.Problems {
		switch {
		case p.Kind == Vanished:
		case slices.Contains(kinds, p.Kind):
			more[p.Kind]++
		default:
			kinds = append(kinds, p.Kind)
			texts[p.Kind], advice[p.Kind] = p.String(), p.Advice
		}
	}
	var alarms []string
	for _, kind := range kinds {
		text := texts[kind]
		if n := more[kind]; n > 0 {
			text += fmt.Sprintf(" (and %d more)", n)
		}
		alarms = append(alarms, text+". "+advice[kind])
	}
	return alarms
}

// Remarks are what is worth a line and no problem.
func (f *Findings) Remarks() []string {
	var remarks []string
	for _, p := range f.Settled {
		remarks = append(remarks, fmt.Sprintf("point %s of %s is gone: this machine was forgetting it when it was cut short", short(p.ID), p.System))
	}
	return remarks
}

// String tells the problem without the advice.
func (p Problem) String() string {
	text := string(p.Kind) + ": "
	if p.Point != nil {
		text += "point " + short(p.Point.ID) + " of " + p.Point.System + ": "
	}
	return text + p.Text
}

var command = regexp.MustCompile(`lifeboat (?:verify --accept|(?:un)?pin(?: POINT)?|list)\b`)

// Name has the advice name the repository: the flag stands behind each command that
// it gives. Empty is the only repository there is.
func (f *Findings) Name(flag string) {
	for i := range f.Problems {
		f.Problems[i].Advice = command.ReplaceAllString(f.Problems[i].Advice, "$0"+strings.ReplaceAll(flag, "$", "$$"))
	}
}

// View is what a repository holds now.
type View struct {
	Points []Point
	Pins   []Pin
	// Unreadable are the ids of snapshots whose files cannot be read, with why.
	Unreadable map[string]error
}

const (
	adviceGone = "If it was removed on purpose on another machine, say so with lifeboat verify --accept. If not, somebody " +
		"has deleted it: change nothing in the repository, read the store's own log, and bring the file back from a " +
		"version that the store keeps, or use the second copy."
	adviceAltered = "If snapshots were rewritten on purpose (restic tag, restic rewrite), say so with lifeboat verify --accept. " +
		"If not, recover from an older point or from the second copy, and read the store's own log."
	adviceRollback = "Somebody may have put an older copy in the repository's place. If that was on purpose (the store was itself " +
		"restored), say so with lifeboat verify --accept, and make a new recovery point now."
	adviceReturned = "An older copy of the repository may have been put in its place; data that was pruned since may be missing. " +
		"Verify with --read-data; forget the point again, or say with lifeboat verify --accept that it may stay."
	adviceReplaced = "If the repository was made anew on purpose, or disks are exchanged in turn, say so with lifeboat verify --accept. " +
		"If not, the repository with the points is gone from here: find out where it is before anything is written."
	adviceUnpinned = "Until this is settled no rule removes the point. If it was unpinned on purpose on another machine, say so with " +
		"lifeboat verify --accept or lifeboat unpin POINT. If not, lifeboat pin POINT pins it again; find out who can remove files from the store."
	adviceLost = "It is begun anew and this is said once. Somebody has removed it, or this machine's state directory was restored from elsewhere: " +
		"find out who. What happened to the repository before cannot be told now; compare lifeboat list and lifeboat pin with what you know."
	adviceTampered = "Somebody has written to this machine's state directory, or it was restored from elsewhere. Find out who; " +
		"compare lifeboat list with what you know, and begin a new record with lifeboat verify --accept."
)
