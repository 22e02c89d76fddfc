package smt

import (
	"bytes"
	"compress/gzip"
	"crypto/sha1" //nolint:gosec // the format of that time
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// digest names and makes the sums of a line: SHA-1 up to SLES 11, then SHA-256.
type digest struct {
	name     string
	prefixed bool // metadata files carry their sum in the name
}

func (d digest) sum(b []byte) string {
	if d.name == "sha256" {
		s := sha256.Sum256(b)
		return hex.EncodeToString(s[:])
	}
	s := sha1.Sum(b) //nolint:gosec // the format of that time
	return hex.EncodeToString(s[:])
}

// metaFile is a file below repodata.
type metaFile struct {
	kind, name string
	content    []byte
}

// metadata makes a repository's repodata; the last file is repomd.xml.
func metadata(c catalog, d digest) ([]metaFile, error) {
	var primary, list, other strings.Builder
	count := fmt.Sprintf(" packages=\"%d\"", len(c.packages))
	primary.WriteString(xml.Header + `<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm"` + count + ">\n")
	list.WriteString(xml.Header + `<filelists xmlns="http://linux.duke.edu/metadata/filelists"` + count + ">\n")
	other.WriteString(xml.Header + `<otherdata xmlns="http://linux.duke.edu/metadata/other"` + count + ">\n")
	for _, p := range c.packages {
		sum := d.sum(p.content())
		version := fmt.Sprintf(`<version epoch="0" ver="%s" rel="%s"/>`, p.version, p.release)
		fmt.Fprintf(&primary, "<package type=\"rpm\"><name>%s</name><arch>%s</arch>%s<checksum type=\"%s\" pkgid=\"YES\">%s</checksum><summary>%s</summary><time file=\"%d\"/><size package=\"%d\"/><location href=\"%s\"/></package>\n",
			p.name, p.arch, version, d.name, sum, p.name, built(p.file()).Unix(), p.size, p.location())
		for _, b := range []*strings.Builder{&list, &other} {
			fmt.Fprintf(b, "<package pkgid=\"%s\" name=\"%s\" arch=\"%s\">%s</package>\n", sum, p.name, p.arch, version)
		}
	}
	primary.WriteString("</metadata>\n")
	list.WriteString("</filelists>\n")
	other.WriteString("</otherdata>\n")
	var files []metaFile
	repomd := xml.Header + "<repomd xmlns=\"http://linux.duke.edu/metadata/repo\">\n"
	for _, part := range []struct{ kind, text string }{{"primary", primary.String()}, {"filelists", list.String()}, {"other", other.String()}} {
		packed, err := pack(part.text)
		if err != nil {
			return nil, err
		}
		name := part.kind + ".xml.gz"
		if d.prefixed {
			name = d.sum(packed) + "-" + name
		}
		repomd += fmt.Sprintf("<data type=\"%s\"><location href=\"repodata/%s\"/><checksum type=\"%s\">%s</checksum><timestamp>%d</timestamp><open-checksum type=\"%s\">%s</open-checksum></data>\n",
			part.kind, name, d.name, d.sum(packed), built(c.name).Unix(), d.name, d.sum([]byte(part.text)))
		files = append(files, metaFile{part.kind, name, packed})
	}
	return append(files, metaFile{"repomd", "repomd.xml", []byte(repomd + "</repomd>\n")}), nil
}

// pack compresses without a time stamp, so equal text gives equal bytes.
func pack(text string) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

// put writes one file of the tree unless it has that content already, with
// owner and time as a mirror run leaves them.
func put(path string, content []byte, when time.Time) error {
	if err := mirrorDirs(filepath.Dir(path)); err != nil {
		return err
	}
	if old, err := os.ReadFile(path); err != nil || !bytes.Equal(old, content) {
		// A new inode: the old one may be linked elsewhere.
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return settle(path, when)
}

// settle gives a file of the tree its owner, mode and time. A mirror run that
// is not root writes as the user it is.
func settle(path string, when time.Time) error {
	if err := os.Chmod(path, 0o644); err != nil {
		return err
	}
	if err := ownTree(path); err != nil {
		return err
	}
	return os.Chtimes(path, when, when)
}

// verifyMetadata compares repodata's files with the sums repomd.xml names.
func verifyMetadata(dir string, d digest) error {
	raw, err := os.ReadFile(filepath.Join(dir, "repodata", "repomd.xml"))
	if err != nil {
		return err
	}
	var md struct {
		Data []struct {
			Location struct {
				Href string `xml:"href,attr"`
			} `xml:"location"`
			Checksum string `xml:"checksum"`
		} `xml:"data"`
	}
	if err := xml.Unmarshal(raw, &md); err != nil {
		return fmt.Errorf("%s/repodata/repomd.xml: %w", dir, err)
	}
	for _, data := range md.Data {
		file := filepath.Join(dir, filepath.Clean("/"+data.Location.Href))
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if got := d.sum(content); got != data.Checksum {
			return fmt.Errorf("%s: checksum is %s, repomd.xml says %s", file, got, data.Checksum)
		}
	}
	return nil
}
