// Package record says what the fleet server remembers, and what its database
// promises: hosts, their reports and runs, recovery configurations in their
// versions, one-time codes, people, and who did what. It knows no SQL, no HTTP and
// no cryptography beyond digests; stores of it live in fleet/store, which every
// server room reaches through the interface Store.
package record

import (
	"encoding/json"
	"errors"
	"time"
)

// What stores answer beside data.
var (
	ErrNotFound = errors.New("there is no such entry")
	ErrTaken    = errors.New("the name is taken")
	ErrSpent    = errors.New("it was used already, or has expired")
	ErrFull     = errors.New("the fleet server's disk is full, and nothing can be written; make room there")
	// ErrText is given for what PostgreSQL cannot keep and SQLite should not.
	ErrText = errors.New("a text holds NUL or is not UTF-8")
)

// HostID names a host for ever: 16 random bytes in hexadecimal. Names may change.
type HostID string

// Identity is what a machine may be recognised by. Values are normalised: lower
// case, MAC addresses with colons, UUIDs with dashes; empty is unknown.
type Identity struct {
	Hostname string   `json:"hostname,omitempty"` // as in /etc/hostname, with domain if it has one there
	Serial   string   `json:"serial,omitempty"`   // product serial number of DMI
	UUID     string   `json:"uuid,omitempty"`     // product UUID of DMI
	MACs     []string `json:"macs,omitempty"`
}

// Host is one machine of the fleet.
type Host struct {
	ID       HostID    `json:"id"`
	Name     string    `json:"name"`  // unique, as typed by an administrator
	Group    string    `json:"group"` // hosts of a kind; "" is none
	Identity Identity  `json:"identity"`
	Created  time.Time `json:"created"`
	// Key is the SHA-256 of the public key in the host's certificate; "" has not
	// joined yet.
	Key     string    `json:"key,omitempty"`
	Joined  time.Time `json:"joined,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"` // works at once: checked at each request
	Seen    time.Time `json:"seen,omitzero"`    // last report or event
	// Networks are where plain ReaR clients of this host may ask from, as CIDR;
	// none means nowhere.
	Networks []string `json:"networks,omitempty"`
}

// Enrolment lets one host join once, before it expires.
type Enrolment struct {
	Hash    string    `json:"hash"` // SHA-256 of the token; the token itself is shown once
	Host    HostID    `json:"host"`
	Expires time.Time `json:"expires"`
	By      string    `json:"by"`
}

// Report is what a host says after a run, once: ID is the run's, so that a
// report sent twice is stored once.
type Report struct {
	ID       string          `json:"id"`
	Host     HostID          `json:"host"`
	System   string          `json:"system"`
	Kind     string          `json:"kind"`  // backup, recover, drill, verify, copy, prune, forget
	State    string          `json:"state"` // as package runbook names it: done, warnings, failed, …
	Started  time.Time       `json:"started"`
	Ended    time.Time       `json:"ended"`
	Received time.Time       `json:"received"`
	Point    string          `json:"point,omitempty"` // the recovery point made, tried or used
	Bytes    int64           `json:"bytes,omitempty"`
	RTO      float64         `json:"rto,omitempty"`    // seconds, of drills
	RPO      float64         `json:"rpo,omitempty"`    // seconds, of drills
	Detail   json.RawMessage `json:"detail,omitempty"` // checks, gaps, versions; bounded by the API
}

// Objectives are how old things may become before a system counts as late; zero
// is none. They come with reports from the host's own lifeboat.yaml.
type Objectives struct {
	RPO    time.Duration `json:"rpo,omitempty"`
	RTO    time.Duration `json:"rto,omitempty"`
	Drill  time.Duration `json:"drill,omitempty"`
	Verify time.Duration `json:"verify,omitempty"`
}

// Protection is where one system of a host stands now, made of its reports.
type Protection struct {
	Host       HostID     `json:"host"`
	System     string     `json:"system"`
	Profile    string     `json:"profile"`
	Point      string     `json:"point,omitempty"` // last sealed
	PointAt    time.Time  `json:"point_at,omitzero"`
	VerifyAt   time.Time  `json:"verify_at,omitzero"`
	DrillAt    time.Time  `json:"drill_at,omitzero"` // last drill that passed
	LastState  string     `json:"last_state"`        // of the last run of any kind
	LastAt     time.Time  `json:"last_at,omitzero"`
	LastError  string     `json:"last_error,omitempty"`
	Objectives Objectives `json:"objectives"`
}

// Event is one line of a run as the host's engine told it (runbook.Event in
// JSON), or one piece of a foreign program's log. Seq grows within a run.
type Event struct {
	Run  string          `json:"run"`
	Host HostID          `json:"host"`
	Seq  int64           `json:"seq"`
	Time time.Time       `json:"time"`
	Data json.RawMessage `json:"data"`
}

