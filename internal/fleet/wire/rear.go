package wire

import "time"

// MaxRear bounds the files of a ReaR host as an administrator hands them in, in bytes.
const MaxRear = 8 << 20

// OpenWindow lets one plain ReaR client of a host fetch for a while.
type OpenWindow struct {
	Valid string `json:"valid,omitempty" doc:"How long, such as 30m"`
}

// Window is an open one.
type Window struct {
	Host    string    `json:"host"`
	Expires time.Time `json:"expires"`
	Archive string    `json:"archive" doc:"What RECOVERY_UPDATE_URL has to be"`
}

// RearFiles are the files of a host that only ReaR recovers.
type RearFiles struct {
	Files []RearFile `json:"files" maxItems:"2000"`
}

// RearFile is one of them.
type RearFile struct {
	Path    string `json:"path" maxLength:"4096" doc:"Below /etc/rear or /var/lib/rear"`
	Mode    uint32 `json:"mode" maximum:"511" doc:"Permission bits"`
	Content []byte `json:"content,omitempty"` // nothing is an empty file
}
