// Package changelog answers whether a fault was mended in a package, from what its
// maker says: the changelog, README.SUSE, the names and texts of a source package's
// patches, and update notices. A version number never counts: distributions mend old
// versions and keep their numbers. It reads packages and asks rpm and zypper through
// package zypper; it changes nothing, and knows no upgrade and no profile.
package changelog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path"
	"regexp"
	"strings"
	"time"

	rpm "github.com/sassoftware/go-rpmutils"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/host"
	"lifeboat/internal/zypper"
)

// Package is what a package says about itself.
type Package struct {
	Name    string `json:"name"`
	Edition string `json:"edition"` // version-release
	Vendor  string `json:"vendor,omitempty"`
	Source  bool   `json:"source,omitempty"` // a source package
	// Installed says that it is on the machine; otherwise it is a file.
	Installed bool `json:"installed"`

	named map[Identifier][]Evidence
	parts int
}

// add looks which faults a part of the package names: an entry by its date, a file by
// its name. The first line that names one is kept, or the first that leaves it in doubt.
func (p *Package) add(kind Kind, place, body string) {
	if p.parts++; p.parts > maxParts {
		return
	}
	if p.named == nil {
		p.named = map[Identifier][]Evidence{}
	}
	here := map[Identifier]int{}
	for head, item := range items(kind, body) {
		doubt := doubtful(head) || doubtful(item)
		for line := range strings.Lines(item) {
			for _, id := range Identifiers(line) {
				line := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "- "))
				e := Evidence{Kind: kind, Place: place, Text: excerpt.Line(line, 200), Doubt: doubt}
				at, again := here[id]
				switch {
				case !again:
					here[id] = len(p.named[id])
					p.named[id] = append(p.named[id], e)
				case doubt && !p.named[id][at].Doubt:
					p.named[id][at] = e
				}
			}
		}
	}
}

// items gives the items of a changelog with the lines that continue them, each with the
// head that it stands below, as in "- revert:" and "  * the patch"; of other texts lines.
func items(kind Kind, body string) iter.Seq2[string, string] {
	return func(yield func(head, item string) bool) {
		head, item, below := "", "", false
		flush := func() bool {
			whole := item
			item = ""
			if whole == "" {
				return true
			}
			if !below {
				head = whole
				return yield("", whole)
			}
			return yield(head, whole)
		}
		for line := range strings.Lines(body) {
			text := strings.TrimLeft(line, " \t")
			bullet := text != "" && strings.ContainsRune("-*+", rune(text[0]))
			if kind != ByChangelog || bullet || strings.TrimSpace(text) == "" || item == "" {
				if !flush() {
					return
				}
				if below = bullet && text != line; !below {
					head = ""
				}
			}
			item += line
		}
		flush()
	}
}

// Bounds on what is read of one package, in bytes and in parts.
const (
	maxChangelog = 32 << 20
	maxText      = 4 << 20
	maxParts     = 20_000
)

// ErrNotInstalled says that the machine has no such package.
var ErrNotInstalled = errors.New("no such package is installed")

// installed reads an installed package of a machine.
func installed(ctx context.Context, h *host.Host, z *zypper.Zypper, of zypper.Package) (*Package, error) {
	name := of.Name
	p := &Package{Name: name, Edition: of.Edition, Vendor: of.Vendor, Installed: true}
	log, err := z.Changelog(ctx, name)
	if err != nil {
		return nil, err
	}
	p.entries(log)
	documents, err := z.Documents(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, file := range documents {
		if !readme.MatchString(path.Base(file)) {
			continue
		}
		body, err := document(h, file)
		if errors.Is(err, os.ErrNotExist) {
			continue // documentation may have been left out
		}
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", file, name, err)
		}
		p.add(ByReadme, file, body)
	}
	return p, nil
}

// readme is what SUSE calls what is special about its package.
var readme = regexp.MustCompile(`^(?i)README[._-]SUSE`)

func document(h *host.Host, file string) (string, error) {
	at, err := h.Path(file)
	if err != nil {
		return "", err
	}
	f, err := os.Open(at)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(err, os.ErrNotExist)
	}
	body, err := io.ReadAll(io.LimitReader(f, maxText))
	return string(body), err
}

var began = regexp.MustCompile(`^\* ((?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \w{3} +\d{1,2}( \d\d:\d\d:\d\d \w+)? \d{4})`)