// Run is one execution that a host is reporting live, or has reported.
type Run struct {
	ID      string    `json:"id"`
	Host    HostID    `json:"host"`
	System  string    `json:"system"`
	Kind    string    `json:"kind"`
	State   string    `json:"state"` // "running" until its report or its last event says otherwise
	Started time.Time `json:"started"`
	Updated time.Time `json:"updated"`
}

// Version is one state of a host's recovery configuration. What it holds openly
// is public to whoever knows the host's name, and holds no file; all else is sealed for
// the fleet's age key and never unsealed in the database.
type Version struct {
	Host    HostID    `json:"host"`
	Number  int64     `json:"number"` // from 1, growing
	Created time.Time `json:"created"`
	Digest  string    `json:"digest"` // SHA-256 of Open and Secret; the same again makes no new version
	Open    []byte    `json:"open"`   // JSON of configuration.Open, canonical
	Secret  []byte    `json:"-"`      // age
	Report  string    `json:"report"` // the run it came with
}

// Code is a one-time recovery code. Its text is shown once and not stored: Lookup
// is derived from it one way, Sealed opens with it only.
type Code struct {
	Lookup  string    `json:"lookup"`
	Host    HostID    `json:"host"`
	Version int64     `json:"version"`
	Sealed  []byte    `json:"-"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
	By      string    `json:"by"`
	// Nonce is that of the request that spent the code. The same request again gets
	// the same answer: a lost connection must not cost the code.
	Nonce string    `json:"-"`
	Spent time.Time `json:"spent,omitzero"`
}

// Role is what a person or token may do; each includes the ones before.
type Role string

// The roles.
const (
	Viewer        Role = "viewer"        // sees everything but secrets
	Operator      Role = "operator"      // adds hosts, issues recovery codes
	Administrator Role = "administrator" // revokes, manages people, tokens and keys
)

// May tells whether the role includes another.
func (r Role) May(other Role) bool { return r.rank() >= other.rank() && r.rank() > 0 }

func (r Role) rank() int {
	switch r {
	case Viewer:
		return 1
	case Operator:
		return 2
	case Administrator:
		return 3
	}
	return 0
}

// User is a person who signs in to the console.
type User struct {
	Name     string    `json:"name"`
	Role     Role      `json:"role"`
	Password string    `json:"-"`                 // argon2id in PHC form; "" signs in by OIDC only
	TOTP     []byte    `json:"-"`                 // sealed by the fleet's keys; nil is none
	Step     int64     `json:"-"`                 // the last time step of TOTP that was used: each counts once
	Subject  string    `json:"subject,omitempty"` // "issuer subject" of OIDC
	Created  time.Time `json:"created"`
	Disabled bool      `json:"disabled,omitempty"`
}

// Session is a signed-in browser. The cookie's value is not stored, its hash is.
type Session struct {
	Hash    string
	User    string
	CSRF    string
	Created time.Time
	Used    time.Time
	Expires time.Time
}

// Token lets a program act. Its text is shown once; Hash is its SHA-256.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Hash    string    `json:"-"`
	Role    Role      `json:"role"`
	By      string    `json:"by"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
	Used    time.Time `json:"used,omitzero"`
}

// Entry is one line of the audit log. Hash covers all other fields and Previous,
// so that a line changed, removed or put between shows.
type Entry struct {
	Number   int64     `json:"number"` // from 1, without gaps
	Time     time.Time `json:"time"`
	Actor    string    `json:"actor"`  // "user:NAME", "token:NAME", "host:NAME", "server"
	Action   string    `json:"action"` // "host.add", "code.issue", …
	Object   string    `json:"object"`
	Detail   string    `json:"detail,omitempty"`
	From     string    `json:"from,omitempty"` // address
	Previous string    `json:"previous"`
	Hash     string    `json:"hash"`
}

// Head is the newest entry's number and hash, kept apart from the log and signed
// with the servers' key, so that entries missing at the end show.
type Head struct {
	Number    int64     `json:"number"`
	Hash      string    `json:"hash"`
	Time      time.Time `json:"time"`
	Signature []byte    `json:"signature,omitempty"` // ed25519; none was kept without a key
}

// Window lets one plain ReaR client of a host fetch and tell until it expires: the
// first that comes. Its files are those of the host's newest Version.
type Window struct {
	Host    HostID    `json:"host"`
	Expires time.Time `json:"expires"`
	By      string    `json:"by"`
	Address string    `json:"address,omitempty"` // of the first client; no other may then
}
