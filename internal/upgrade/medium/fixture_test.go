package medium

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // as SLES 11 does
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// vendor signs media.
type vendor struct{ entity *openpgp.Entity }

func newVendor(t *testing.T, name string) vendor {
	t.Helper()
	e, err := openpgp.NewEntity(name, "", "build@example.com", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	return vendor{e}
}

func (v vendor) public(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PublicKeyType, nil)
	if err == nil {
		err = v.entity.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), '\n')
}

func (v vendor) ring(t *testing.T) Keyring {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key.asc")
	put(t, name, v.public(t))
	k, err := ReadKeys(name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sign writes name.asc and name.key.
func (v vendor) sign(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&out, v.entity, bytes.NewReader(text), nil); err != nil {
		t.Fatal(err)
	}
	put(t, name+".asc", out.Bytes())
	put(t, name+".key", v.public(t))
}

func put(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

var (
	kernel = append(append(bytes.Repeat([]byte{0}, 0x202), "HdrS"...), bytes.Repeat([]byte("kernel "), 50_000)...)
	initrd = append([]byte("\x1f\x8b"), bytes.Repeat([]byte("initrd "), 90_000)...)
)

// odd is a file whose name not every protocol likes.
const odd = "docu/Grüße & 100% #1.txt"

// sles11 and sles12 are media with a content file, sles15 one with CHECKSUMS.
func sles11(t *testing.T, dir string, v vendor) {
	content := "CONTENTSTYLE     11\nNAME             SUSE_SLES\nVERSION\t11.3-1.138\nLABEL  SUSE Linux Enterprise Server 11 SP3\nVENDOR SUSE LINUX Products GmbH\nBASEARCHS x86_64\nDESCRDIR suse/setup/descr\n"
	write(t, dir, v, content, func(text []byte) string { return fmt.Sprintf("SHA1 %x", sha1.Sum(text)) }) //nolint:gosec // see above
}

func sles12(t *testing.T, dir string, v vendor) {
	content := "CONTENTSTYLE  11\nDATADIR suse\nDESCRDIR suse/setup/descr\nDISTRO cpe:/o:suse:sles:12:sp1,SUSE Linux Enterprise Server 12 SP1\nREPOID obsproduct://build.suse.de/SUSE:SLE-12-SP1:GA/SLES/12.1/DVD/x86_64\nVENDOR SUSE LLC <https://www.suse.com/>\n"
	write(t, dir, v, content, func(text []byte) string { return fmt.Sprintf("SHA256 %x", sha256.Sum256(text)) })
}

func write(t *testing.T, dir string, v vendor, content string, sum func([]byte) string) {
	t.Helper()
	packages := []byte("=Ver: 2.0\n")
	put(t, filepath.Join(dir, "boot/x86_64/loader/linux"), kernel)
	put(t, filepath.Join(dir, "boot/x86_64/loader/initrd"), initrd)
	put(t, filepath.Join(dir, odd), []byte("odd\n"))
	put(t, filepath.Join(dir, "suse/setup/descr/packages"), packages)
	put(t, filepath.Join(dir, "media.1/media"), []byte("SUSE\n20130624\n1\n"))
	content += "META " + sum(packages) + "  packages\nHASH " + sum(kernel) + "  boot/x86_64/loader/linux\nHASH " + sum(initrd) + "  boot/x86_64/loader/initrd\nHASH " + sum([]byte("odd\n")) + "  " + odd + "\n"
	put(t, filepath.Join(dir, "content"), []byte(content))
	v.sign(t, filepath.Join(dir, "content"))
}

func sles15(t *testing.T, dir string, v vendor) {
	t.Helper()
	put(t, filepath.Join(dir, "boot/x86_64/loader/linux"), kernel)
	put(t, filepath.Join(dir, "boot/x86_64/loader/initrd"), initrd)
	put(t, filepath.Join(dir, "CHECKSUMS"), fmt.Appendf(nil, "%x  ./boot/x86_64/loader/linux\n%x  boot/x86_64/loader/initrd\n", sha256.Sum256(kernel), sha256.Sum256(initrd)))
	put(t, filepath.Join(dir, "media.1/products"), []byte("/ SLES 15.4-0\n"))
	v.sign(t, filepath.Join(dir, "CHECKSUMS"))
	repository(t, dir, v)
}

// repository is a package repository.
func repository(t *testing.T, dir string, v vendor) {
	t.Helper()
	primary := []byte("packed list of packages")
	put(t, filepath.Join(dir, "repodata/primary.xml.gz"), primary)
	put(t, filepath.Join(dir, "repodata/repomd.xml"), fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
  <revision>1</revision>
  <tags><content>pool</content><repo>obsproduct://build.suse.de/SUSE:SLE-15-SP4:GA/SLES/15.4/POOL/x86_64</repo><distro cpeid="cpe:/o:suse:sles:15:sp4">SUSE Linux Enterprise Server 15 SP4</distro></tags>
  <data type="primary"><checksum type="sha256">%x</checksum><location href="repodata/primary.xml.gz"/></data>
</repomd>`, sha256.Sum256(primary)))
	v.sign(t, filepath.Join(dir, "repodata/repomd.xml"))
}
