// Package audit is the chain of the fleet's audit log: how an entry hangs on the one
// before, how the newest is signed, and whether a whole log holds together. Stores
// call it for each entry; what is worth an entry is decided by whoever changes
// something. It knows no SQL and no HTTP.
//
// What it shows, and what not: each entry's hash covers all of it and the hash before,
// so an entry changed, removed or put between breaks the chain at its place. The head
// (number and hash of the newest) is kept in a row of its own and signed with the
// servers' key, so entries missing at the end show, and whoever has the database but
// not the key can neither write a new end nor a new log. Such a person can put back
// log and head of an earlier day together, as a restored backup of the database would:
// a server that runs meanwhile notices, and says so in the next entry; otherwise that
// shows only against something kept elsewhere, a Witness. Whoever has the servers' key
// too can write any log; then only a witness tells.
package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"time"

	"lifeboat/internal/fleet/record"
)

// What is hashed and signed begins with its purpose, so that no other signature of
// the same key can be taken for one of a head.
const (
	entryContext = "lifeboat fleet audit entry 1"
	headContext  = "lifeboat fleet audit head 1"
)

// What the server says of the log itself.
const (
	Begun = "audit.begin" // nothing was there before
	Alarm = "audit.alarm" // what was there before is not what was written
)

// Judge looks at the head that entries are to be put on; seen is the number of the
// newest entry that this server knows of. The entry it gives comes before them: a new
// signature must not make good what was wrong before it.
func Judge(head record.Head, seen int64, keys ...ed25519.PublicKey) *record.Entry {
	e := &record.Entry{Actor: "server", Action: Alarm, Object: "audit"}
	switch {
	case head.Number < seen:
		e.Detail = fmt.Sprintf("this server has seen entry %d, and the log ended at %d", seen, head.Number)
	case head.Number == 0:
		e.Action = Begun
	case !Signed(head, keys...):
		e.Detail = fmt.Sprintf("the log ended at entry %d without the signature of this server's key", head.Number)
	default:
		return nil
	}
	return e
}

// Next gives an entry its place after a head: number, the hash before, its own hash;
// and the head it makes, without a signature. A time that is missing is now.
func Next(head record.Head, e record.Entry) (record.Entry, record.Head) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	e.Number, e.Previous = head.Number+1, head.Hash
	e.Hash = Sum(e)
	return e, record.Head{Number: e.Number, Hash: e.Hash, Time: e.Time}
}

// Sum is an entry's hash: SHA-256 in hexadecimal over all other fields, each with its
// length before it.
func Sum(e record.Entry) string {
	h := sha256.New()
	put(h, entryContext)
	number(h, e.Number)
	number(h, e.Time.UnixMicro())
	for _, s := range []string{e.Actor, e.Action, e.Object, e.Detail, e.From, e.Previous} {
		put(h, s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Sign signs a head.
func Sign(key ed25519.PrivateKey, h record.Head) []byte { return ed25519.Sign(key, message(h)) }

// Signed tells whether one of the keys signed the head.
func Signed(h record.Head, keys ...ed25519.PublicKey) bool {
	for _, key := range keys {
		if len(key) == ed25519.PublicKeySize && ed25519.Verify(key, message(h), h.Signature) {
			return true
		}
	}
	return false
}

func message(head record.Head) []byte {
	h := sha256.New()
	put(h, headContext)
	number(h, head.Number)
	number(h, head.Time.UnixMicro())
	put(h, head.Hash)
	return append([]byte(headContext+"\n"), h.Sum(nil)...)
}

func put(h hash.Hash, s string) {
	number(h, int64(len(s)))
	h.Write([]byte(s))
}

func number(h hash.Hash, n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}
