// Package wire is what goes between the fleet server, its hosts and people's
// programs: the bodies of the API in JSON. Server and clients share these types, so
// that they cannot drift apart. How they are carried, and what is done with them, is
// decided elsewhere.
package wire

import (
	"encoding/json"
	"time"

	"lifeboat/internal/fleet/record"
)

// DefaultPort is where a fleet server listens.
const DefaultPort = "8444"

// Bounds of what a host may send, in bytes.
const (
	MaxReport = 16 << 20 // a report with a recovery configuration
	MaxEvents = 1 << 20  // of one call, with at most MaxEventCount of them
	MaxDetail = 256 << 10
	MaxText   = 4 << 10 // of a name, an error, an identity's value
	MaxBody   = 64 << 10

	MaxEventCount = 500
	MaxMACs       = 64
)

// NewHost is a host that an administrator adds, with what is known of it yet.
type NewHost struct {
	Name     string   `json:"name" minLength:"1" maxLength:"253" doc:"Unique; letters, digits, dots and hyphens"`
	Group    string   `json:"group,omitempty" maxLength:"100"`
	Serial   string   `json:"serial,omitempty" maxLength:"200"`
	UUID     string   `json:"uuid,omitempty" maxLength:"200"`
	MACs     []string `json:"macs,omitempty" maxItems:"64"`
	Networks []string `json:"networks,omitempty" maxItems:"64" doc:"Where plain ReaR clients of this host may ask from, as CIDR"`
	Valid    string   `json:"valid,omitempty" doc:"How long its token holds, such as 1h"`
}

// HostChange corrects what is known of a host; what is left out stays, and what is empty
// goes.
type HostChange struct {
	Group    *string   `json:"group,omitempty" maxLength:"100"`
	Serial   *string   `json:"serial,omitempty" maxLength:"200"`
	UUID     *string   `json:"uuid,omitempty" maxLength:"200"`
	MACs     *[]string `json:"macs,omitempty" maxItems:"64" doc:"All of them"`
	Networks *[]string `json:"networks,omitempty" maxItems:"64" doc:"All of them, as CIDR"`
}

// ChangedHost is a host as it is known now.
type ChangedHost struct {
	record.Host
	// Warnings are what should be put right, such as a card that another host has.
	Warnings []string `json:"warnings,omitempty"`
}

// Enrol asks for another token of a host.
type Enrol struct {
	Valid string `json:"valid,omitempty" doc:"How long the token holds, such as 1h"`
}

// Invitation is what lets a host join, once.
type Invitation struct {
	Host    record.Host `json:"host"`
	URL     string      `json:"url"`
	Token   string      `json:"token" doc:"Shown once; it also says whom the host has to trust"`
	Expires time.Time   `json:"expires"`
	// Warnings are what should be put right, such as a card that another host has.
	Warnings []string `json:"warnings,omitempty"`
}

// Join is what a host says to be let in.
type Join struct {
	Token    string          `json:"token" maxLength:"256"`
	Request  []byte          `json:"request" maxLength:"16384" doc:"PKCS #10, DER"`
	Identity record.Identity `json:"identity"`
	Version  string          `json:"version,omitempty" maxLength:"100"`
}

// Joined is what a host gets, and keeps.
type Joined struct {
	Host        record.HostID `json:"host"`
	Name        string        `json:"name"`
	Certificate string        `json:"certificate" doc:"PEM"`
	Fleet       Fleet         `json:"fleet"`
}

// Fleet is what a fleet is known by. It is no secret.
type Fleet struct {
	URL       string   `json:"url"`
	Authority string   `json:"authority" doc:"Certificate in PEM form"`
	Recipient string   `json:"recipient" doc:"Whom the secret halves of recovery configurations are sealed for (age)"`
	Keys      []string `json:"keys" doc:"Public signing keys, as they are pinned on rescue media"`
}

// Renew asks for the next certificate of the same key.
type Renew struct {
	Request []byte `json:"request" maxLength:"16384" doc:"PKCS #10, DER"`
}

// Certificate is a certificate in PEM form.
type Certificate struct {
	Certificate string `json:"certificate"`
}

// RunReport is what a host says after a run, with its recovery configuration where that
// is to be kept: after a backup that went well.
type RunReport struct {
	System        string            `json:"system" minLength:"1" maxLength:"255"`
	Kind          string            `json:"kind" minLength:"1" maxLength:"32"`
	State         string            `json:"state" minLength:"1" maxLength:"64"`
	Started       time.Time         `json:"started"`
	Ended         time.Time         `json:"ended"`
	Profile       string            `json:"profile,omitempty" maxLength:"255"`
	Point         string            `json:"point,omitempty" maxLength:"128"`
	PointAt       time.Time         `json:"point_at,omitzero" doc:"The moment that the point is of"`
	Bytes         int64             `json:"bytes,omitempty" minimum:"0"`
	RTO           float64           `json:"rto,omitempty" minimum:"0" doc:"Seconds"`
	RPO           float64           `json:"rpo,omitempty" minimum:"0" doc:"Seconds"`
	Error         string            `json:"error,omitempty" maxLength:"4096"`
	Detail        json.RawMessage   `json:"detail,omitempty"`
	Objectives    record.Objectives `json:"objectives"`
	Identity      record.Identity   `json:"identity"`
	Version       string            `json:"version,omitempty" maxLength:"100" doc:"Of lifeboat"`
	Configuration *Configuration    `json:"configuration,omitempty"`
}

// Configuration is a host's recovery configuration as the host sends it.
type Configuration struct {
	Open   []byte `json:"open" doc:"JSON of the open half, in its only form"`
	Secret []byte `json:"secret,omitempty" doc:"The secret half, sealed for the fleet (age)"`
	// SecretDigest changes when the secret half does. It is keyed by the host, so that
	// nobody can try passwords against it: sealing gives other bytes each time.
	SecretDigest string `json:"secret_digest,omitempty" maxLength:"64"`
	// After is the newest version that the host was told of. A server that was put back
	// to an earlier day gives no number a second time.
	After int64 `json:"after,omitempty" minimum:"0" maximum:"1099511627776"`
}

// Receipt says what became of a report.
type Receipt struct {
	New           bool   `json:"new" doc:"false: the report was there already"`
	Configuration int64  `json:"configuration,omitempty" doc:"Version of the recovery configuration that is kept now"`
	Recipient     string `json:"recipient,omitempty"`
}

// RunEvents are lines of a run that is under way.
type RunEvents struct {
	System  string     `json:"system" minLength:"1" maxLength:"255"`
	Kind    string     `json:"kind" minLength:"1" maxLength:"32"`
	Started time.Time  `json:"started"`
	Events  []RunEvent `json:"events" maxItems:"500"`
}

// RunEvent is one of them. Seq grows within a run.
type RunEvent struct {
	Seq  int64           `json:"seq" minimum:"1"`
	Time time.Time       `json:"time"`
	Data json.RawMessage `json:"data"`
}
