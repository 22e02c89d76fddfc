package smt

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/lab/machine"
)

// Counts of the data that a full server holds.
const (
	Clients     = 40
	MachineData = Clients * len(machineKeys)
	Jobs        = 5
)

// machineKeys are the 20 facts that a client sends at registration.
const machineKeys = "abcdefghijklmnopqrst"

// clientIdentity is GUID and secret of client n.
func clientIdentity(n int) (guid, secret string) {
	sum := sha256.Sum256(fmt.Appendf(nil, "client %d", n))
	return hex.EncodeToString(sum[:16]), hex.EncodeToString(sum[16:])
}

// fill writes the data of a server in use. It is the same at each build.
func fill(m *machine.Machine, db *sql.DB) error {
	products, catalogs := upstream(m)
	if err := writeUpstream(db, products, catalogs, true); err != nil {
		return err
	}
	numbered := hasColumn(db, "Clients", "ID")
	productKey := func(i int) int { return products[i].id }
	if hasColumn(db, "Products", "ID") {
		productKey = func(i int) int { return 100 + i }
	}
	noise := rand.NewChaCha8([32]byte{'s', 'm', 't'})
	last := time.Date(2024, 1, 5, 8, 0, 0, 0, time.UTC)
	var facts machine.Batch
	for n := range Clients {
		guid, secret := clientIdentity(n)
		contact := last.Add(-time.Duration(n*n) * time.Hour).Format(time.DateTime)
		name, text := fmt.Sprintf("client%02d.example.com", n), ""
		if n%10 == 3 {
			text = "Büro Köln, Etage 3 – " + name // MySQL's latin1 has that dash
		}
		cols, args := "GUID, HOSTNAME, TARGET, DESCRIPTION, LASTCONTACT", []any{guid, name, catalogs[0].target, text, contact}
		if numbered {
			cols, args = "ID, SECRET, "+cols, append([]any{n + 1, secret}, args...)
		}
		if err := upsert(db, "Clients", cols, args, "HOSTNAME"); err != nil {
			return err
		}
		if err := upsert(db, "Registration", "GUID, PRODUCTID, REGDATE, NCCREGDATE", []any{guid, productKey(n % 2), contact, contact}, "REGDATE"); err != nil {
			return err
		}
		if n%4 == 0 {
			if err := upsert(db, "Registration", "GUID, PRODUCTID, REGDATE", []any{guid, productKey(2), contact}, "REGDATE"); err != nil {
				return err
			}
		}
		if err := upsert(db, "ClientSubscriptions", "GUID, SUBID", []any{guid, subscriptionID(n % 2)}, "SUBID"); err != nil {
			return err
		}
		for i, key := range machineKeys {
			blob := make([]byte, 16+(n*7+i*13)%200)
			_, _ = noise.Read(blob)
			copy(blob, "\x00'\"\\\n\r\x1a\xff\xfe") // what breaks careless dumps
			if i == 0 {
				blob = []byte(name)
			}
			facts.Add(guid, "machine-"+string(key), blob)
		}
	}
	if err := facts.Insert(db, "MachineData", "GUID, KEYNAME, VALUE"); err != nil {
		return err
	}
	if numbered {
		if err := fillJobs(db); err != nil {
			return err
		}
	}
	if hasTable(db, "Patches") {
		if err := fillPatches(db); err != nil {
			return err
		}
	}
	if machine.MustPart[Spec](m).Local {
		text, err := ddl("local")
		if err == nil {
			_, err = db.Exec(text)
		}
		if err != nil {
			return fmt.Errorf("local additions: %w", err)
		}
	}
	return nil
}

// fillJobs makes five jobs, three of them a chain, and each client's patch state.
func fillJobs(db *sql.DB) error {
	var queue, state machine.Batch
	for _, j := range []struct {
		id, client int
		parent     any
		name       string
		kind, st   int
	}{
		{41, 1, nil, "Patchstatus", 1, 0},
		{42, 2, nil, "Install openssl", 2, 1},
		{43, 2, 42, "Restart services", 5, 0},
		{44, 2, 43, "Reboot", 4, 0},
		{45, 7, nil, "Wait", 6, 2},
	} {
		queue.Add(j.id, j.client, j.parent, j.name, "lab job "+j.name, j.kind, []byte("<arguments>\x00\xff</arguments>"), j.st, "2024-01-04 10:00:00", "2026-12-31 00:00:00")
	}
	for n := range Clients {
		state.Add(n+1, n%2, n%5, n%7, n%3, "2024-01-04 12:00:00")
	}
	if err := queue.Insert(db, "JobQueue", "ID, GUID_ID, PARENT_ID, NAME, DESCRIPTION, TYPE, ARGUMENTS, STATUS, CREATED, EXPIRES"); err != nil {
		return err
	}
	return state.Insert(db, "Patchstatus", "CLIENT_ID, PKGMGR, SECURITY, RECOMMENDED, OPTIONAL, PATCHSTATUS_DATE")
}

func fillPatches(db *sql.DB) error {
	var patches, refs, filters machine.Batch
	for i := range 8 {
		patches.Add(i+1, fmt.Sprintf("SUSE-SLE-%04d", 1000+i), i%3, "Security update", 2)
		refs.Add(i+1, fmt.Sprintf("bnc#%d", 700000+i), "bugzilla")
	}
	filters.Add(2, 1, "hausmittel-tools", 1)
	if err := patches.Insert(db, "Patches", "ID, NAME, CATEGORY, SUMMARY, CATALOGID"); err != nil {
		return err
	}
	if err := refs.Insert(db, "PatchRefs", "PATCHID, REFID, REFTYPE"); err != nil {
		return err
	}
	return filters.Insert(db, "Filters", "CATALOG_ID, TYPE, VALUE, STAGINGGROUP_ID")
}

// buildTree makes the package repositories as mirror runs left them. A custom
// repository has no upstream: it is lost with the tree.
func buildTree(m *machine.Machine, db *sql.DB) error {
	spec := machine.MustPart[Spec](m)
	root := filepath.Join(spec.MirrorTo, "repo")
	if err := os.MkdirAll(spec.MirrorTo, 0o755); err != nil {
		return err
	}
	if err := mirrorDirs(root); err != nil {
		return err
	}
	_, all := upstream(m)
	at := map[string]string{} // where a package is already
	for _, c := range all {
		if len(c.packages) == 0 {
			continue
		}
		t := &mirrorRun{db: db, dir: filepath.Join(root, c.path), digest: sums(m)}
		for _, p := range c.packages {
			path := filepath.Join(t.dir, p.location())
			if first, ok := at[p.file()]; ok {
				if err := mirrorDirs(filepath.Dir(path)); err != nil {
					return err
				}
				if err := os.Link(first, path); err != nil {
					return err
				}
			}
			at[p.file()] = path
		}
		if err := t.fetch(c); err != nil {
			return err
		}
		if err := leftovers(t.dir); err != nil {
			return err
		}
	}
	return put(filepath.Join(root, "keys", "suse.key"), []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\nlab\n-----END PGP PUBLIC KEY BLOCK-----\n"), built("key"))
}
