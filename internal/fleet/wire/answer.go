package wire

import (
	"encoding/json"
	"time"

	"lifeboat/internal/fleet/record"
)

// HostDetail is a host with how its systems stand.
type HostDetail struct {
	record.Host
	Protections   []record.Protection `json:"protections"`
	Configuration int64               `json:"configuration,omitempty" doc:"Newest version of its recovery configuration"`
}

// List is a part of a list; Next is what to ask for to get the next part, if there
// is one.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// IssuedCode is a one-time recovery code, shown once.
type IssuedCode struct {
	Host    string    `json:"host"`
	Code    string    `json:"code"`
	Version int64     `json:"version"`
	Expires time.Time `json:"expires"`
}

// Version is a recovery configuration as people see it.
type Version struct {
	Number  int64           `json:"number"`
	Created time.Time       `json:"created"`
	Digest  string          `json:"digest"`
	Report  string          `json:"report"`
	Secret  bool            `json:"secret" doc:"There is a secret half"`
	Open    json.RawMessage `json:"open,omitempty"`
}

// NewToken asks for a token of a program.
type NewToken struct {
	Name  string      `json:"name" minLength:"1" maxLength:"100"`
	Role  record.Role `json:"role" enum:"viewer,operator,administrator"`
	Valid string      `json:"valid,omitempty" doc:"How long it holds, such as 720h; for ever without it"`
}

// MadeToken is a token, shown once.
type MadeToken struct {
	record.Token
	Text string `json:"text"`
}

// Export asks for a signed file.
type Export struct {
	Valid string `json:"valid,omitempty" doc:"How long it holds, such as 720h"`
}

// Candidate is a host that a lost machine may be.
type Candidate struct {
	ID      record.HostID `json:"id"`
	Name    string        `json:"name"`
	Matched []string      `json:"matched"`
}

// Candidates are those among which a person has to choose.
type Candidates struct {
	Candidates []Candidate `json:"candidates"`
}

// Problem is an error of the API (RFC 9457).
type Problem struct {
	Type   string `json:"type,omitempty"`
	Title  string `json:"title,omitempty"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors,omitempty"`
}

// AuditState is whether the audit log holds together. Head is worth keeping elsewhere:
// a log that was put back to an earlier day shows only against it.
type AuditState struct {
	Whole   bool        `json:"whole"`
	Entries int64       `json:"entries"`
	Head    record.Head `json:"head"`
	Broken  int64       `json:"broken,omitempty" doc:"The first entry that is wrong or missing"`
	Reason  string      `json:"reason,omitempty"`
	// Alarms are entries in which a server says that the log before was changed.
	Alarms []record.Entry `json:"alarms,omitempty"`
}
