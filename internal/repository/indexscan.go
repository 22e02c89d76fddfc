package repository

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"

	"lifeboat/internal/repository/crypto"
)

// listing is what one index file lists: packs, and their blobs one after the
// other. It is used again for the next file.
type listing struct {
	packs []packRun
	blobs []packedBlob
}

// packRun is a pack and how many of the blobs are its own.
type packRun struct {
	id    ID
	count uint32
}

func (l *listing) reset() { l.packs, l.blobs = l.packs[:0], l.blobs[:0] }

// each calls visit for every pack.
func (l *listing) each(visit func(pack ID, blobs []packedBlob)) {
	at := 0
	for _, p := range l.packs {
		visit(p.id, l.blobs[at:at+int(p.count)])
		at += int(p.count)
	}
}

// maxUnusualIndex bounds what is left to encoding/json, where a few bytes of text
// can take 80 of memory. Programs that write this format close an index file at
// 50,000 blobs, some 9 MB.
const maxUnusualIndex = 32 << 20

// parse reads an index file's JSON. What has the shape that this program and
// restic write is scanned in one pass; everything else (other keys, another
// order, spaces, escapes) is left to encoding/json, which also finds the words
// for what is wrong.
func (l *listing) parse(text []byte) error {
	if l.scan(text) {
		return nil
	}
	l.reset()
	if len(text) > maxUnusualIndex {
		return errTooLarge
	}
	var file indexFile
	if err := json.Unmarshal(text, &file); err != nil {
		return err
	}
	for _, p := range file.Packs {
		blobs, err := p.entries()
		if err != nil {
			return err
		}
		l.packs = append(l.packs, packRun{p.ID, uint32(len(blobs))})
		l.blobs = append(l.blobs, blobs...)
	}
	return nil
}

// scan is parse for the usual shape. It reports false for every other, valid or
// not.
func (l *listing) scan(text []byte) bool {
	l.reset()
	s := scanner{rest: bytes.TrimRight(text, " \t\r\n")}
	if !s.token(`{`) {
		return false
	}
	if s.token(`"supersedes":[`) && !(s.list(s.id) && s.token(`,`)) {
		return false
	}
	pack := func() bool {
		if !s.token(`{"id":`) || !s.id() || !s.token(`,"blobs":[`) {
			return false
		}
		id, before := s.found, len(l.blobs)
		if !s.list(func() bool { return l.blob(&s) }) || !s.token(`}`) {
			return false
		}
		l.packs = append(l.packs, packRun{id, uint32(len(l.blobs) - before)})
		return true
	}
	return s.token(`"packs":[`) && s.list(pack) && s.token(`}`) && len(s.rest) == 0
}

// blob scans one blob and checks it as indexPack.entries does.
func (l *listing) blob(s *scanner) bool {
	if !s.token(`{"id":`) || !s.id() || !s.token(`,"type":"`) {
		return false
	}
	b := packedBlob{id: s.found}
	switch {
	case s.token(`data","offset":`):
	case s.token(`tree","offset":`):
		b.kind = TreeBlob
	default:
		return false
	}
	offset, ok := s.number()
	if !ok || !s.token(`,"length":`) {
		return false
	}
	length, ok := s.number()
	if !ok {
		return false
	}
	var plain uint64
	if s.token(`,"uncompressed_length":`) {
		if plain, ok = s.number(); !ok {
			return false
		}
	}
	if !s.token(`}`) || checkPlace(offset, length, plain) != nil {
		return false
	}
	b.offset, b.length, b.plain = uint32(offset), uint32(length), uint32(plain)
	l.blobs = append(l.blobs, b)
	return true
}

// checkPlace refuses places that no pack has.
func checkPlace(offset, length, plain uint64) error {
	if length < crypto.Overhead || offset > math.MaxUint32 || length > math.MaxUint32-offset || plain > maxTreeBlob {
		return fmt.Errorf("at %d with length %d", offset, length)
	}
	return nil
}

// scanner takes tokens off the front of a text.
type scanner struct {
	rest  []byte
	found ID // by id
}

// token takes exactly t.
func (s *scanner) token(t string) bool {
	if len(s.rest) < len(t) || string(s.rest[:len(t)]) != t {
		return false
	}
	s.rest = s.rest[len(t):]
	return true
}

// list takes what follows an opening bracket.
func (s *scanner) list(element func() bool) bool {
	if s.token(`]`) {
		return true
	}
	for element() {
		if !s.token(`,`) {
			return s.token(`]`)
		}
	}
	return false
}

// id takes an ID in quotes.
func (s *scanner) id() bool {
	const size = 2 + 2*len(s.found)
	if len(s.rest) < size || s.rest[0] != '"' || s.rest[size-1] != '"' {
		return false
	}
	digits := (*[size - 2]byte)(s.rest[1:])
	var wrong uint8
	for i := range s.found {
		high, low := hexDigit[digits[2*i]], hexDigit[digits[2*i+1]]
		wrong |= high | low
		s.found[i] = high<<4 | low&15
	}
	if wrong > 15 {
		return false
	}
	s.rest = s.rest[size:]
	return true
}

// number takes digits as JSON has them, of numbers below 10¹⁹.
func (s *scanner) number() (n uint64, ok bool) {
	i := 0
	for i < len(s.rest) && s.rest[i]-'0' <= 9 {
		if i == 19 {
			return 0, false
		}
		n = 10*n + uint64(s.rest[i]-'0')
		i++
	}
	if i == 0 || i > 1 && s.rest[0] == '0' {
		return 0, false
	}
	s.rest = s.rest[i:]
	return n, true
}

// hexDigit is the value of a hexadecimal digit, above 15 for other bytes.
var hexDigit = func() (table [256]uint8) {
	for c := range table {
		switch {
		case c >= '0' && c <= '9':
			table[c] = uint8(c - '0')
		case c >= 'a' && c <= 'f':
			table[c] = uint8(c - 'a' + 10)
		case c >= 'A' && c <= 'F':
			table[c] = uint8(c - 'A' + 10)
		default:
			table[c] = 255
		}
	}
	return table
}()
