package vault

import (
	"fmt"
	"strings"
)

// Losses are warnings about what the repository should hold and does not. What this
// machine still has of it the draft stores anew.
func (d *Draft) Losses() []string {
	var texts []string
	p := d.session.Presence()
	flag := d.vault.repo.Flag()
	if !p.Whole() {
		var what []string
		if p.Missing > 0 {
			what = append(what, counted(p.Missing, "pack is", "packs are")+" missing")
		}
		if p.Cut > 0 {
			what = append(what, counted(p.Cut, "pack is", "packs are")+" not as long as written")
		}
		texts = append(texts, fmt.Sprintf("the repository has lost data: %[1]s. What is still on this machine is stored anew by this backup; older points may be damaged. To see which: lifeboat verify%[2]s; then, to have the index say what is there: lifeboat repository repair%[2]s", strings.Join(what, ", "), flag))
	}
	for _, err := range d.vault.repo.Damage() {
		texts = append(texts, fmt.Sprintf("%[1]v: what only this file lists is stored anew; lifeboat repository repair%[2]s writes a new index, lifeboat verify%[2]s tells what is damaged", err, flag))
	}
	unlisted := 0
	for _, at := range d.survey.Points {
		if at.Damage != nil && !d.vault.repo.Listed(at.Snapshot) {
			unlisted++
		}
	}
	switch {
	case unlisted > 0 && p.Whole() && p.Packs > p.Listed:
		texts = append(texts, fmt.Sprintf("no index lists the directories of %[1]s, and %[2]s: index files are gone. What is still on this machine is stored anew; lifeboat repository repair%[3]s brings the rest back, lifeboat verify%[3]s tells what is damaged",
			counted(unlisted, "recovery point", "recovery points"), counted(p.Packs-p.Listed, "pack that is there", "packs that are there"), flag))
	case p.Unlisted >= manyUnlisted && p.Unlisted > p.Listed:
		texts = append(texts, fmt.Sprintf("%[1]s in no index: index files may be gone; lifeboat verify%[2]s tells what is damaged, lifeboat repository repair%[2]s lists them again", counted(p.Unlisted, "pack is", "packs are"), flag))
	}
	return texts
}

// manyUnlisted packs that no index lists are more than broken off backups leave.
const manyUnlisted = 16

func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", more)
}
