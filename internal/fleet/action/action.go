// Package action is what can be done with a fleet: hosts are added, join, report and
// are revoked, codes are issued, configurations are given out. Each is one change of
// the store together with its line in the audit log. API and console call it, and
// both obey the same rules; it knows no HTTP.
package action

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/strict"
)

// Errors beside those of package record; their text is for people.
var (
	// ErrForbidden says that the actor's role does not suffice.
	ErrForbidden = errors.New("your role does not allow that")
	// ErrInvalid says what is wrong with what was given.
	ErrInvalid = errors.New("invalid")
)

// Actor is who does something.
type Actor struct {
	Name string // "user:NAME", "token:NAME", "server"
	Role record.Role
	From string // address
}

// Desk is where things are done. It may be used concurrently.
type Desk struct {
	Store record.Store
	Keys  *keys.Keys
	// Trust is what hosts that join are told to trust: TrustAuthority or TrustSystem.
	Trust string
	Now   func() time.Time
}

// Whom a host trusts to be the fleet server.
const (
	// TrustSystem is the authorities that the host's system trusts: the server has a
	// certificate of theirs.
	TrustSystem = "system"
	// TrustAuthority is the fleet's own authority.
	TrustAuthority = "authority"
)

// New makes a desk. The server's certificate is the fleet's own unless it is said
// otherwise.
func New(store record.Store, k *keys.Keys) *Desk {
	return &Desk{Store: store, Keys: k, Trust: TrustAuthority, Now: time.Now}
}

func (d *Desk) now() time.Time { return d.Now().UTC().Truncate(time.Microsecond) }

// may refuses what an actor may not do.
func may(a Actor, role record.Role) error {
	if a.Role.May(role) {
		return nil
	}
	return fmt.Errorf("%w: it takes the role %s", ErrForbidden, role)
}

func (d *Desk) entry(a Actor, action, object, detail string) record.Entry {
	return record.Entry{Time: d.now(), Actor: a.Name, From: a.From, Action: action, Object: object, Detail: detail}
}

// change runs f in one transaction, with one entry in the audit log.
func (d *Desk) change(ctx context.Context, f func(record.Tx) (record.Entry, error)) error {
	return d.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		e, err := f(tx)
		if err != nil {
			return nil, err
		}
		return []record.Entry{e}, nil
	})
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// find is the host that an id or a name means.
func find(r record.Reader, ref string) (record.Host, error) {
	if isID(ref) {
		h, err := r.Host(record.HostID(ref))
		if !errors.Is(err, record.ErrNotFound) {
			return h, err
		}
	}
	h, err := r.HostNamed(ref)
	if errors.Is(err, record.ErrNotFound) {
		return h, fmt.Errorf("host %q: %w", excerpt.Line(ref, 80), err)
	}
	return h, err
}

// Host finds a host by id or name.
func (d *Desk) Host(ctx context.Context, ref string) (h record.Host, err error) {
	err = d.Store.Read(ctx, func(r record.Reader) error { h, err = find(r, ref); return err })
	return h, err
}

func isID(text string) bool {
	return len(text) == 32 && strings.Trim(text, "0123456789abcdef") == ""
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`)

// checkName refuses what is no name of a host. One that looks like an id would make
// two hosts one.
func checkName(name string) error {
	switch {
	case !plainName.MatchString(name):
		return invalid("%q is no name of a host; it has letters, digits, dots and hyphens", excerpt.Line(name, 80))
	case isID(name):
		return invalid("a host's name must not look like an id")
	}
	return nil
}

// checkText refuses what a terminal or a page would obey.
func checkText(what, text string, most int) error {
	if !excerpt.Plain(text, most) {
		return invalid("%s is too long or holds control characters", what)
	}
	return nil
}

func checkNetworks(networks []string) error {
	for _, n := range networks {
		if _, err := netip.ParsePrefix(n); err != nil {
			return invalid("%q is no network; write one like 192.0.2.0/24", excerpt.Line(n, 80))
		}
	}
	return nil
}

// span reads how long something is to hold.
func span(text string, usual, most time.Duration) (time.Duration, error) {
	if text == "" {
		return usual, nil
	}
	d, err := strict.ParseDuration(text)
	if err != nil || d <= 0 || d > most {
		return 0, invalid("%q is no time to hold for; write one like 1h or 30d, of at most %d days", excerpt.Line(text, 80), most/(24*time.Hour))
	}
	return d, nil
}
