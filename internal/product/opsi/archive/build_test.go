package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// item is one entry of an archive that a test makes by hand, as it likes.
type item struct {
	name  string
	text  string
	typ   byte // 0 is a file
	link  string
	mode  int64
	user  string
	group string
	uid   int
	// unlisted leaves the item out of the list of checksums; sum replaces its own.
	unlisted bool
	sum      string
	pax      map[string]string
}

const (
	fileRoot = "CONTENT/BACKENDS/FILE/file"
	keysRoot = "CONTENT/BACKENDS/FILE_HOSTKEYS/"
	dumpFile = "CONTENT/BACKENDS/MYSQL/mysql/database.sql"
	dhcpFile = "CONTENT/BACKENDS/DHCP/dhcpd/dhcpd.conf"
	wholeSQL = "CREATE TABLE `HOST` (a INT);\n-- Dump completed on 2026-11-20 10:11:12\n"
	sysinfo  = "hostname: opsi1\nfqdn: opsi1.example.com\ndomainname: example.com\ndistribution: Debian GNU/Linux\nsysVersion: (12,)\ndistributionId: bookworm\nopsiVersion: 4.3.0.28\n"
)

var itemTime = time.Date(2026, 11, 20, 10, 11, 12, 250_000_000, time.UTC)

// typical is what opsi-backup makes of a small hybrid server.
func typical() []item {
	return []item{
		{name: fileRoot, typ: tar.TypeDir, mode: 0o770, user: "opsiconfd", group: "opsifileadmins", uid: 993},
		{name: fileRoot + "/config.ini", text: "[x]\n", mode: 0o660, user: "opsiconfd", group: "opsifileadmins", uid: 993},
		{name: fileRoot + "/clients", typ: tar.TypeDir, mode: 0o2770, user: "opsiconfd", group: "opsifileadmins", uid: 993},
		{name: fileRoot + "/clients/pc 1.example.com.ini", text: "[info]\n", user: "opsiconfd", group: "opsifileadmins", uid: 993},
		{name: fileRoot + "/clients/bücher.example.com.ini", text: "[info]\nü\n", user: "opsiconfd", group: "opsifileadmins", uid: 993},
		{name: keysRoot + "file/pckeys", text: "pc1.example.com:00112233445566778899aabbccddeeff\n", mode: 0o640, user: "opsiconfd", group: "opsiadmin", uid: 993},
		{name: dumpFile, text: wholeSQL, mode: 0o600, user: "root", group: "root"},
		{name: dhcpFile, text: "subnet\n", user: "root", group: "root"},
		{name: "CONTENT/CONF", typ: tar.TypeDir, mode: 0o755, user: "root", group: "root"},
		{name: "CONTENT/CONF/opsi.conf", text: "[host]\n", user: "opsiconfd", group: "opsiadmin", uid: 993},
		{name: "CONTENT/CONF/backup.conf", typ: tar.TypeLink, link: "CONTENT/CONF/opsi.conf", text: "[host]\n", user: "opsiconfd", group: "opsiadmin", uid: 993},
		{name: "CONTENT/CONF/modules", typ: tar.TypeSymlink, link: "/srv/licence/modules", text: "x", user: "root", group: "root"},
		{name: "CONTENT/CONF/motd", typ: tar.TypeSymlink, link: "opsi.conf", text: "[host]\n", user: "root", group: "root"},
	}
}

// build makes an archive; "" for info or sums leaves that member out. Sums nil
// are computed.
type build struct {
	items  []item
	info   string
	sums   *string
	cut    bool // as opsi-backup cuts the list
	format tar.Format
	pack   Compression
	// after changes the tar stream before it is packed.
	after func([]byte) []byte
}

func (b build) bytes(t testing.TB) []byte {
	t.Helper()
	var plain, list bytes.Buffer
	var order []string
	lines := map[string]string{}
	w := tar.NewWriter(&plain)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range b.items {
		h := &tar.Header{
			Name: i.name, Typeflag: tar.TypeReg, Linkname: i.link, Mode: i.mode, Uname: i.user, Gname: i.group, Uid: i.uid, Gid: i.uid,
			ModTime: itemTime, Format: b.format, PAXRecords: i.pax,
		}
		if i.typ != 0 {
			h.Typeflag = i.typ
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(i.text))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if b.format == tar.FormatGNU {
			h.ModTime = itemTime.Truncate(time.Second)
		}
		must(w.WriteHeader(h))
		if h.Size > 0 {
			_, err := io.WriteString(w, i.text)
			must(err)
		}
		if h.Typeflag == tar.TypeDir || i.unlisted || !strings.HasPrefix(i.name, content) {
			continue
		}
		sum := sha1.Sum([]byte(i.text))
		text := hex.EncodeToString(sum[:])
		if i.sum != "" {
			text = i.sum
		}
		if _, twice := lines[i.name]; !twice { // a dictionary keeps the place of the first
			order = append(order, i.name)
		}
		lines[i.name] = text
	}
	for _, name := range order {
		list.WriteString(lines[name] + " " + name + "\n")
	}
	sums := list.String()
	if b.sums != nil {
		sums = *b.sums
	}
	if b.cut {
		sums = sums[:utf8.RuneCountInString(sums)]
	}
	for _, c := range []struct{ name, text string }{{sumsName, sums}, {infoName, b.info}} {
		if c.text == "" {
			continue
		}
		must(w.WriteHeader(&tar.Header{Name: c.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(c.text)), ModTime: time.Unix(0, 0), Format: b.format}))
		_, err := io.WriteString(w, c.text)
		must(err)
	}
	must(w.Close())
	data := plain.Bytes()
	if b.after != nil {
		data = b.after(data)
	}
	var out bytes.Buffer
	switch b.pack {
	case Gzip:
		z := gzip.NewWriter(&out)
		_, err := z.Write(data)
		must(err)
		must(z.Close())
	case Bzip2:
		z := newBzipWriter(&out)
		_, err := z.Write(data)
		must(err)
		must(z.Close())
	default:
		return data
	}
	return out.Bytes()
}

// tried opens bytes as an archive.
func tried(t testing.TB, data []byte, limits Limits) (*Archive, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := Open(context.Background(), file, limits)
	if a != nil {
		t.Cleanup(func() { _ = a.Close() })
	}
	return a, err
}

func opened(t testing.TB, b build) *Archive {
	t.Helper()
	if b.info == "" {
		b.info = sysinfo
	}
	a, err := tried(t, b.bytes(t), DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// has tells whether a finding of that sort speaks of the text.
func has(list Findings, p Problem, damage bool, text string) bool {
	for _, f := range list {
		if f.Problem == p && f.Damage == damage && strings.Contains(f.String(), text) {
			return true
		}
	}
	return false
}
