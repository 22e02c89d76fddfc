package storetest

import (
	"slices"
	"testing"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
)

func hosts(t *testing.T, s *store.Store) {
	add(t, s, 1, 2)
	bare := record.Host{ID: ID("bare"), Name: "bare", Created: at(0)}
	other := record.Host{ID: ID("other"), Name: "other", Created: at(0)}
	Change(t, s, func(tx record.Tx) error {
		if err := tx.PutHost(bare); err != nil {
			return err
		}
		if err := tx.PutHost(other); err != nil { // two without a key
			return err
		}
		got, err := tx.Host(other.ID) // a change sees what it did
		same(t, got, other)
		return err
	})
	for _, h := range []record.Host{Host(1), bare} {
		same(t, Get(t, s, func(r record.Reader) (record.Host, error) { return r.Host(h.ID) }), h)
		same(t, Get(t, s, func(r record.Reader) (record.Host, error) { return r.HostNamed(h.Name) }), h)
	}
	same(t, Get(t, s, func(r record.Reader) (record.Host, error) { return r.HostByKey("key-2") }), Host(2))
	lacks(t, s, func(r record.Reader) (record.Host, error) { return r.HostByKey("") })
	lacks(t, s, func(r record.Reader) (record.Host, error) { return r.Host("gone") })
	same(t, Get(t, s, func(r record.Reader) (record.Host, error) { return r.HostNamed("HOST00001") }), Host(1))
	lacks(t, s, func(r record.Reader) (record.Host, error) { return r.HostNamed("HOST0000") })

	renamed := Host(1)
	renamed.Name, renamed.Revoked, renamed.Identity.MACs = "renamed", at(9), []string{"52:54:09:00:00:01"}
	Change(t, s, func(tx record.Tx) error { return tx.PutHost(renamed) })
	same(t, Get(t, s, func(r record.Reader) (record.Host, error) { return r.Host(renamed.ID) }), renamed)
	lacks(t, s, func(r record.Reader) (record.Host, error) { return r.HostNamed("host00001") })

	taken := Host(3)
	taken.Name = "renamed"
	wrong(t, s, record.ErrTaken, func(tx record.Tx) error { return tx.PutHost(taken) })
	taken.Name, taken.Key = "host3", "key-2"
	wrong(t, s, record.ErrTaken, func(tx record.Tx) error { return tx.PutHost(taken) })
	// ErrTaken does not spoil the change: another name may be tried in it.
	Change(t, s, func(tx record.Tx) error {
		if tx.PutHost(taken) == nil {
			t.Error("a key belongs to two hosts")
		}
		taken.Key = "key-3"
		return tx.PutHost(taken)
	})

	Change(t, s, func(tx record.Tx) error { return tx.SawHost(bare.ID, at(50)) })
	Change(t, s, func(tx record.Tx) error { return tx.SawHost(bare.ID, at(40)) })
	if h := Get(t, s, func(r record.Reader) (record.Host, error) { return r.Host(bare.ID) }); !h.Seen.Equal(at(50)) {
		t.Errorf("seen at %v, want %v", h.Seen, at(50))
	}
	wrong(t, s, record.ErrNotFound, func(tx record.Tx) error { return tx.SawHost("gone", at(1)) })

	local := record.Host{ID: ID("local"), Name: "local", Created: at(7).In(time.FixedZone("", 3600)).Add(999 * time.Nanosecond)}
	Change(t, s, func(tx record.Tx) error { return tx.PutHost(local) })
	if h := Get(t, s, func(r record.Reader) (record.Host, error) { return r.Host(local.ID) }); h.Created != at(7) {
		t.Errorf("a time came back as %v, want %v", h.Created, at(7))
	}
}

