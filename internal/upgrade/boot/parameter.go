package boot

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxLine bounds the kernel's command line, in bytes: GRUB legacy takes no longer
// lines, and the kernel 2047.
const maxLine = 1500

// dropped are parameters of the installed system that mean nothing good to the
// installation system: where its root file system and its memory image are, what to
// start, what the loader itself has put in.
var dropped = []string{
	"root", "ro", "rw", "resume", "resume_offset", "noresume", "init", "rdinit", "BOOT_IMAGE", "initrd",
	"systemd.unit", "single", "S", "s", "1", "2", "3", "4", "5", "emergency", "rescue",
	"upgrade", "autoupgrade", "install", "instsys", "autoyast",
}

// words splits a line at blanks outside quotes. The words keep their quotes.
func words(line string) []string {
	var out []string
	var word strings.Builder
	var quote rune
	for _, c := range line {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == ' ' || c == '\t':
			if word.Len() > 0 {
				out = append(out, word.String())
				word.Reset()
			}
			continue
		}
		word.WriteRune(c)
	}
	if word.Len() > 0 {
		out = append(out, word.String())
	}
	return out
}

// carried splits the parameters of an entry into its root device, the last one as for
// the kernel, and those that the installation system needs as well.
func carried(given []string) (root string, kept []string) {
	for _, word := range given {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case key == "root" && value != "":
			root = value
		case slices.Contains(dropped, key):
		default:
			kept = append(kept, word)
		}
	}
	return root, kept
}

// parameters are those of the entry, in their order.
func parameters(root string, kept []string, r Request) []string {
	out := append([]string{"root=" + root, "upgrade=1"}, kept...)
	out = append(out, r.Append...)
	if r.Auto {
		out = append(out, "autoupgrade=1")
	}
	return out
}

// ErrNotUpgrade says that an entry would not upgrade: the installation system would
// offer to install anew, over what is there.
var ErrNotUpgrade = errors.New("the entry has no upgrade=1, so it would begin a new installation")

// Check refuses parameters of an entry that would not upgrade: upgrade=1 has to be
// there, and no other word may take it back.
func Check(parameters []string) error {
	if !slices.Contains(parameters, "upgrade=1") {
		return ErrNotUpgrade
	}
	for _, word := range parameters {
		if key, value, _ := strings.Cut(word, "="); strings.EqualFold(key, "upgrade") && value != "1" {
			return fmt.Errorf("%w: it has %s as well", ErrNotUpgrade, word)
		}
	}
	if n := len(strings.Join(parameters, " ")); n > maxLine {
		return fmt.Errorf("the command line of the entry has %d bytes, and %d are possible", n, maxLine)
	}
	return nil
}

// checkMade looks at an entry as the boot loader will read it.
func checkMade(path string, parameters []string) error {
	if baseOf(path) != kernel {
		return fmt.Errorf("%w: it would start %q", ErrNotUpgrade, path)
	}
	return Check(parameters)
}

// plain matches words that every boot loader takes as they are.
var plain = regexp.MustCompile(`^[A-Za-z0-9._:/,@%+=~?*\[\]-]+$`)

// checkAppended refuses what a boot loader would read as something else.
func checkAppended(appended []string) error {
	for _, word := range appended {
		if !plain.MatchString(word) {
			return fmt.Errorf("parameter %q: letters, digits and ._:/,@%%+=~?*[]- only; blanks separate parameters", word)
		}
		if key, _, _ := strings.Cut(word, "="); strings.EqualFold(key, "upgrade") || strings.EqualFold(key, "autoupgrade") {
			return fmt.Errorf("%w: %s is not to be given, upgrade=1 is there always and autoupgrade=1 is asked for otherwise", ErrNotUpgrade, word)
		}
	}
	return nil
}
