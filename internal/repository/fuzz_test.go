package repository

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// All parsers of foreign bytes: none may panic, and what they accept must keep
// what the code behind them relies on.

func FuzzPackHeader(f *testing.F) {
	f.Add([]byte{}, int64(0))
	f.Add(append([]byte{0, 100, 0, 0, 0}, make([]byte, 32)...), int64(100))
	f.Add(append([]byte{3, 100, 0, 0, 0, 9, 0, 0, 0}, make([]byte, 32)...), int64(100))
	f.Fuzz(func(t *testing.T, header []byte, size int64) {
		blobs, err := parseHeader(header, size)
		if err != nil {
			return
		}
		var end int64
		for _, b := range blobs {
			if int64(b.offset) != end {
				t.Fatalf("blob at %d, not %d", b.offset, end)
			}
			end += int64(b.length)
			_ = b.size()
		}
		if end != size {
			t.Fatalf("%d of %d bytes", end, size)
		}
	})
}

// FuzzIndex compares the scanner with encoding/json, which decides what an index
// file says.
func FuzzIndex(f *testing.F) {
	const pack, blob = "73d04e6125cf3c28a299cc2f3cca3b78ceac396e4fcf9575e34536b26782413c", "3ec79977ef0cf5de7b08cd12b874cd0f62bbaf7f07f3497a5b1bbcc8cb39b1ce"
	const entry = `{"id":"` + blob + `","type":"data","offset":0,"length":38,"uncompressed_length":511}`
	const tree = `{"id":"` + blob + `","type":"tree","offset":38,"length":4000000000}`
	for _, text := range []string{
		`{"packs":[{"id":"` + pack + `","blobs":[` + entry + `,` + tree + `]}]}`,
		`{"supersedes":["` + blob + `","` + pack + `"],"packs":[{"id":"` + pack + `","blobs":[` + entry + `]},{"id":"` + strings.ToUpper(pack) + `","blobs":[]}]}` + "\n",
		`{"packs":[{"id":"` + pack + `","blobs":[` + entry + `,]}]}`,
		`{"supersedes":[],"packs":[]}`,
		`{"supersedes":null,"packs":null}`,
		`{ "packs" : [{"blobs":[{"type":"d\u0061ta","id":"` + blob + `","length":32,"offset":00,"x":1}],"ID":"` + pack + `"}],"packs":[]}`,
		`{"packs":[{"id":"` + pack + `","blobs":[{"id":"` + blob + `","type":"data","offset":4294967296,"length":1e2}]}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var scanned, list listing
		ok := scanned.scan(text)
		var file indexFile
		err := json.Unmarshal(text, &file)
		var want []indexPack
		for _, p := range file.Packs {
			if _, wrong := p.entries(); err == nil {
				err = wrong
			}
			want = append(want, p)
		}
		if ok && err != nil {
			t.Fatalf("scanned, but %v", err)
		}
		if got := list.parse(text); (got == nil) != (err == nil) {
			t.Fatalf("parse: %v, encoding/json: %v", got, err)
		}
		if err != nil {
			return
		}
		file.Packs = append([]indexPack{}, file.Packs...)
		for i, p := range file.Packs {
			file.Packs[i].Blobs = append([]indexBlob{}, p.Blobs...)
		}
		if written, err := json.Marshal(file); err != nil || !bytes.Equal(appendIndex(nil, file), written) {
			t.Fatalf("written as %s, want %s, %v", appendIndex(nil, file), written, err)
		}
		if !new(listing).scan(appendIndex(nil, file)) {
			t.Fatal("what is written is not what is scanned")
		}
		lists := []*listing{&list}
		if ok {
			lists = append(lists, &scanned)
		}
		for _, l := range lists {
			n := 0
			l.each(func(pack ID, blobs []packedBlob) {
				if entries, _ := want[n].entries(); pack != want[n].ID || !slices.Equal(blobs, entries) {
					t.Fatalf("pack %d is %s %v, want %v", n, pack, blobs, want[n])
				}
				n++
			})
			if n != len(want) {
				t.Fatalf("%d packs, want %d", n, len(want))
			}
		}
		x := newIndex()
		x.addFile(ID{}, &list)
		for _, blobs := range x.byPack() {
			for _, b := range blobs {
				if b.size() > b.length && b.plain == 0 {
					t.Fatalf("%+v", b)
				}
			}
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	f.Add([]byte(`{"time":"2015-01-02T18:10:50.895208559+01:00","tree":"2da81727b6585232894cfbb8f8bdab8d1eccd3d8f7c92bc934d62e62e618ffdf","paths":["/x"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseSnapshot(text)
		if err == nil && s.Tree == nil {
			t.Fatal("no tree")
		}
	})
}

func FuzzKeyFile(f *testing.F) {
	f.Add([]byte(`{"kdf":"scrypt","N":32768,"r":8,"p":6,"salt":"AAAA","data":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parseKeyFile(text)
		if err == nil && (k.N*k.R*128 > 1<<30 || k.P < 1) {
			t.Fatalf("%+v", k)
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"version":2,"id":"5956a3f67a6230d4a92cefb29529f10196c7d92582ec305fd71ff6d331d6271b","chunker_polynomial":"25b468838dcb75"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseConfig(text)
		if err == nil && (c.Version < 1 || c.Version > 2) {
			t.Fatalf("%+v", c)
		}
	})
}

func FuzzUnpacked(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte("\x02\x28\xb5\x2f\xfd\x00\x00\x00"))
	f.Fuzz(func(_ *testing.T, plain []byte) {
		if text, err := decodeUnpacked(plain, new(fileBuffer)); err == nil {
			_ = json.Valid(text)
		}
	})
}

func FuzzNodeName(f *testing.F) {
	f.Add("a\xff\"\\\n")
	f.Fuzz(func(t *testing.T, name string) {
		got, err := unquoteName(quoteName(name))
		if err != nil || got != name {
			t.Fatalf("%q became %q, %v", name, got, err)
		}
	})
}

func FuzzACL(f *testing.F) {
	f.Add(acl([3]uint32{1, 6, 0}, [3]uint32{2, 4, 10}))
	f.Fuzz(func(t *testing.T, value []byte) {
		got, err := TranslateACL(value, func(u uint32) uint32 { return u ^ 1 }, nil)
		// Entries of nobody are left out; none is added and none is cut.
		if err == nil && (len(got) > len(value) || (len(value)-len(got))%aclEntry != 0) {
			t.Fatalf("%x became %x", value, got)
		}
		ACLIDs(value)
	})
}
