package record

import (
	"context"
	"time"
)

// Store is the fleet's memory. Several servers may use one at a time.
//
// What every store promises (storetest holds each to it): a method that changes
// something has made it durable when it returns nil, or has changed nothing;
// changes of one call happen together; a change and its audit Entry are one
// transaction (Change). Times are UTC with microseconds. Methods may be called
// concurrently. Not found is ErrNotFound.
type Store interface {
	// Change runs f in one transaction, and appends what it returned to the audit
	// log in the same one; of an entry f gives Actor, Action, Object, Detail and From.
	// It runs again, whole, when the database asks for that, so f must have no effects
	// outside. Several may share one flush to the disk: f must be short, and wait for
	// nothing. An error of f's is given back as it is. No entry means that nothing
	// worth auditing happened (a host's report, a session's use).
	Change(ctx context.Context, f func(Tx) ([]Entry, error)) error
	// Read runs f on one consistent state.
	Read(ctx context.Context, f func(Reader) error) error
	// Recoverable gives the hosts that share a value with an identity, revoked ones
	// left out: the caller judges which values count. When it is one host alone, its
	// newest version comes along as OpenVersion gives it; nil when there is none. All
	// machines of a fleet that is lost ask this, so it is one question to the database.
	Recoverable(ctx context.Context, i Identity) ([]Host, *Version, error)
	// Hold takes the lease of a periodic job for a while, by the database's clock;
	// false: another server has it. The holder renews by calling it again.
	Hold(ctx context.Context, job, holder string, d time.Duration) (bool, error)
	// Release gives a lease up, if holder has it.
	Release(ctx context.Context, job, holder string) error
	// Compact overwrites, where the database can, and gives back what was changed or
	// removed. It takes as much room for a while as all records do, and others wait.
	// ErrFull: there is not that much, and nothing was changed.
	Compact(ctx context.Context) error
	Ping(ctx context.Context) error
	Close() error
}

// Page is a part of a list: at most Limit entries (1 to 1000) after the key After.
type Page struct {
	After string // "" is the beginning; ErrNotFound: it names an entry that is gone
	Limit int
}

// Reader looks things up.
type Reader interface {
	Host(HostID) (Host, error)
	HostNamed(name string) (Host, error) // in any case of its letters, where one alone has it so
	HostByKey(hash string) (Host, error)
	Hosts(group string, p Page) ([]Host, error) // by name

	Protections(host HostID) ([]Protection, error) // "" is all hosts
	Reports(host HostID, p Page) ([]Report, error) // newest first; After is a report's ID
	Report(host HostID, id string) (Report, error)
	Runs(host HostID, p Page) ([]Run, error) // newest first; "" is all hosts, and After is HOST/ID then
	Run(host HostID, id string) (Run, error)
	Events(host HostID, run string, after int64, limit int) ([]Event, error)

	// AllEvents are those of all runs, by host, run and number, after one: its zero value
	// is before the first.
	AllEvents(after Event, limit int) ([]Event, error)

	Versions(host HostID) ([]Version, error)            // newest first, without contents
	Version(host HostID, number int64) (Version, error) // 0 is the newest
	OpenVersion(host HostID) (Version, error)           // the newest, without its secret half
	Code(lookup string) (Code, error)                   // spent and expired ones too
	Codes(host HostID) ([]Code, error)                  // newest first, without contents
	Window(host HostID, now time.Time) (Window, error)  // one that is open
	User(name string) (User, error)
	UserBySubject(subject string) (User, error)
	Users() ([]User, error)
	Session(hash string) (Session, error)
	Token(hash string) (Token, error)
	Tokens() ([]Token, error)
	Audit(after int64, limit int) ([]Entry, error) // oldest first
	AuditHead() (Head, error)                      // ErrNotFound: nothing was logged yet
	Setting(key string) ([]byte, error)            // small things of the server's own
}

// Tx changes things. It reads its own changes. What belongs to a host that is not
// there is ErrNotFound. Texts hold valid UTF-8 without NUL, or are refused;
// no bytes come back as nil.
type Tx interface {
	Reader
	PutHost(Host) error                // by ID; ErrTaken: another host has the name or key
	SawHost(HostID, time.Time) error   // moves Seen forward, never back
	RemoveHost(HostID) error           // with everything that belongs to it
	PutEnrolment(Enrolment) error      // in place of what the host had
	RemoveEnrolment(host HostID) error // nil if it has none
	// TakeEnrolment removes an enrolment and gives it; ErrSpent if it is used or
	// expired, with no difference between the two.
	TakeEnrolment(hash string, now time.Time) (Enrolment, error)

	// AddReport stores a report, its system's protection with it; false: it was
	// there already, and nothing was changed.
	AddReport(Report, Protection) (bool, error)
	PutRun(Run) error
	// AddEvents leaves those that are there already as they are. ErrNotFound: the
	// run is not there.
	AddEvents([]Event) error
	// PutEvent puts other data in place of an event's.
	PutEvent(Event) error
	// AddVersion appends a version if its digest differs from the newest's, or if the
	// newest has a lower number than it asks for, and gives the number it has: its own,
	// or the next.
	AddVersion(Version) (int64, error)
	// PutHalves puts other halves, and their digest, in place of what a version has.
	PutHalves(Version) error

	PutCode(Code) error
	// SpendCode marks a code spent by a nonce; the same nonce again finds it open.
	// ErrSpent: another nonce has it, or it has expired. ErrNotFound: nobody issued it.
	SpendCode(lookup, nonce string, now time.Time) (Code, error)
	RevokeCodes(host HostID) error // removes them, spent ones too

	PutWindow(Window) error
	CloseWindow(HostID) error // nil if none is open

	PutUser(User) error           // by Name; ErrTaken: another has the subject
	RemoveUser(name string) error // with the sessions
	PutSession(Session) error
	RemoveSession(hash string) error
	RemoveSessions(user string) error
	PutToken(Token) error // by ID; ErrTaken: another token has the name
	RemoveToken(id string) error
	PutSetting(key string, value []byte) error

	// Sweep removes what has expired: enrolments, sessions, codes and windows before
	// expired, events of runs that were last heard of before events, of 1000
	// runs at a time. It gives how many rows; none means that all is done.
	Sweep(expired, events time.Time) (int64, error)
	// Prune forgets history from before a moment, at most 1000 rows of a sort at a
	// time: versions that are not among a host's newest (at least 1 stays) and that no
	// code refers to; reports but the newest of each kind of each system, and
	// those that a version came with; runs that no report tells of.
	Prune(before time.Time, versions int) (Pruned, error)
}

// Pruned is how many of each were forgotten.
type Pruned struct{ Versions, Reports, Runs int64 }