func hostsLike(t *testing.T, s *store.Store) {
	add(t, s, 1, 9)
	twin := Host(10)
	twin.Identity.MACs = append(twin.Identity.MACs, Host(3).Identity.MACs[0])
	gone := Host(11)
	gone.Identity, gone.Revoked = Host(4).Identity, at(1)
	Change(t, s, func(tx record.Tx) error {
		for _, h := range []record.Host{twin, gone} {
			if err := tx.PutHost(h); err != nil {
				return err
			}
		}
		return nil
	})
	for _, c := range []struct {
		name string
		id   record.Identity
		want []string
	}{
		{"nothing", record.Identity{}, nil},
		{"unknown", record.Identity{Hostname: "x", Serial: "x", UUID: "x", MACs: []string{"x"}}, nil},
		{"hostname", record.Identity{Hostname: "host00001.example.com"}, []string{"host00001"}},
		{"serial", record.Identity{Serial: "sn-2"}, []string{"host00002"}},
		{"uuid", record.Identity{UUID: Host(5).Identity.UUID}, []string{"host00005"}},
		{"second mac", record.Identity{MACs: []string{"x", Host(6).Identity.MACs[1]}}, []string{"host00006"}},
		{"shared mac", record.Identity{MACs: Host(3).Identity.MACs}, []string{"host00003", "host00010"}},
		{"several", record.Identity{Serial: "sn-2", Hostname: "host00001.example.com"}, []string{"host00001", "host00002"}},
		{"revoked", Host(4).Identity, []string{"host00004"}},
	} {
		var names []string
		found, version, err := s.Recoverable(t.Context(), c.id)
		if err != nil || version != nil {
			t.Errorf("%s: version %v, %v", c.name, version, err)
		}
		for _, h := range found {
			names = append(names, h.Name)
		}
		if !slices.Equal(names, c.want) {
			t.Errorf("%s: %v, want %v", c.name, names, c.want)
		}
	}
	moved := Host(6)
	moved.Identity.MACs = nil
	Change(t, s, func(tx record.Tx) error { return tx.PutHost(moved) })
	if got, _, err := s.Recoverable(t.Context(), record.Identity{MACs: Host(6).Identity.MACs}); err != nil || len(got) > 0 {
		t.Errorf("a host is found by the address that it had: %v, %v", got, err)
	}
}

func hostsPaged(t *testing.T, s *store.Store) {
	add(t, s, 1, 40)
	odd := []string{"Zebra", "apfel", "Äpfel", "host00001-b", "host00001.b", "host_1"} // no locale's order
	Change(t, s, func(tx record.Tx) error {
		for _, name := range odd {
			if err := tx.PutHost(record.Host{ID: ID(name), Name: name, Group: "smt", Created: at(0)}); err != nil {
				return err
			}
		}
		return nil
	})
	for _, group := range []string{"", "smt", "none"} {
		var want, got []string
		for n := 1; n <= 40; n++ {
			if h := Host(n); group == "" || h.Group == group {
				want = append(want, h.Name)
			}
		}
		if group != "none" {
			want = append(want, odd...)
		}
		slices.Sort(want)
		for after := ""; ; {
			page := Get(t, s, func(r record.Reader) ([]record.Host, error) {
				return r.Hosts(group, record.Page{After: after, Limit: 7})
			})
			for _, h := range page {
				got = append(got, h.Name)
			}
			if len(page) < 7 {
				break
			}
			after = page[6].Name
		}
		if !slices.Equal(got, want) {
			t.Errorf("group %q: %v, want %v", group, got, want)
		}
	}
	for _, n := range []int{0, -1, 1001} {
		if err := try(s, func(tx record.Tx) error {
			_, err := tx.Hosts("", record.Page{Limit: n})
			return err
		}); err == nil {
			t.Errorf("a page of %d entries", n)
		}
	}
}

