package action

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/secret"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/rescue/identity"
)

// How long what lets a host join holds.
const (
	usualEnrolment = time.Hour
	mostEnrolment  = 30 * 24 * time.Hour
)

// AddHost makes a host that may join. record.ErrTaken: there is one of that name.
func (d *Desk) AddHost(ctx context.Context, a Actor, n wire.NewHost) (wire.Invitation, error) {
	if err := may(a, record.Operator); err != nil {
		return wire.Invitation{}, err
	}
	if err := checkName(n.Name); err != nil {
		return wire.Invitation{}, err
	}
	if err := checkText("the group", n.Group, 100); err != nil {
		return wire.Invitation{}, err
	}
	if err := checkNetworks(n.Networks); err != nil {
		return wire.Invitation{}, err
	}
	if _, err := identity.Hostname(n.Name); err != nil {
		return wire.Invitation{}, invalid("%q is no name for a host: %v", n.Name, err)
	}
	known, err := written(record.Identity{Serial: n.Serial, UUID: n.UUID, MACs: n.MACs})
	if err != nil {
		return wire.Invitation{}, err
	}
	like, _, err := d.Store.Recoverable(ctx, known)
	if err != nil {
		return wire.Invitation{}, err
	}
	h := record.Host{ID: newID(), Name: n.Name, Group: n.Group, Identity: known, Networks: n.Networks, Created: d.now()}
	invitation, enrolment, err := d.invitation(h, a, n.Valid)
	if err != nil {
		return wire.Invitation{}, err
	}
	err = d.change(ctx, func(tx record.Tx) (record.Entry, error) {
		if _, err := tx.HostNamed(n.Name); err == nil {
			return record.Entry{}, fmt.Errorf("host %s: %w", n.Name, record.ErrTaken)
		}
		if err := tx.PutHost(h); err != nil {
			return record.Entry{}, err
		}
		return d.entry(a, "host.add", h.Name, "token until "+enrolment.Expires.Format(time.RFC3339)), tx.PutEnrolment(enrolment)
	})
	if err != nil {
		return wire.Invitation{}, err
	}
	invitation.Warnings = alike(h, like)
	return invitation, nil
}

// alike warns of what a host shares with others.
func alike(h record.Host, others []record.Host) (warnings []string) {
	for _, o := range others[:min(len(others), mostCandidates)] {
		if shared := identity.Shared(h.Identity, o.Identity); o.ID != h.ID && len(shared) > 0 {
			warnings = append(warnings, fmt.Sprintf("%s has the same %s: what two hosts share does not tell which of them a machine is", o.Name, strings.Join(shared, ", ")))
		}
	}
	return warnings
}

// written is an identity as a person has written it.
func written(i record.Identity) (record.Identity, error) {
	// What a rescue system would not say of itself would never be found.
	for _, mac := range i.MACs {
		if _, err := identity.MAC(mac); err != nil {
			return i, invalid("%q is no MAC address that tells a card apart: %v", excerpt.Line(mac, 80), err)
		}
	}
	if i.Serial != "" {
		if _, err := identity.Serial(i.Serial); err != nil {
			return i, invalid("serial number %q: %v", excerpt.Line(i.Serial, 80), err)
		}
	}
	if i.UUID != "" {
		uuid, err := identity.UUID(i.UUID)
		if err != nil {
			return i, invalid("UUID %q: %v", excerpt.Line(i.UUID, 80), err)
		}
		i.UUID = uuid
	}
	return normal(i)
}

// SetHost corrects what is known of a host. What a host that has joined is recognised
// by is what its next report says, where that says something.
func (d *Desk) SetHost(ctx context.Context, a Actor, ref string, c wire.HostChange) (wire.ChangedHost, error) {
	if err := may(a, record.Operator); err != nil {
		return wire.ChangedHost{}, err
	}
	var h record.Host
	err := d.change(ctx, func(tx record.Tx) (record.Entry, error) {
		var err error
		if h, err = find(tx, ref); err != nil {
			return record.Entry{}, err
		}
		was := tell(h.Identity)
		for to, from := range map[*string]*string{&h.Group: c.Group, &h.Identity.Serial: c.Serial, &h.Identity.UUID: c.UUID} {
			if from != nil {
				*to = *from
			}
		}
		if c.MACs != nil {
			h.Identity.MACs = *c.MACs
		}
		if c.Networks != nil {
			h.Networks = *c.Networks
		}
		if err := errors.Join(checkText("the group", h.Group, 100), checkNetworks(h.Networks)); err != nil {
			return record.Entry{}, err
		}
		if h.Identity, err = written(h.Identity); err != nil {
			return record.Entry{}, err
		}
		detail := fmt.Sprintf("group %q, networks %s", h.Group, strings.Join(h.Networks, " "))
		if is := tell(h.Identity); is != was {
			detail += "; was " + was + "; is " + is
		}
		return d.entry(a, "host.set", h.Name, detail), tx.PutHost(h)
	})
	if err != nil {
		return wire.ChangedHost{}, err
	}
	changed := wire.ChangedHost{Host: h}
	if c.Serial != nil || c.UUID != nil || c.MACs != nil {
		like, _, err := d.Store.Recoverable(ctx, h.Identity)
		if err != nil {
			return changed, err
		}
		changed.Warnings = alike(h, like)
	}
	return changed, nil
}

