package repository

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/repository/crypto"
)

func TestPolynomial(t *testing.T) {
	// x^2+x+1 and x^3+x+1 are irreducible; x^2+1 = (x+1)^2 and x^4+x^2+1 are not.
	for p, want := range map[polynomial]bool{7: true, 11: true, 5: false, 21: false, 2: true, 0x3DA3358B4DC173: true} {
		if got := p.irreducible(); got != want {
			t.Errorf("%s: %v", p, got)
		}
	}
	for range 3 {
		p := newPolynomial()
		if p.degree() != 53 || !p.irreducible() {
			t.Errorf("%s", p)
		}
		if q, err := parsePolynomial(p.String()); err != nil || q != p {
			t.Errorf("%s became %s, %v", p, q, err)
		}
	}
	for _, s := range []string{"", "0", "7", "xyz", "20000000000000", "ffffffffffffffff"} {
		if _, err := parsePolynomial(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestIDs(t *testing.T) {
	id := Hash([]byte("x"))
	got, err := ParseID(id.String())
	if err != nil || got != id || len(id.Short()) != 8 || id.IsZero() || !(ID{}).IsZero() {
		t.Errorf("%s, %v", got, err)
	}
	for _, s := range []string{"", "12", strings.Repeat("x", 64), id.String() + "0"} {
		if _, err := ParseID(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestNodeJSON(t *testing.T) {
	when := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, name := range []string{"plain", "\xff\xfe", `a"b\c`, "new\nline", "ü", "\u00a0", "<&>", "\u2028", "\x00", `\`, `\n`, "�"} {
		n := Node{Name: name, Type: Symlink, LinkTarget: name, ModTime: when, AccessTime: when, ChangeTime: when}
		text, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		var got Node
		if err := json.Unmarshal(text, &got); err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if got.Name != name || got.LinkTarget != name || got.LinkTargetRaw != nil {
			t.Errorf("%q became %q -> %q", name, got.Name, got.LinkTarget)
		}
	}
	// What restic 0.14 writes for a file named a ff e9 " b \.
	var n Node
	if err := json.Unmarshal([]byte(`{"name":"a\\xff\\xe9\\\"b\\\\","type":"file","content":[]}`), &n); err != nil || n.Name != "a\xff\xe9\"b\\" {
		t.Errorf("%q, %v", n.Name, err)
	}
	for _, year := range []int{-5, 10000, 300000} {
		n := Node{Name: "x", Type: File, ModTime: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}
		if _, err := json.Marshal(n); err != nil {
			t.Errorf("year %d: %v", year, err)
		}
	}
}

func TestModes(t *testing.T) {
	for _, mode := range []uint32{0o100644, 0o040755, 0o120777, 0o060660, 0o020666, 0o010600, 0o140755, 0o104755, 0o102755, 0o041777, 0o107777} {
		m := fileMode(mode)
		if got := permissions(m); got != mode&0o7777 {
			t.Errorf("%o became %o", mode, got)
		}
		if got := nodeType(mode); m.Type() == 0 && got != File || m.IsDir() && got != Dir {
			t.Errorf("%o is %s", mode, got)
		}
	}
	if fileMode(0o020666) != os.ModeDevice|os.ModeCharDevice|0o666 {
		t.Error("character device")
	}
}

func TestACL(t *testing.T) {
	value := acl([3]uint32{1, 6, 0xffffffff}, [3]uint32{2, 4, 10}, [3]uint32{2, 6, 20}, [3]uint32{4, 4, 0xffffffff}, [3]uint32{8, 7, 30}, [3]uint32{0x10, 7, 0xffffffff}, [3]uint32{0x20, 0, 0xffffffff})
	uids, gids := ACLIDs(value)
	if !slices.Equal(uids, []uint32{10, 20}) || !slices.Equal(gids, []uint32{30}) {
		t.Errorf("%v %v", uids, gids)
	}
	same, err := TranslateACL(value, nil, nil)
	if err != nil || !bytes.Equal(same, value) {
		t.Errorf("%x, %v", same, err)
	}
	got, err := TranslateACL(value, func(u uint32) uint32 { return 100 - u }, func(g uint32) uint32 { return g + 1 })
	want := acl([3]uint32{1, 6, 0xffffffff}, [3]uint32{2, 6, 80}, [3]uint32{2, 4, 90}, [3]uint32{4, 4, 0xffffffff}, [3]uint32{8, 7, 31}, [3]uint32{0x10, 7, 0xffffffff}, [3]uint32{0x20, 0, 0xffffffff})
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v", got, err)
	}
	for _, bad := range [][]byte{nil, {2}, {1, 0, 0, 0}, value[:len(value)-1]} {
		if _, err := TranslateACL(bad, nil, nil); err == nil {
			t.Errorf("%x was taken", bad)
		}
		if u, g := ACLIDs(bad); u != nil || g != nil {
			t.Errorf("%x has %v %v", bad, u, g)
		}
	}
}

func TestPackHeader(t *testing.T) {
	key := crypto.Random()
	blobs := []packedBlob{
		{id: Hash([]byte("a")), kind: DataBlob, offset: 0, length: 100},
		{id: Hash([]byte("b")), kind: TreeBlob, offset: 100, length: 50, plain: 300},
		{id: Hash([]byte("c")), kind: DataBlob, offset: 150, length: 32},
	}
	pack := appendHeader(make([]byte, 182), key, blobs)
	if int64(len(pack)) != packSize(blobs) {
		t.Errorf("%d bytes, packSize says %d", len(pack), packSize(blobs))
	}
	header, err := key.Open(pack[182 : len(pack)-4])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parseHeader(header, 182); err != nil || !slices.Equal(got, blobs) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, size := range []int64{181, 183, 0} {
		if _, err := parseHeader(header, size); err == nil {
			t.Errorf("a body of %d bytes was taken", size)
		}
	}
	if _, err := parseHeader(header[:40], 182); err == nil {
		t.Error("half a header was taken")
	}
}

// A frame that claims little and holds much is stopped at what it claims.
func TestDecompressionBomb(t *testing.T) {
	e, err := newEncoder(CompressionMax, 1)
	if err != nil {
		t.Fatal(err)
	}
	bomb := e.EncodeAll(make([]byte, 64<<20), nil)
	if len(bomb) > 64<<10 {
		t.Fatalf("%d bytes are no bomb", len(bomb))
	}
	for _, size := range []int{0, 1, 1000, 64<<20 - 1} {
		if got, err := decompress(nil, bomb, size); err == nil || cap(got) > size {
			t.Errorf("%d bytes claimed: %d bytes, %v", size, len(got), err)
		}
	}
	if got, err := decompress(nil, bomb, 64<<20); err != nil || len(got) != 64<<20 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := decompress(nil, bomb, 64<<20+1); err == nil {
		t.Error("less than claimed was taken")
	}
}

func TestTimespec(t *testing.T) {
	for _, want := range []unix.Timespec{{Sec: 0, Nsec: 1}, {Sec: -86400, Nsec: 500}, {Sec: 4102444800, Nsec: 999999999}} {
		if got := timespec(time.Unix(want.Sec, want.Nsec).UTC()); got != want {
			t.Errorf("%v became %v", want, got)
		}
	}
}
