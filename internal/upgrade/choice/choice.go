// Package choice is what the installer of a release asks a person before it upgrades
// a system: which root, the licence, whether to register, how much is new, which
// patterns, which desktop. Answers come from the machine, from the vendor's own
// defaults or from a person, and reach the automatic upgrade as its control file. How
// the installer is started must not enter.
package choice

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// From says who has given an answer.
type From string

// Who may give one.
const (
	Machine From = "machine" // it is so on this machine
	Vendor  From = "vendor"  // the installer's own default
	Person  From = "person"
	Nobody  From = "nobody" // it is open; the installer is going to ask
)

// Ids of the questions, in the order in which they are asked. They are stable.
const (
	Root         = "root"
	License      = "license"
	Registration = "registration"
	Mode         = "mode"
	Patterns     = "patterns"
	Desktop      = "desktop"
)

// Answers of the questions that have a few.
const (
	Accept   = "accept"
	Register = "register"
	Skip     = "skip"
	Update   = "update"   // only the installed packages
	Features = "features" // new software too, as the patterns say
)

// Question is one of them with its answer.
type Question struct {
	ID      string   `json:"id"`
	Title   string   `json:"title"`
	Answer  string   `json:"answer"` // several patterns are joined by blanks
	From    From     `json:"from"`
	Answers []string `json:"answers,omitempty"` // what may be answered, where that is limited
	Note    string   `json:"note,omitempty"`
}

// Choices are the answers for one upgrade.
type Choices []Question

// Host is what decides the answers that the machine gives.
type Host struct {
	RootDevice     string
	WindowManager  string // DEFAULT_WM
	DisplayManager string // DISPLAYMANAGER
}

// For is what the installer would ask for an upgrade from one version to another, with
// the answers that need no person.
func For(h Host, from, to string) Choices {
	q := Choices{
		{ID: Root, Title: "root partition to upgrade", Answer: h.RootDevice, From: Machine},
		{ID: License, Title: "licence agreement", From: Nobody, Answers: []string{Accept}, Note: "read it before it is accepted"},
		{ID: Registration, Title: "registration", Answer: Register, From: Vendor, Answers: []string{Register, Skip}, Note: "without it there are no updates"},
		{ID: Mode, Title: "what is installed", Answer: Features, From: Vendor, Answers: []string{Update, Features}},
		{ID: Patterns, Title: "further patterns", From: Vendor},
		{ID: Desktop, Title: "desktop", Answer: strings.TrimSpace(h.WindowManager + " " + h.DisplayManager), From: Machine, Note: "another one is chosen by its pattern"},
	}
	if h.RootDevice == "" {
		q[0].From, q[0].Note = Nobody, "no device was found for the root file system"
	}
	if from == to {
		q[3].Answer = Update
	}
	q[3].Note = "update leaves out what is new in the release"
	// SLE 12, Deployment Guide: KDE is not part of it any more.
	if n, _ := strconv.Atoi(to); from != to && n >= 12 {
		var lost []string
		if strings.HasPrefix(h.WindowManager, "kde") {
			lost = append(lost, "GNOME replaces KDE")
		}
		if strings.HasPrefix(h.DisplayManager, "kdm") {
			lost = append(lost, "GDM replaces KDM")
		}
		if len(lost) > 0 {
			q[5].Answer, q[5].From, q[5].Note = "gnome gdm", Vendor, strings.Join(lost, ", ")+"; "+q[5].Note
		}
	}
	return q
}

// named is a pattern, a desktop or a device.
var named = regexp.MustCompile(`^[A-Za-z0-9_/.+:=-]{1,100}$`)

// Answer gives one answer.
func (q Choices) Answer(id, answer string) error {
	i := slices.IndexFunc(q, func(one Question) bool { return one.ID == id })
	if i < 0 {
		return fmt.Errorf("nobody asks for %q", id)
	}
	if id == Desktop {
		return fmt.Errorf("the desktop is chosen by its pattern; answer %s", Patterns)
	}
	if allowed := q[i].Answers; len(allowed) > 0 && !slices.Contains(allowed, answer) {
		return fmt.Errorf("%s: %q is none of %s", q[i].Title, answer, strings.Join(allowed, ", "))
	}
	for _, word := range strings.Fields(answer) {
		if !named.MatchString(word) {
			return fmt.Errorf("%s: %q is no name", q[i].Title, word)
		}
	}
	q[i].Answer, q[i].From = strings.Join(strings.Fields(answer), " "), Person
	return nil
}

// Of is the answer of a question, empty where there is none.
func (q Choices) Of(id string) string {
	for _, one := range q {
		if one.ID == id {
			return one.Answer
		}
	}
	return ""
}

// Open lists what nobody has answered yet.
func (q Choices) Open() []Question {
	return slices.DeleteFunc(slices.Clone(q), func(one Question) bool { return one.From != Nobody })
}
