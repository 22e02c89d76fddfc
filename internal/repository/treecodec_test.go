package repository

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// encodeByReflection is what the tree's own encoder must agree with.
func encodeByReflection(t *Tree) ([]byte, error) {
	nodes := []*plainNode{}
	for _, n := range t.Nodes {
		p := plainNode(*n)
		p.Name = quoteName(n.Name)
		p.ModTime, p.AccessTime, p.ChangeTime = representable(n.ModTime), representable(n.AccessTime), representable(n.ChangeTime)
		if n.Type == Symlink && !utf8.ValidString(n.LinkTarget) {
			p.LinkTargetRaw = []byte(n.LinkTarget)
		}
		nodes = append(nodes, &p)
	}
	text, err := json.Marshal(map[string]any{"nodes": nodes})
	return append(text, '\n'), err
}

func compareEncoding(t *testing.T, tree *Tree) []byte {
	t.Helper()
	want, wantErr := encodeByReflection(tree)
	got, err := tree.encode()
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%v, want %v", err, wantErr)
	}
	if err == nil && !bytes.Equal(got, want) {
		t.Fatalf("encoded as\n%s\nwant\n%s", got, want)
	}
	return want
}

// fullNode has something in every field.
func fullNode() Node {
	when := time.Date(2026, 11, 21, 14, 30, 0, 123456789, time.UTC)
	return Node{
		Name: "name", Type: File, Mode: 0o644 | os.ModeSetuid, ModTime: when, AccessTime: when, ChangeTime: when.Add(time.Second),
		UID: 1, GID: math.MaxUint32, User: "user", Group: "group", Inode: 1 << 62, DeviceID: 3, Size: 4, Links: 5,
		LinkTarget: "target", LinkTargetRaw: []byte("raw"),
		ExtendedAttributes: []Attribute{{"user.x", []byte("value")}, {"user.empty", []byte{}}},
		Device:             6, Content: []ID{Hash(nil), {}}, Subtree: new(ID),
	}
}

// TestEveryField sets each field of a node alone and leaves each out alone, so
// that no field is ever forgotten in the encoder.
func TestEveryField(t *testing.T) {
	full := reflect.ValueOf(fullNode())
	for i := range full.NumField() {
		if full.Field(i).IsZero() {
			t.Fatalf("fullNode has no %s", full.Type().Field(i).Name)
		}
		var alone Node
		reflect.ValueOf(&alone).Elem().Field(i).Set(full.Field(i))
		without := fullNode()
		reflect.ValueOf(&without).Elem().Field(i).SetZero()
		for _, n := range []Node{alone, without} {
			text := compareEncoding(t, &Tree{Nodes: []*Node{&n, &n}})
			compareDecoding(t, text)
		}
	}
}

func TestOddNodes(t *testing.T) {
	for name, change := range map[string]func(n *Node){
		"unicode":        func(n *Node) { n.Name, n.User, n.LinkTarget = "Größe 大小", "Jörg\u2028", "ä\u2029\ufffd" },
		"not unicode":    func(n *Node) { n.Name, n.User, n.LinkTarget = "a\xff\xfe", "b\xff", "c\xff" },
		"raw target":     func(n *Node) { n.Type, n.LinkTarget = Symlink, "c\xff<" },
		"html":           func(n *Node) { n.Name, n.Group, n.ExtendedAttributes[0].Name = "<a href=\"x\">&</a>", "<>&", "&" },
		"control":        func(n *Node) { n.Name, n.User, n.LinkTarget = "a\n\t\b\x00\x7f\\\"", "\r\f\x01\x7f", "\\\"" },
		"escapes":        func(n *Node) { n.Name, n.User = `\u0041`, `\n` },
		"null value":     func(n *Node) { n.ExtendedAttributes[0].Value = nil },
		"no content":     func(n *Node) { n.Content = []ID{} },
		"no attributes":  func(n *Node) { n.ExtendedAttributes = []Attribute{} },
		"long ago":       func(n *Node) { n.ModTime = time.Unix(-1<<55, 0) },
		"far ahead":      func(n *Node) { n.AccessTime = time.Unix(1<<55, 0) },
		"zero time":      func(n *Node) { n.ModTime, n.AccessTime, n.ChangeTime = time.Time{}, time.Time{}, time.Time{} },
		"another zone":   func(n *Node) { n.ModTime = n.ModTime.In(time.FixedZone("x", -9000)) },
		"seconds a zone": func(n *Node) { n.ChangeTime = n.ModTime.In(time.FixedZone("x", 3601)) },
		"odd zone":       func(n *Node) { n.ChangeTime = n.ModTime.In(time.FixedZone("x", 90*3600)) },
		"large numbers":  func(n *Node) { n.DeviceID, n.Size, n.Inode = math.MaxUint64, 1e19, 1e19-1 },
		"unknown type":   func(n *Node) { n.Type = "<irregular>" },
		"dir":            func(n *Node) { n.Type, n.Content = Dir, nil },
	} {
		t.Run(name, func(t *testing.T) {
			n := fullNode()
			change(&n)
			compareDecoding(t, compareEncoding(t, &Tree{Nodes: []*Node{&n}}))
		})
	}
}

