package zypper

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Result is what one call of zypper said.
type Result struct {
	Args        []string     `json:"-"`
	Code        int          `json:"code"` // exit code
	Transaction *Transaction `json:"transaction,omitempty"`
	Messages    []Message    `json:"messages,omitempty"`
	Scriptlets  []Scriptlet  `json:"scriptlets,omitempty"` // that failed
	// Configuration are the files that were put beside those that people had edited:
	// FILE.rpmnew the new one, FILE.rpmsave and FILE.rpmorig the old one.
	Configuration []string `json:"configuration,omitempty"`
}

// Message is something zypper tells; Type is info, warning, error, or problem: one that
// the solver has no answer to.
type Message struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// Scriptlet is a script of a package that failed. zypper tells it in words only: a
// failed %post by exit code 107, a failed %posttrans by nothing else (exit code 0).
type Scriptlet struct {
	Package string `json:"package"` // apache2-2.4-1.noarch
	Phase   string `json:"phase"`   // pre, post, preun, postun, pretrans, posttrans
	Status  int    `json:"status"`  // exit code, -1 when not told
	Text    string `json:"text"`
}

// Transaction is what a distribution upgrade would change, or has changed.
type Transaction struct {
	Upgrade      []Change `json:"upgrade"`
	Downgrade    []Change `json:"downgrade"`
	Install      []Change `json:"install"`
	Reinstall    []Change `json:"reinstall"`
	Remove       []Change `json:"remove"`
	ChangeArch   []Change `json:"change_arch"`
	ChangeVendor []Change `json:"change_vendor"`
	Download     int64    `json:"download"` // bytes
	Space        int64    `json:"space"`    // bytes more that are needed afterwards
	Packages     int      `json:"packages"` // to change, as zypper counts them
}

// Change is a package, product, pattern or patch that changes.
type Change struct {
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Edition    string `json:"edition"` // [epoch:]version-release
	Arch       string `json:"arch"`
	EditionOld string `json:"edition_old,omitempty"`
	ArchOld    string `json:"arch_old,omitempty"`
	Summary    string `json:"summary,omitempty"`
}

// Empty tells whether nothing changes.
func (t *Transaction) Empty() bool {
	return len(t.Upgrade)+len(t.Downgrade)+len(t.Install)+len(t.Reinstall)+len(t.Remove)+len(t.ChangeArch)+len(t.ChangeVendor) == 0
}

// Said joins the errors, or else what the solver stumbles over, or else the warnings.
func (r *Result) Said() string {
	for _, kind := range []string{"error", "problem", "warning"} {
		var lines []string
		for _, m := range r.Messages {
			if m.Type == kind && !slices.Contains(lines, m.Text) {
				lines = append(lines, m.Text)
			}
		}
		if len(lines) > 0 {
			return strings.Join(lines, "; ")
		}
	}
	return ""
}

// Warnings are the texts of warnings.
func (r *Result) Warnings() []string {
	var lines []string
	for _, m := range r.Messages {
		if m.Type == "warning" && !slices.Contains(lines, m.Text) {
			lines = append(lines, m.Text)
		}
	}
	return lines
}

// Bounds on what is kept of one answer.
const (
	maxMessages = 20000
	maxText     = 16 << 10
	maxChanges  = 200000
)

// read takes zypper's XML. It stops at what it cannot understand and returns what came
// before, since a killed zypper ends in the middle.
func read(data []byte) (*Result, error) {
	r := &Result{}
	d := xml.NewDecoder(bytes.NewReader(printable(data)))
	d.Strict = false
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var section *[]Change
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return r, err
		}
		switch t := token.(type) {
		case xml.EndElement:
			if strings.HasPrefix(t.Name.Local, "to-") {
				section = nil
			}
		case xml.StartElement:
			switch name := t.Name.Local; {
			case name == "message":
				if err := r.message(d, t); err != nil {
					return r, err
				}
			case name == "install-summary":
				r.Transaction = newTransaction(t)
			case strings.HasPrefix(name, "to-") && r.Transaction != nil:
				section = r.Transaction.section(name)
			case name == "prompt":
				if err := r.prompt(d, t); err != nil {
					return r, err
				}
			case name == "solvable" && section != nil:
				if len(*section) >= maxChanges {
					return r, fmt.Errorf("more than %d packages change", maxChanges)
				}
				*section = append(*section, change(t))
			}
		}
	}
}

func (r *Result) message(d *xml.Decoder, start xml.StartElement) error {
	var m struct {
		Type string `xml:"type,attr"`
		Text string `xml:",chardata"`
	}
	if err := d.DecodeElement(&m, &start); err != nil {
		return err
	}
	text := tidy(m.Text)
	r.scriptlets(text)
	for _, m := range beside.FindAllStringSubmatch(text, maxMessages) {
		r.Configuration = append(r.Configuration, m[1])
	}
	return r.add(m.Type, text)
}

