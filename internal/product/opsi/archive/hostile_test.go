package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Whatever an archive holds, it is told clearly, and nothing is written.
func TestHostileArchives(t *testing.T) {
	with := func(i item) build { return build{items: append(typical(), i), info: sysinfo, pack: Gzip} }
	empty, listed := " ", "0000000000000000000000000000000000000000 CONTENT/CONF/gone\n"
	small := DefaultLimits
	small.Members, small.Bytes, small.Control, small.Depth = 20, 1<<20, 4096, 8
	ratio := DefaultLimits
	zeros := func() []byte { // 80 MiB of zeros in 80 KiB
		var out bytes.Buffer
		z, _ := gzip.NewWriterLevel(&out, 9)
		_, _ = io.Copy(z, io.LimitReader(zero{}, 72<<20))
		_ = z.Close()
		return out.Bytes()
	}
	typicalBytes := build{items: typical(), info: sysinfo, pack: Gzip}.bytes(t)
	plainBytes := build{items: typical(), info: sysinfo}.bytes(t)
	bz := build{items: typical(), info: sysinfo, pack: Bzip2}.bytes(t)
	flip := func(data []byte, at int) []byte {
		data = bytes.Clone(data)
		data[at] ^= 0x10
		return data
	}
	content := bytes.Index(plainBytes, []byte("subnet"))
	for name, c := range map[string]struct {
		data   []byte
		limits *Limits
		is     error
		text   string
	}{
		"absolute":               {data: with(item{name: "/etc/passwd", text: "x"}).bytes(t), is: ErrHostile, text: "absolute"},
		"dots":                   {data: with(item{name: "CONTENT/CONF/../../../etc/passwd", text: "x"}).bytes(t), is: ErrHostile, text: "leads out"},
		"dots at the end":        {data: with(item{name: "CONTENT/CONF/..", typ: tar.TypeDir}).bytes(t), is: ErrHostile, text: "leads out"},
		"device":                 {data: with(item{name: "CONTENT/CONF/sda", typ: tar.TypeBlock}).bytes(t), is: ErrHostile, text: "device"},
		"character device":       {data: with(item{name: "CONTENT/CONF/null", typ: tar.TypeChar}).bytes(t), is: ErrHostile, text: "device"},
		"pipe":                   {data: with(item{name: "CONTENT/CONF/pipe", typ: tar.TypeFifo}).bytes(t), is: ErrHostile, text: "pipe"},
		"hard link outside":      {data: with(item{name: "CONTENT/CONF/shadow", typ: tar.TypeLink, link: "/etc/shadow", unlisted: true}).bytes(t), is: ErrHostile, text: "absolute"},
		"hard link above":        {data: with(item{name: "CONTENT/CONF/shadow", typ: tar.TypeLink, link: "../../etc/shadow", unlisted: true}).bytes(t), is: ErrHostile, text: "leads out"},
		"hard link to nothing":   {data: with(item{name: "CONTENT/CONF/shadow", typ: tar.TypeLink, link: "etc/shadow", unlisted: true}).bytes(t), is: ErrDamaged, text: "no file of that name"},
		"hard link to a link":    {data: with(item{name: "CONTENT/CONF/shadow", typ: tar.TypeLink, link: "CONTENT/CONF/modules", unlisted: true}).bytes(t), is: ErrDamaged, text: "no file of that name"},
		"hard link to itself":    {data: with(item{name: "CONTENT/CONF/shadow", typ: tar.TypeLink, link: "CONTENT/CONF/shadow", unlisted: true}).bytes(t), is: ErrDamaged, text: "no file of that name"},
		"file below a file":      {data: with(item{name: "CONTENT/CONF/opsi.conf/x", text: "x"}).bytes(t), is: ErrDamaged, text: "no directory"},
		"two contents":           {data: with(item{name: "CONTENT/CONF/opsi.conf", text: "evil"}).bytes(t), is: ErrDamaged, text: "twice"},
		"link after file":        {data: with(item{name: "CONTENT/CONF/opsi.conf", typ: tar.TypeSymlink, link: "/etc/shadow", unlisted: true}).bytes(t), is: ErrDamaged, text: "twice"},
		"owner":                  {data: with(item{name: "CONTENT/CONF/x", user: "a:0:0\nroot"}).bytes(t), is: ErrHostile, text: "no name"},
		"link nowhere":           {data: with(item{name: "CONTENT/CONF/x", typ: tar.TypeSymlink, link: strings.Repeat("x", 5000), unlisted: true}).bytes(t), is: ErrHostile, text: "symbolic link"},
		"long name":              {data: with(item{name: "CONTENT/CONF/" + strings.Repeat("x", 300), text: "x"}).bytes(t), is: ErrHostile, text: "too long"},
		"deep name":              {data: with(item{name: "CONTENT/CONF" + strings.Repeat("/x", 100), text: "x"}).bytes(t), is: ErrHostile, text: "parts"},
		"file for a directory":   {data: build{items: []item{{name: "CONTENT/CONF", text: "x"}}, info: sysinfo}.bytes(t), is: ErrDamaged, text: "must be"},
		"wrong sum":              {data: with(item{name: "CONTENT/CONF/x", text: "x", sum: strings.Repeat("ab", 20)}).bytes(t), is: ErrDamaged, text: "not what its checksum"},
		"absent":                 {data: build{items: typical(), info: sysinfo, sums: &listed}.bytes(t), is: ErrDamaged, text: "not in the archive"},
		"bit flip, packed":       {data: flip(typicalBytes, len(typicalBytes)/2), is: ErrDamaged, text: ""},
		"bit flip, bzip2":        {data: flip(bz, len(bz)/2), is: ErrDamaged, text: ""},
		"bit flip, plain":        {data: flip(plainBytes, content), is: ErrDamaged, text: "dhcpd.conf"},
		"nothing in it":          {data: build{info: sysinfo, sums: &empty}.bytes(t), is: ErrDamaged, text: "nothing"},
		"two sysinfo":            {data: build{items: append(typical(), item{name: infoName, text: sysinfo}), info: sysinfo}.bytes(t), is: ErrHostile, text: "twice"},
		"sysinfo a link":         {data: build{items: append(typical(), item{name: infoName, typ: tar.TypeSymlink, link: "/etc/passwd"})}.bytes(t), is: ErrHostile, text: "no file"},
		"large sysinfo":          {data: build{items: typical(), info: strings.Repeat("a: b\n", 20000)}.bytes(t), is: ErrLimit, text: "bytes"},
		"no sums":                {data: build{items: typical()[:1], info: sysinfo}.bytes(t), is: ErrDamaged, text: "missing"},
		"another tar":            {data: build{items: []item{{name: "a", text: "b"}}}.bytes(t), is: ErrForeign, text: ""},
		"empty":                  {is: ErrForeign, text: "empty"},
		"text":                   {data: []byte("hello\n"), is: ErrForeign, text: "no tar"},
		"noise":                  {data: bytes.Repeat([]byte("noise"), 1000), is: ErrForeign, text: "no tar"},
		"xz":                     {data: []byte("\xfd7zXZ\x00xxxx"), is: ErrWrapped, text: "packed with xz"},
		"zstd":                   {data: []byte("\x28\xb5\x2f\xfdxxxx"), is: ErrWrapped, text: "zstd -d"},
		"7z":                     {data: []byte("7z\xbc\xaf\x27\x1c"), is: ErrWrapped, text: "7z x"},
		"behind, gzip":           {data: append(bytes.Clone(typicalBytes), "\x00\x00x"...), is: ErrDamaged, text: "not packed"},
		"behind, bzip2":          {data: append(bytes.Clone(bz), "\x00\x00x"...), is: ErrDamaged, text: "not packed"},
		"noise behind, bzip2":    {data: append(bytes.Clone(bz), "xyz"...), is: ErrDamaged, text: "continuation"},
		"opsiconfd, encrypted":   {data: []byte("{aes-256-gcm-sha256}xxxxxx"), is: ErrForeign, text: "opsiconfd"},
		"too many":               {data: typicalMany(t, 30), limits: &small, is: ErrLimit, text: "20 entries"},
		"too large":              {data: with(item{name: "CONTENT/CONF/x", text: strings.Repeat("xyz1", 1<<19)}).bytes(t), limits: &small, is: ErrLimit, text: "bytes"},
		"bomb":                   {data: zeros(), limits: &ratio, is: ErrLimit, text: "bomb"},
		"sparse":                 {data: sparse(t), is: ErrHostile, text: "sparse"},
		"large list":             {data: build{items: typicalItems(60), info: sysinfo}.bytes(t), limits: &Limits{Members: 1000, Bytes: 1 << 30, Ratio: 1000, Control: 1000, Depth: 8}, is: ErrLimit, text: sumsName},
		"cut list that is wrong": {data: build{items: typical(), info: sysinfo, after: cutList}.bytes(t), is: ErrDamaged, text: ""},
	} {
		t.Run(name, func(t *testing.T) {
			limits := DefaultLimits
			if c.limits != nil {
				limits = *c.limits
			}
			dir := t.TempDir()
			a, err := tried(t, c.data, limits)
			if err == nil {
				if verified := a.Verify().Err(); verified == nil {
					t.Error("verified")
				}
				err = a.Unpack(t.Context(), dir)
			}
			if !errors.Is(err, c.is) || !strings.Contains(fmt.Sprint(err), c.text) {
				t.Errorf("error %v, want %v with %q", err, c.is, c.text)
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func typicalItems(n int) []item {
	items := typical()
	for i := range n {
		items = append(items, item{name: fmt.Sprintf("%s/clients/pc%06d.example.com.ini", fileRoot, i)})
	}
	return items
}

func typicalMany(t *testing.T, n int) []byte {
	return build{items: typicalItems(n), info: sysinfo}.bytes(t)
}

// sparse is a file of 1 EiB in the notation of GNU tar.
func sparse(t *testing.T) []byte {
	b := build{items: []item{{name: "CONTENT/CONF/big", text: strings.Repeat("x", 512)}}, info: sysinfo, format: tar.FormatPAX}
	b.items[0].pax = map[string]string{"LIFEBOAT.xxx": "1"}
	data := b.bytes(t)
	// The same length, so that the record's length stays right.
	return bytes.Replace(data, []byte("LIFEBOAT.xxx=1"), []byte("GNU.sparse.a=1"), 1)
}

// cutList takes the end of the list away where no name explains it.
func cutList(data []byte) []byte {
	i := bytes.Index(data, []byte("CONTENT/CONF/motd\n"))
	clear(data[i : i+len("CONTENT/CONF/motd\n")])
	return data
}

// A hundred thousand tiny members are read in bounded memory and unpacked.
func TestManyMembers(t *testing.T) {
	a, err := tried(t, typicalMany(t, 100_000), DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if f := a.Verify(); len(f) != 0 || len(a.Members) != 100_013 {
		t.Errorf("%d members, findings %v", len(a.Members), f)
	}
}

// Wherever the file ends too early, that is told: each packing, each length.
func TestTruncated(t *testing.T) {
	for _, pack := range []Compression{None, Gzip, Bzip2} {
		data := build{items: typical(), info: sysinfo, pack: pack}.bytes(t)
		end := len(data)
		if pack == None {
			end -= 1024 + 512 // the end of a tar file is padding
		}
		file := filepath.Join(t.TempDir(), "archive")
		for n := 0; n < end; n += max(1, end/80) {
			if err := os.WriteFile(file, data[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			a, err := Open(t.Context(), file, DefaultLimits)
			if err == nil {
				err = a.Verify().Err()
				a.Close()
			}
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) {
				t.Errorf("%s cut after %d of %d: %v", pack, n, len(data), err)
			}
		}
	}
}

// A dump that had failed is damage, and no reason not to unpack the rest.
func TestFailedDumps(t *testing.T) {
	for text, want := range map[string]string{"": "empty", "CREATE TABLE x;\nINSERT INTO": "cut off"} {
		items := typical()
		items[6].text = text
		a := opened(t, build{items: items})
		f := a.Verify()
		if !has(f, Dump, true, want) || f.Err() == nil || len(a.Loadable()) != 0 {
			t.Errorf("%q: %v", text, f)
		}
		if err := a.Unpack(t.Context(), t.TempDir()); err != nil {
			t.Error(err)
		}
	}
}

// Content that the list does not name is told.
func TestUnlisted(t *testing.T) {
	items := typical()
	items[9].unlisted = true
	f := opened(t, build{items: items}).Verify()
	if !has(f, Unlisted, false, "opsi.conf") || f.Err() != nil {
		t.Errorf("%v", f)
	}
}

func TestMissingSystemFacts(t *testing.T) {
	a := opened(t, build{items: typical(), info: "hostname: opsi1\nopsiVersion: 4.1\nbroken\nfqdn: a:b\nnew: x\nhostname: other\nx\x00y: z\n"})
	f := a.Verify()
	for _, text := range []string{"does not tell domainname", "cannot be read", `a key "new"`, "hostname twice"} {
		if !has(f, System, false, text) {
			t.Errorf("no %q in %v", text, f)
		}
	}
	if f.Err() != nil || a.Info.Hostname != "opsi1" || a.Info.FQDN != "a:b" || a.Info.Version() != "" {
		t.Errorf("%+v, %v", a.Info, f.Err())
	}
}

// A pipe in place of the file is no reason to wait.
func TestOpenNoFile(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{pipe, dir, filepath.Join(dir, "none")} {
		if _, err := Open(t.Context(), name, DefaultLimits); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	cancel()
	if _, err := tried(t, build{items: typical(), info: sysinfo}.bytes(t), DefaultLimits); err != nil {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, build{items: typical(), info: sysinfo}.bytes(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, file, DefaultLimits); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
