package repository

import (
	"encoding/json"
	"path/filepath"
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

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"packs":[{"id":"73d04e6125cf3c28a299cc2f3cca3b78ceac396e4fcf9575e34536b26782413c","blobs":[{"id":"3ec79977ef0cf5de7b08cd12b874cd0f62bbaf7f07f3497a5b1bbcc8cb39b1ce","type":"data","offset":0,"length":38,"uncompressed_length":511}]}]}`))
	f.Add([]byte(`{"supersedes":null,"packs":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		packs, err := parseIndex(text)
		if err != nil {
			return
		}
		x := newIndex()
		for id, blobs := range packs {
			x.add(id, blobs)
			for _, b := range blobs {
				if b.size() > b.length && b.plain == 0 {
					t.Fatalf("%+v", b)
				}
			}
		}
		x.byPack()
	})
}

func FuzzTree(f *testing.F) {
	f.Add([]byte(`{"nodes":[]}`))
	f.Add([]byte(`{"nodes":[{"name":"a\\xff","type":"file","mode":420,"content":[]},{"name":"..","type":"dir"}]}`))
	f.Add([]byte(`{"nodes":[null,{"name":"\\"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		tree, err := parseTree(text)
		if err != nil {
			return
		}
		last := ""
		for _, n := range tree.Nodes {
			if n.Name <= last || n.Name == "." || n.Name == ".." || strings.ContainsAny(n.Name, "/\x00") || filepath.Base(n.Name) != n.Name {
				t.Fatalf("name %q after %q", n.Name, last)
			}
			last = n.Name
			if n.Type == Dir && n.Subtree == nil {
				t.Fatal("a directory without a tree")
			}
		}
		again, err := tree.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseTree(again); err != nil {
			t.Fatalf("%s: %v", again, err)
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
		if text, err := decodeUnpacked(plain); err == nil {
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
