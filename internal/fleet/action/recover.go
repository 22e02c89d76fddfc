package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/rescue/configuration"
)

const (
	// answerFor is how long an answer for one request holds: it carries the request's
	// nonce, so this only bounds a machine that keeps it.
	answerFor   = 10 * time.Minute
	usualExport = 30 * 24 * time.Hour
	mostExport  = 366 * 24 * time.Hour
)

// Request is what a lost machine says of itself.
type Request struct {
	ID       string // of the host, or its name, where a person has said which
	Identity record.Identity
	Nonce    string
	Lookup   string // of a recovery code; "" without one
	From     string
}

// ChoiceError says that several hosts may be meant.
type ChoiceError struct{ Candidates []wire.Candidate }

func (e *ChoiceError) Error() string {
	return fmt.Sprintf("%d hosts may be meant; say which by its id", len(e.Candidates))
}

// ErrOtherCode says that a code is good, and another host's. Only who has one learns it.
var ErrOtherCode = errors.New("the recovery code was made for another host")

// Recover gives a lost machine its recovery configuration, signed for this request.
// Errors: record.ErrNotFound, ErrNoConfiguration, record.ErrSpent and ErrOtherCode of the
// code, *ChoiceError.
func (d *Desk) Recover(ctx context.Context, q Request) ([]byte, error) {
	identity, err := normal(q.Identity)
	if err != nil {
		return nil, err
	}
	if !configuration.Nonce(q.Nonce) {
		return nil, invalid("a request carries a nonce of %d bytes in hexadecimal", configuration.NonceSize)
	}
	if q.Lookup != "" {
		return d.recoverWithCode(ctx, q, identity)
	}
	// Anybody may ask: what is secret stays in the database.
	if q.ID != "" {
		var h record.Host
		var v record.Version
		err = d.Store.Read(ctx, func(r record.Reader) (err error) {
			if h, err = find(r, q.ID); err == nil && !h.Revoked.IsZero() {
				err = fmt.Errorf("host %s is revoked: %w", h.Name, record.ErrNotFound)
			}
			if err != nil {
				return err
			}
			v, err = r.OpenVersion(h.ID)
			if errors.Is(err, record.ErrNotFound) {
				err = fmt.Errorf("host %s: %w", h.Name, ErrNoConfiguration)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		like, _, err := d.Store.Recoverable(ctx, identity)
		if err != nil {
			return nil, err
		}
		return d.sign(h, v, q.Nonce, decisive(like, h, identity), nil)
	}
	like, v, err := d.Store.Recoverable(ctx, identity)
	if err != nil {
		return nil, err
	}
	h, err := match(like, identity)
	if errors.Is(err, record.ErrNotFound) {
		err = d.namesake(ctx, identity.Hostname)
	}
	if err != nil {
		return nil, err
	}
	if len(like) > 1 { // it was chosen among several, and its version is still to be asked for
		err = d.Store.Read(ctx, func(r record.Reader) error {
			newest, err := r.OpenVersion(h.ID)
			v = &newest
			return err
		})
	} else if v == nil {
		err = record.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return d.sign(h, *v, q.Nonce, decisive(like, h, identity), nil)
}

// namesake offers the host that is called as a machine is, with its domain or without,
// and that is recognised by nothing else: a person says whether it is the one.
func (d *Desk) namesake(ctx context.Context, hostname string) error {
	first, _, _ := strings.Cut(hostname, ".")
	for _, name := range []string{hostname, first} {
		if name == "" {
			continue
		}
		var h record.Host
		err := d.Store.Read(ctx, func(r record.Reader) (err error) { h, err = r.HostNamed(name); return err })
		switch {
		case err == nil && h.Revoked.IsZero():
			return &ChoiceError{[]wire.Candidate{{ID: h.ID, Name: h.Name, Matched: []string{"hostname"}}}}
		case err != nil && !errors.Is(err, record.ErrNotFound):
			return err
		}
	}
	return record.ErrNotFound
}

// recoverWithCode gives the secrets too. The code says which host is meant: what the
// machine looks like may have changed with it.
func (d *Desk) recoverWithCode(ctx context.Context, q Request, identity record.Identity) ([]byte, error) {
	var h record.Host
	var v record.Version
	var code record.Code
	now := d.now()
	// Most that is wrong is found so, and holds nobody up.
	err := d.Store.Read(ctx, func(r record.Reader) error { _, err := r.Code(q.Lookup); return err })
	if errors.Is(err, record.ErrNotFound) {
		return nil, record.ErrSpent
	}
	if err != nil {
		return nil, err
	}
	err = d.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		known, err := tx.Code(q.Lookup)
		if err == nil {
			h, err = tx.Host(known.Host)
		}
		if errors.Is(err, record.ErrNotFound) || err == nil && !h.Revoked.IsZero() {
			return nil, record.ErrSpent
		}
		if err != nil {
			return nil, err
		}
		if q.ID != "" && q.ID != string(h.ID) && !strings.EqualFold(q.ID, h.Name) {
			if known.Nonce == "" && now.Before(known.Expires) {
				return nil, ErrOtherCode
			}
			return nil, record.ErrSpent
		}
		if code, err = tx.SpendCode(q.Lookup, q.Nonce, now); err != nil {
			return nil, err
		}
		if v, err = tx.Version(h.ID, code.Version); err != nil {
			return nil, err
		}
		if !known.Spent.IsZero() {
			return nil, nil // the same request again: its connection was lost
		}
		return []record.Entry{{Actor: "host:" + h.Name, From: q.From, Action: "code.spend", Object: h.Name, Detail: fmt.Sprintf("version %d", v.Number)}}, nil
	})
	if errors.Is(err, record.ErrNotFound) {
		err = record.ErrSpent
	}
	if err != nil {
		return nil, err
	}
	like, _, err := d.Store.Recoverable(ctx, identity)
	if err != nil {
		return nil, err
	}
	return d.sign(h, v, q.Nonce, decisive(like, h, identity), code.Sealed)
}

func (d *Desk) sign(h record.Host, v record.Version, nonce string, matched *record.Identity, sealed []byte) ([]byte, error) {
	now := d.now()
	open, err := configuration.Public(v.Open)
	if err != nil {
		return nil, err
	}
	s := configuration.Statement{
		Host: h.ID, HostName: h.Name, Version: v.Number, Created: v.Created,
		Issued: now, Expires: now.Add(answerFor), Nonce: nonce, Open: open, Sealed: sealed,
	}
	return s.Sign(configuration.NewSigner(d.Keys.Signing))
}

// Export signs a host's configuration for a file, without secrets and for no request
// in particular: media take it only where they are told to.
func (d *Desk) Export(ctx context.Context, a Actor, ref, valid string) ([]byte, error) {
	if err := may(a, record.Operator); err != nil {
		return nil, err
	}
	holds, err := span(valid, usualExport, mostExport)
	if err != nil {
		return nil, err
	}
	var s configuration.Statement
	err = d.change(ctx, func(tx record.Tx) (record.Entry, error) {
		h, err := find(tx, ref)
		if err != nil {
			return record.Entry{}, err
		}
		v, err := tx.Version(h.ID, 0)
		if errors.Is(err, record.ErrNotFound) {
			err = ErrNoConfiguration
		}
		if err != nil {
			return record.Entry{}, err
		}
		open, err := configuration.Public(v.Open)
		if err != nil {
			return record.Entry{}, err
		}
		now := d.now()
		s = configuration.Statement{
			Host: h.ID, HostName: h.Name, Version: v.Number, Created: v.Created,
			Issued: now, Expires: now.Add(holds), Static: true, Open: open,
		}
		return d.entry(a, "configuration.export", h.Name, fmt.Sprintf("version %d, until %s", v.Number, s.Expires.Format(time.RFC3339))), nil
	})
	if err != nil {
		return nil, err
	}
	return s.Sign(configuration.NewSigner(d.Keys.Signing))
}

// match finds the one host that a machine is among those that share a value with it.
// Serial number, UUID, MAC addresses and hostname count in this order; a value that
// two hosts share does not decide.
func match(like []record.Host, i record.Identity) (record.Host, error) {
	if len(like) == 0 {
		return record.Host{}, record.ErrNotFound
	}
	matched := map[record.HostID][]string{}
	var decided *record.Host
	for _, way := range ways(i) {
		found := map[record.HostID]*record.Host{}
		for _, is := range way.is {
			var sharing []*record.Host
			for n := range like {
				if is(like[n].Identity) {
					sharing = append(sharing, &like[n])
				}
			}
			for _, h := range sharing {
				if !slices.Contains(matched[h.ID], way.name) {
					matched[h.ID] = append(matched[h.ID], way.name)
				}
				if len(sharing) == 1 {
					found[h.ID] = h
				}
			}
		}
		for _, h := range found {
			if len(found) == 1 && decided == nil {
				decided = h
			}
		}
	}
	if decided != nil {
		return *decided, nil
	}
	choice := &ChoiceError{}
	for _, h := range like {
		if len(matched[h.ID]) > 0 && len(choice.Candidates) < mostCandidates {
			choice.Candidates = append(choice.Candidates, wire.Candidate{ID: h.ID, Name: h.Name, Matched: matched[h.ID]})
		}
	}
	if len(choice.Candidates) == 0 {
		return record.Host{}, record.ErrNotFound
	}
	return record.Host{}, choice
}

// decisive is what of a request's identity a host has and none of the others that are
// alike. It is signed, so that who sits in between cannot ask for another host that
// shares a value with the machine.
func decisive(like []record.Host, h record.Host, i record.Identity) *record.Identity {
	alone := func(is func(record.Identity) bool) bool {
		return is(h.Identity) && !slices.ContainsFunc(like, func(o record.Host) bool { return o.ID != h.ID && is(o.Identity) })
	}
	var d record.Identity
	for _, v := range []struct {
		to    *string
		value string
		of    func(record.Identity) string
	}{
		{&d.Hostname, i.Hostname, func(o record.Identity) string { return o.Hostname }},
		{&d.Serial, i.Serial, func(o record.Identity) string { return o.Serial }},
		{&d.UUID, i.UUID, func(o record.Identity) string { return o.UUID }},
	} {
		if v.value != "" && alone(func(o record.Identity) bool { return v.of(o) == v.value }) {
			*v.to = v.value
		}
	}
	for _, m := range i.MACs {
		if alone(func(o record.Identity) bool { return slices.Contains(o.MACs, m) }) {
			d.MACs = append(d.MACs, m)
		}
	}
	return &d
}

// mostCandidates bounds what a person is asked to choose from.
const mostCandidates = 50

// way is one way to recognise a machine; of the values that it has any counts.
type way struct {
	name string
	is   []func(record.Identity) bool
}

func ways(i record.Identity) []way {
	one := func(value string, of func(record.Identity) string) []func(record.Identity) bool {
		if value == "" {
			return nil
		}
		return []func(record.Identity) bool{func(o record.Identity) bool { return of(o) == value }}
	}
	mac := way{name: "mac"}
	for _, m := range i.MACs {
		mac.is = append(mac.is, func(o record.Identity) bool { return slices.Contains(o.MACs, m) })
	}
	return []way{
		{"serial", one(i.Serial, func(o record.Identity) string { return o.Serial })},
		{"uuid", one(i.UUID, func(o record.Identity) string { return o.UUID })},
		mac,
		{"hostname", one(i.Hostname, func(o record.Identity) string { return o.Hostname })},
	}
}
