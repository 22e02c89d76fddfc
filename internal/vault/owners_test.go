package vault

import (
	"testing"

	"lifeboat/internal/host"
	"lifeboat/internal/host/hosttest"
	"lifeboat/internal/repository"
)

// The smt user has another number on the new machine, and its old number
// belongs to somebody else there.
func TestOwnersFollowNames(t *testing.T) {
	lost := hosttest.With(t, map[string]string{"etc/passwd": "root:x:0:0::/root:/bin/sh\nsmt:x:480:8::/var/lib/smt:/bin/false\ngone:x:38:8::/:/bin/false\n", "etc/group": "root:x:0:\nwww:x:8:\n"})
	fresh := hosttest.With(t, map[string]string{"etc/passwd": "root:x:0:0::/root:/bin/sh\nsmt:x:497:30::/var/lib/smt:/bin/false\nntp:x:480:65534::/:/bin/false\nother:x:480000:1::/:/bin/false\n", "etc/group": "root:x:0:\nwww:x:30:\n"})
	ids := map[uint32]struct{}{0: {}, 38: {}, 480: {}, 999: {}, 480000: {}}
	table := ownersOf(lost, ids, map[uint32]struct{}{0: {}, 8: {}, 77: {}})
	owners := table.Owners(fresh)
	for old, want := range map[uint32]answer{0: {0, true}, 480: {497, true}, 999: {999, false}, 38: {repository.NoID, false}, 480000: {repository.NoID, false}} {
		if id, known := owners.UID(old); id != want.id || known != want.known {
			t.Errorf("UID(%d) = %d, %v; want %v", old, id, known, want)
		}
	}
	for old, want := range map[uint32]answer{8: {30, true}, 77: {77, false}} {
		if id, known := owners.GID(old); id != want.id || known != want.known {
			t.Errorf("GID(%d) = %d, %v; want %v", old, id, known, want)
		}
	}
	if owners.Name(480) != "smt" || owners.GroupName(8) != "www" {
		t.Errorf("names are %q and %q", owners.Name(480), owners.GroupName(8))
	}
}

// Files below a root without account files belong to the superuser all the same,
// also in points that do not name 0.
func TestOwnersOfTheSuperuser(t *testing.T) {
	empty, err := host.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ids := map[uint32]struct{}{0: {}, 8: {}}
	table := ownersOf(empty, ids, ids)
	if len(table.Users) != 1 || table.Users[0] != "root" || len(table.Groups) != 1 || table.Groups[0] != "root" {
		t.Errorf("owners are %+v", table)
	}
	fresh := hosttest.With(t, map[string]string{"etc/passwd": "root:x:0:0::/root:/bin/sh\n", "etc/group": "root:x:0:\n"})
	for name, table := range map[string]OwnerTable{"named": table, "not named": {}} {
		for _, h := range []*host.Host{fresh, empty} {
			owners := table.Owners(h)
			uid, known := owners.UID(0)
			gid, knownGroup := owners.GID(0)
			if uid != 0 || gid != 0 || !known || !knownGroup {
				t.Errorf("%s: 0 is %d (%v) and %d (%v)", name, uid, known, gid, knownGroup)
			}
		}
	}
}

func TestDecodeManifest(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"good":          {`{"format":1,"system":"smt","unknown":true}`, true},
		"newer":         {`{"format":2,"system":"smt"}`, false},
		"no format":     {`{"system":"smt"}`, false},
		"no system":     {`{"format":1}`, false},
		"not JSON":      {`format: 1`, false},
		"another shape": {`[1]`, false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := decodeManifest([]byte(c.text)); (err == nil) != c.ok {
				t.Errorf("error %v", err)
			}
		})
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"format":1,"system":"smt","components":[{"name":"a","status":"captured"}]}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		if m, err := decodeManifest(data); err == nil {
			_ = m.Bytes()
			_, _ = m.Component("a")
		}
	})
}