func hostRemoved(t *testing.T, s *store.Store) {
	add(t, s, 1, 2)
	for _, n := range []int{1, 2} {
		h := Host(n)
		Change(t, s, func(tx record.Tx) error {
			if _, err := tx.AddReport(Report(h.ID, 1), Protection(h.ID, 1)); err != nil {
				return err
			}
			if _, err := tx.AddVersion(record.Version{Host: h.ID, Digest: "d", Open: []byte("{}")}); err != nil {
				return err
			}
			for _, err := range []error{
				tx.PutEnrolment(record.Enrolment{Hash: h.Name, Host: h.ID, Expires: at(9)}),
				tx.PutRun(record.Run{ID: "run", Host: h.ID}),
				tx.AddEvents([]record.Event{{Run: "run", Host: h.ID, Seq: 1}}),
				tx.PutCode(record.Code{Lookup: h.Name, Host: h.ID, Expires: at(9)}),
				tx.PutWindow(record.Window{Host: h.ID, Expires: at(9)}),
			} {
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	gone, there := Host(1), Host(2)
	Change(t, s, func(tx record.Tx) error { return tx.RemoveHost(gone.ID) })
	wrong(t, s, record.ErrNotFound, func(tx record.Tx) error { return tx.RemoveHost(gone.ID) })
	count := func(h record.Host) (n int) {
		return Get(t, s, func(r record.Reader) (int, error) {
			p, err := r.Protections(h.ID)
			n += len(p)
			if err != nil {
				return n, err
			}
			rep, err := r.Reports(h.ID, record.Page{Limit: 9})
			n += len(rep)
			if err != nil {
				return n, err
			}
			v, err := r.Versions(h.ID)
			n += len(v)
			if err != nil {
				return n, err
			}
			e, err := r.Events(h.ID, "run", 0, 9)
			n += len(e)
			if err != nil {
				return n, err
			}
			c, err := r.Codes(h.ID)
			n += len(c)
			if err != nil {
				return n, err
			}
			return n, err
		})
	}
	if a, b := count(gone), count(there); a != 0 || b != 5 {
		t.Errorf("%d things of the removed host, %d of the other; want 0 and 5", a, b)
	}
	lacks(t, s, func(r record.Reader) (record.Window, error) { return r.Window(gone.ID, at(0)) })
	wrong(t, s, record.ErrSpent, func(tx record.Tx) error {
		_, err := tx.TakeEnrolment(gone.Name, at(0))
		return err
	})
	// The name and the key are free again.
	again := gone
	again.ID = ID("again")
	Change(t, s, func(tx record.Tx) error { return tx.PutHost(again) })
	// What comes late for it is refused.
	wrong(t, s, record.ErrNotFound, func(tx record.Tx) error {
		_, err := tx.AddReport(Report(gone.ID, 2), Protection(gone.ID, 2))
		return err
	})
	wrong(t, s, record.ErrNotFound, func(tx record.Tx) error { return tx.PutRun(record.Run{ID: "r", Host: gone.ID}) })
	wrong(t, s, record.ErrNotFound, func(tx record.Tx) error {
		_, err := tx.AddVersion(record.Version{Host: gone.ID, Digest: "e"})
		return err
	})
}

func enrolments(t *testing.T, s *store.Store) {
	add(t, s, 1, 3)
	e := record.Enrolment{Hash: "hash", Host: Host(1).ID, Expires: at(60), By: "user:anna"}
	Change(t, s, func(tx record.Tx) error { return tx.PutEnrolment(e) })
	take := func(hash string, now time.Time) func(record.Tx) error {
		return func(tx record.Tx) error {
			got, err := tx.TakeEnrolment(hash, now)
			if err == nil && hash == "hash" {
				same(t, got, e)
			}
			return err
		}
	}
	wrong(t, s, record.ErrSpent, take("hash", at(60)))
	wrong(t, s, record.ErrSpent, take("other", at(0)))
	Change(t, s, take("hash", at(59)))
	wrong(t, s, record.ErrSpent, take("hash", at(59)))

	// A new one takes the old one's place.
	second := record.Enrolment{Hash: "second", Host: Host(2).ID, Expires: at(60)}
	third := record.Enrolment{Hash: "third", Host: Host(2).ID, Expires: at(60)}
	Change(t, s, func(tx record.Tx) error { return tx.PutEnrolment(second) })
	Change(t, s, func(tx record.Tx) error { return tx.PutEnrolment(third) })
	wrong(t, s, record.ErrSpent, take("second", at(0)))
	Change(t, s, take("third", at(0)))

	Change(t, s, func(tx record.Tx) error {
		return tx.PutEnrolment(record.Enrolment{Hash: "off", Host: Host(3).ID, Expires: at(60)})
	})
	Change(t, s, func(tx record.Tx) error { return tx.RemoveEnrolment(Host(3).ID) })
	Change(t, s, func(tx record.Tx) error { return tx.RemoveEnrolment(Host(3).ID) })
	wrong(t, s, record.ErrSpent, take("off", at(0)))
	wrong(t, s, record.ErrNotFound, func(tx record.Tx) error {
		return tx.PutEnrolment(record.Enrolment{Hash: "x", Host: "gone", Expires: at(60)})
	})
}
