// Package sheet writes a recovery kit out for the safe: as a PDF of one or two
// pages, as plain text that says the same, and each share as a page of its own.
// What stands on it is gathered elsewhere.
package sheet

import (
	"fmt"
	"strings"
	"time"
)

// Sheet is what stands on the paper. Texts may come from repositories and profiles;
// they are made printable here.
type Sheet struct {
	Kit     string // its name, as package typed has it
	Created time.Time
	Host    string // the machine that the kit was made on
	Version string // of this program

	Repository []Line   // address, id, key
	Proofs     []Line   // fingerprints of who must answer at the address
	Lifeboat   []string // commands that get in with Lifeboat
	Restic     []string // and without it
	Command    string   // what the QR code of the sheet says
	Elsewhere  []Secret
	Systems    []System

	// Password is the kit's; empty if it was split.
	Password          string
	Total, Threshold  int    // shares, 0 if it was not split
	RecoverWithShares string // the command that takes shares
}

// Line is a value with its name.
type Line struct{ Name, Value string }

// Secret is something that is needed and not in the kit.
type Secret struct {
	What string
	Who  string // empty where nobody is named: left to be filled in by hand
	For  string
}

// System is one system and the outline of its recovery.
type System struct {
	Name, Title string
	Note        string // what a person should know of it
	Stages      []Stage
}

// Stage is a part of a runbook. The numbers are those of RUNBOOK.md.
type Stage struct {
	Number int
	Title  string
	Steps  []string
}

// Share is the page of one share.
type Share struct {
	*Sheet
	Number int
	Groups string // see typed.Share
}

func (s *Sheet) title() string { return "Recovery kit " + s.Kit }

func (s *Sheet) subtitle() string {
	return fmt.Sprintf("made on %s, %s, with Lifeboat %s", s.Host, s.Created.Local().Format("2006-01-02 15:04 MST"), s.Version)
}

func (s *Sheet) about() string {
	if s.Password == "" {
		return fmt.Sprintf("Keep this sheet in a safe, away from the machine. It opens nothing by itself: its password is split among %d people, and any %d of them together have it.", s.Total, s.Threshold)
	}
	return "Keep this sheet in a safe, away from the machine. Whoever has it and can reach the repository can read everything in it."
}

func (s *Sheet) passwordTitle() string { return "The password of this kit" }

func (s *Sheet) passwordHelp() string {
	if s.Password == "" {
		return fmt.Sprintf("Split into %d shares, of which any %d give it back (Shamir's scheme); each holder has a page with one share of kit %s. Shares of other kits do not fit.", s.Total, s.Threshold, s.Kit)
	}
	return "These 8 groups with the hyphens between them, in capitals, are the password, for restic too. The last sign of each group is a check: lifeboat kit recover names a group that is mistyped, and takes small letters and any spaces. There is no letter I, L, O or U in it."
}

const (
	repositoryTitle = "Where the recovery points are"
	proofsTitle     = "Who must answer there"
	noProofs        = "Nothing is pinned for this address."
	lifeboatTitle   = "The way in with Lifeboat, on any machine"
	resticTitle     = "The way in without Lifeboat, with stock restic 0.14 or newer"
	elsewhereTitle  = "What is needed and is not in this kit"
	nothingElse     = "Nothing is known to be needed. Name what is, with who has it, below kit: in lifeboat.yaml."
	outlineTitle    = "What the recovery does"
	outlineHelp     = "The same numbers are in /.lifeboat/RUNBOOK.md of each recovery point, with every command."
	continued       = "A command that is too long for a line goes on in the next one: with a blank after \\, else without."
)

func (s Share) title() string {
	return fmt.Sprintf("Share %d of %d of recovery kit %s", s.Number, s.Total, s.Kit)
}

func (s Share) about() string {
	return fmt.Sprintf("Any %d of the %d shares of kit %s together are the password of a repository. This one alone, or with fewer than %d, says nothing about it. Keep it where neither the others nor the machine are, and give it to nobody but those who recover the machine.", s.Threshold, s.Total, s.Kit, s.Threshold)
}

func (s Share) help() string {
	return "On the day, type the 12 groups when lifeboat kit recover asks for them, or give it a file with the text of this page or of the QR code. Capitals, hyphens and spaces do not matter. The last sign of each group is a check, so that a mistyped group is named at once. There is no letter I, L, O or U in it."
}

// groups of a password or share.
func groups(text string) []string { return strings.Split(text, "-") }