// Enrol gives another token to a host, to join for the first time or again. Only an
// administrator lets a revoked host in again.
func (d *Desk) Enrol(ctx context.Context, a Actor, ref, valid string) (wire.Invitation, error) {
	if err := may(a, record.Operator); err != nil {
		return wire.Invitation{}, err
	}
	var made wire.Invitation
	err := d.change(ctx, func(tx record.Tx) (record.Entry, error) {
		h, err := find(tx, ref)
		if err != nil {
			return record.Entry{}, err
		}
		if !h.Revoked.IsZero() {
			if err := may(a, record.Administrator); err != nil {
				return record.Entry{}, err
			}
		}
		var enrolment record.Enrolment
		if made, enrolment, err = d.invitation(h, a, valid); err != nil {
			return record.Entry{}, err
		}
		return d.entry(a, "host.enrol", h.Name, "token until "+enrolment.Expires.Format(time.RFC3339)), tx.PutEnrolment(enrolment)
	})
	if err != nil {
		return wire.Invitation{}, err
	}
	return made, nil
}

func (d *Desk) invitation(h record.Host, a Actor, valid string) (wire.Invitation, record.Enrolment, error) {
	holds, err := span(valid, usualEnrolment, mostEnrolment)
	if err != nil {
		return wire.Invitation{}, record.Enrolment{}, err
	}
	trust := TrustSystem
	if d.Trust != TrustSystem {
		trust = keys.Fingerprint(d.Keys.Authority)
	}
	text := secret.NewToken("lfj")
	expires := d.now().Add(holds)
	return wire.Invitation{Host: h, URL: d.Keys.URL, Token: text + "." + trust, Expires: expires},
		record.Enrolment{Hash: secret.HashToken(text), Host: h.ID, Expires: expires, By: a.Name}, nil
}

// Revoke shuts a host out, at once, and makes its codes worthless. What it has
// reported stays.
func (d *Desk) Revoke(ctx context.Context, a Actor, ref string) (h record.Host, err error) {
	if err := may(a, record.Administrator); err != nil {
		return h, err
	}
	err = d.change(ctx, func(tx record.Tx) (record.Entry, error) {
		if h, err = find(tx, ref); err != nil {
			return record.Entry{}, err
		}
		if h.Revoked.IsZero() {
			h.Revoked = d.now()
		}
		if err := tx.PutHost(h); err != nil {
			return record.Entry{}, err
		}
		return d.entry(a, "host.revoke", h.Name, ""), errors.Join(tx.RevokeCodes(h.ID), tx.RemoveEnrolment(h.ID))
	})
	return h, err
}

// Remove forgets a host with all it has reported.
func (d *Desk) Remove(ctx context.Context, a Actor, ref string) error {
	if err := may(a, record.Administrator); err != nil {
		return err
	}
	return d.change(ctx, func(tx record.Tx) (record.Entry, error) {
		h, err := find(tx, ref)
		if err != nil {
			return record.Entry{}, err
		}
		return d.entry(a, "host.remove", h.Name, string(h.ID)), tx.RemoveHost(h.ID)
	})
}

func newID() record.HostID {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // it never fails, crypto/rand says
	return record.HostID(hex.EncodeToString(id))
}

// normal writes an identity's values in the one way in which they are compared.
func normal(i record.Identity) (record.Identity, error) {
	n := record.Identity{Hostname: word(i.Hostname), Serial: word(i.Serial), UUID: word(i.UUID)}
	if len(i.MACs) > wire.MaxMACs {
		return n, invalid("a machine has at most %d MAC addresses", wire.MaxMACs)
	}
	for _, text := range i.MACs {
		mac, err := net.ParseMAC(strings.TrimSpace(text))
		if err != nil {
			continue // what has no such address has another way to be known by
		}
		n.MACs = append(n.MACs, mac.String())
	}
	slices.Sort(n.MACs)
	n.MACs = slices.Compact(n.MACs)
	for what, text := range map[string]string{"the hostname": n.Hostname, "the serial number": n.Serial, "the UUID": n.UUID} {
		if err := checkText(what, text, 255); err != nil {
			return n, err
		}
	}
	return n, nil
}

func word(text string) string { return strings.ToLower(strings.TrimSpace(text)) }

// merged is an identity with what is known anew; what a machine does not tell any
// more stays as it was.
func merged(old, now record.Identity) record.Identity {
	for _, v := range []struct{ to, from *string }{{&old.Hostname, &now.Hostname}, {&old.Serial, &now.Serial}, {&old.UUID, &now.UUID}} {
		if *v.from != "" {
			*v.to = *v.from
		}
	}
	if len(now.MACs) > 0 {
		old.MACs = now.MACs
	}
	return old
}

func same(a, b record.Identity) bool {
	return a.Hostname == b.Hostname && a.Serial == b.Serial && a.UUID == b.UUID && slices.Equal(a.MACs, b.MACs)
}

func tell(i record.Identity) string {
	return fmt.Sprintf("hostname %s, serial %s, uuid %s, mac %s", i.Hostname, i.Serial, i.UUID, strings.Join(i.MACs, " "))
}