// entries takes rpm's changelog apart.
func (p *Package) entries(log string) {
	place := ""
	var body strings.Builder
	flush := func() {
		if body.Len() > 0 {
			p.add(ByChangelog, place, body.String())
			body.Reset()
		}
	}
	for line := range strings.Lines(log) {
		if m := began.FindStringSubmatch(line); m != nil {
			flush()
			place = date(m[1])
			continue
		}
		body.WriteString(line)
	}
	flush()
}

// date writes rpm's date as everybody does.
func date(text string) string {
	for _, layout := range []string{"Mon Jan _2 2006", "Mon Jan 2 2006", "Mon Jan _2 15:04:05 MST 2006"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.Format(time.DateOnly)
		}
	}
	return text
}

// ReadFile reads a package file: its changelog, and of its content README.SUSE and, in
// a source package, the patches. The file is foreign: what is read of it is bounded.
func ReadFile(r io.ReaderAt) (p *Package, err error) {
	defer func() { // the reader of headers trusts offsets that a file names
		if v := recover(); v != nil {
			p, err = nil, fmt.Errorf("it is damaged: %v", v)
		}
	}()
	if err := headers(r); err != nil {
		return nil, fmt.Errorf("it is no package of rpm, or damaged: %w", err)
	}
	in := io.NewSectionReader(r, 0, math.MaxInt64)
	header, err := rpm.ReadHeader(in)
	if err != nil {
		return nil, fmt.Errorf("it is no package of rpm, or damaged: %w", err)
	}
	value := func(tag int) string {
		s, _ := header.GetString(tag)
		return excerpt.Line(s, 200)
	}
	p = &Package{Name: value(rpm.NAME), Edition: value(rpm.VERSION) + "-" + value(rpm.RELEASE), Vendor: value(rpm.VENDOR)}
	p.Source = !header.HasTag(rpm.SOURCERPM)
	if p.Name == "" {
		return nil, errors.New("it is a package without a name")
	}
	if header.HasTag(rpm.CHANGELOGTEXT) {
		if err := p.changes(header); err != nil {
			return nil, fmt.Errorf("changes of %s: %w", p.Name, err)
		}
	}
	content, err := unpack(header, in)
	if err == nil {
		err = p.content(content)
	}
	if err != nil {
		return nil, fmt.Errorf("content of %s: %w", p.Name, err)
	}
	return p, nil
}

// content reads what is for us of the files of a package.
func (p *Package) content(in io.Reader) error {
	for {
		name, regular, size, err := member(in)
		if err == io.EOF { //nolint:errorlint // wrapped, it is a content that is cut off
			return nil
		}
		if err != nil {
			return err
		}
		base := path.Base(name)
		kind := ByReadme
		if p.Source && patch.MatchString(base) {
			kind = ByPatch
		}
		left := size + (4-size%4)%4
		if regular && p.parts < maxParts && (kind == ByPatch || readme.MatchString(base)) {
			body := make([]byte, min(size, maxText))
			if _, err := io.ReadFull(in, body); err != nil {
				return fmt.Errorf("%s: %w", excerpt.Line(base, 80), err)
			}
			left -= int64(len(body))
			p.add(kind, excerpt.Line(base, 200), base+"\n"+string(body))
		}
		if _, err := io.CopyN(io.Discard, in, left); err != nil {
			return fmt.Errorf("%s: %w", excerpt.Line(base, 80), err)
		}
	}
}

var patch = regexp.MustCompile(`(?i)\.(?:patch|diff|dif)(?:\.(?:gz|bz2|xz))?$`)

func (p *Package) changes(h *rpm.RpmHeader) error {
	bodies, err := h.GetStrings(rpm.CHANGELOGTEXT)
	if err != nil {
		return err
	}
	times, err := h.GetUint64s(rpm.CHANGELOGTIME)
	if err != nil || len(times) != len(bodies) {
		return errors.Join(err, errors.New("their times are not as many as their texts"))
	}
	total := 0
	for i, body := range bodies {
		if total += len(body); total > maxChangelog || i >= maxParts {
			return fmt.Errorf("they are longer than %d MiB", maxChangelog>>20)
		}
		p.add(ByChangelog, time.Unix(int64(times[i]), 0).UTC().Format(time.DateOnly), body)
	}
	return nil
}