// compareDecoding holds the scanner against encoding/json, and returns whether
// the scanner took the text.
func compareDecoding(t *testing.T, text []byte) bool {
	t.Helper()
	want := new(Tree)
	err := json.Unmarshal(text, want)
	got, scanned := scanTree(text)
	if !scanned {
		return false
	}
	if err != nil {
		t.Fatalf("scanned, but %v:\n%s", err, text)
	}
	if !reflect.DeepEqual(got, want) {
		g, _ := json.Marshal(got)
		t.Fatalf("scanned as\n%s\nfrom\n%s", g, text)
	}
	return true
}

// TestUsualTreesAreScanned keeps the scanner from leaving all work to
// encoding/json unnoticed.
func TestUsualTreesAreScanned(t *testing.T) {
	r, _ := newRepo(t)
	dir := t.TempDir()
	for i := range 40 {
		write(t, filepath.Join(dir, fmt.Sprintf("ä%d", i%3), fmt.Sprintf("file \"%d\" <x>\n", i)), random(uint64(i), 100*i))
	}
	if err := os.Symlink("a\xffb", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	snap, _ := backup(t, r, nil, dir)
	trees := 0
	var look func(id ID)
	look = func(id ID) {
		text, err := r.loadBlob(t.Context(), TreeBlob, id, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !compareDecoding(t, text) {
			t.Fatalf("not scanned: %s", text)
		}
		trees++
		tree, err := parseTree(text)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := tree.encode(); err != nil || !bytes.Equal(again, text) {
			t.Errorf("encoded again it is\n%s\nand was\n%s, %v", again, text, err)
		}
		for _, n := range tree.Nodes {
			if n.Subtree != nil {
				look(*n.Subtree)
			}
		}
	}
	look(*snap.Tree)
	if trees < 5 {
		t.Errorf("%d trees", trees)
	}
}

func FuzzTree(f *testing.F) {
	n := fullNode()
	for _, tree := range []*Tree{{}, {Nodes: []*Node{&n}}, {Nodes: []*Node{{Name: "a", Type: Dir, Subtree: new(ID)}, {Name: "b", Type: Symlink, LinkTarget: "\xff"}}}} {
		text, err := tree.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"nodes":[{"name":"a\\xff","type":"file","mode":420,"content":[]},{"name":"..","type":"dir"}]}`))
	f.Add([]byte(`{"nodes":[null,{"name":"\\"}]}`))
	f.Add([]byte(`{"nodes":[{"name":"a","type":"file","mtime":"2026-01-02T03:04:05.6+01:00","atime":"0000-00-00T00:00:00Z","user":"\u00e4\ud800","content":null,"error":"x"}]} `))
	f.Fuzz(func(t *testing.T, text []byte) {
		compareDecoding(t, text)
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
		again := compareEncoding(t, tree)
		if _, err := parseTree(again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}

func FuzzTreeEncoding(f *testing.F) {
	f.Add("a\xff\"\\\n", "file", "ä<&", "target\u2028", []byte("value"), int64(1e18), int64(-1), uint64(0), uint32(7))
	f.Add("b", "symlink", "", "\xff", []byte(nil), int64(0), int64(1<<62), uint64(1<<63), uint32(0))
	f.Fuzz(func(t *testing.T, name, kind, user, target string, value []byte, mtime, nano int64, number uint64, mode uint32) {
		at := time.Unix(mtime, nano)
		n := &Node{
			Name: name, Type: NodeType(kind), Mode: os.FileMode(mode), ModTime: at, AccessTime: at.UTC(), ChangeTime: at.In(time.FixedZone("", int(mode%90_000))),
			UID: mode, User: user, Group: user, Inode: number, Size: number, LinkTarget: target, LinkTargetRaw: value,
			ExtendedAttributes: []Attribute{{Name: target, Value: value}}, Content: make([]ID, number%3),
		}
		compareDecoding(t, compareEncoding(t, &Tree{Nodes: []*Node{n, {Name: user}}}))
	})
}