// prompt keeps what a question is about: a solver without an answer asks for one.
func (r *Result) prompt(d *xml.Decoder, start xml.StartElement) error {
	var p struct {
		Description string `xml:"description"`
	}
	if err := d.DecodeElement(&p, &start); err != nil {
		return err
	}
	return r.add("problem", strings.TrimPrefix(tidy(p.Description), "Problem: "))
}

func (r *Result) add(kind, text string) error {
	if text == "" {
		return nil
	}
	if len(r.Messages) >= maxMessages {
		return fmt.Errorf("more than %d messages", maxMessages)
	}
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + " …"
	}
	r.Messages = append(r.Messages, Message{Type: kind, Text: text})
	return nil
}

// Words of libzypp's "NAME %posttrans script failed (returned 7)" and of rpm's
// "%post(NAME) scriptlet failed, exit status 1" and "%prein(NAME) …".
var (
	zyppScript = regexp.MustCompile(`(\S+?)(?:\.rpm)? %(pretrans|posttrans|pre|post|preun|postun) script failed \(returned (-?\d+)\)`)
	rpmScript  = regexp.MustCompile(`%(pretrans|posttrans|prein|pre|postun|preun|post|triggerin|triggerun|triggerpostun)\(([^)\s]+)\) scriptlet failed(?:, (?:exit status|signal) (\d+))?`)
)

// beside is what rpm says of a file that people have edited.
var beside = regexp.MustCompile(`(?m)^warning: .+ (?:created|saved) as (/.+\.rpm(?:new|save|orig))$`)

func (r *Result) scriptlets(text string) {
	for _, m := range zyppScript.FindAllStringSubmatch(text, -1) {
		r.scriptlet(Scriptlet{Package: m[1], Phase: m[2], Status: number(m[3]), Text: m[0]})
	}
	for _, m := range rpmScript.FindAllStringSubmatch(text, -1) {
		phase := m[1]
		if phase == "prein" {
			phase = "pre"
		}
		status := -1
		if m[3] != "" {
			status = number(m[3])
		}
		r.scriptlet(Scriptlet{Package: m[2], Phase: phase, Status: status, Text: m[0]})
	}
}

func (r *Result) scriptlet(s Scriptlet) {
	same := func(o Scriptlet) bool { return o.Package == s.Package && o.Phase == s.Phase }
	if !slices.ContainsFunc(r.Scriptlets, same) && len(r.Scriptlets) < maxMessages {
		r.Scriptlets = append(r.Scriptlets, s)
	}
}

// noise is what Debian's rpm says at each call, and nobody need hear.
var noise = regexp.MustCompile(`(?m)^(Additional rpm output:|rpm: RPM should not be used directly install RPM packages, use Alien instead!|rpm: However assuming you know what you are doing\.\.\.)\s*$`)

func tidy(text string) string { return strings.TrimSpace(noise.ReplaceAllString(text, "")) }

func newTransaction(t xml.StartElement) *Transaction {
	tr := &Transaction{
		Upgrade: []Change{}, Downgrade: []Change{}, Install: []Change{}, Reinstall: []Change{},
		Remove: []Change{}, ChangeArch: []Change{}, ChangeVendor: []Change{},
	}
	for _, a := range t.Attr {
		n, _ := strconv.ParseInt(a.Value, 10, 64)
		switch a.Name.Local {
		case "download-size":
			tr.Download = n
		case "space-usage-diff":
			tr.Space = n
		case "packages-to-change":
			tr.Packages = int(n)
		}
	}
	return tr
}

func (t *Transaction) section(name string) *[]Change {
	switch name {
	case "to-upgrade":
		return &t.Upgrade
	case "to-downgrade":
		return &t.Downgrade
	case "to-install":
		return &t.Install
	case "to-reinstall":
		return &t.Reinstall
	case "to-remove":
		return &t.Remove
	case "to-change-arch":
		return &t.ChangeArch
	case "to-change-vendor":
		return &t.ChangeVendor
	}
	return nil
}

func change(t xml.StartElement) Change {
	var c Change
	for _, a := range t.Attr {
		switch a.Name.Local {
		case "type":
			c.Kind = a.Value
		case "name":
			c.Name = a.Value
		case "edition":
			c.Edition = a.Value
		case "arch":
			c.Arch = a.Value
		case "edition-old":
			c.EditionOld = a.Value
		case "arch-old":
			c.ArchOld = a.Value
		case "summary":
			c.Summary = a.Value
		}
	}
	return c
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

// printable drops what XML 1.0 does not allow: descriptions come from anywhere, and
// scriptlets print what they like.
func printable(data []byte) []byte {
	return bytes.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return r
		case r < 0x20 || r == 0xfffe || r == 0xffff:
			return -1
		case r == utf8.RuneError:
			return '?'
		}
		return r
	}, data)
}
