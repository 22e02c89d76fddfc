package boot

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// legacyName is GRUB 0.97, as LOADER_TYPE of /etc/sysconfig/bootloader names it.
const legacyName = "grub"

// legacyConfigs are where GRUB legacy's menu is; often one is a link to the other.
var legacyConfigs = []string{"/boot/grub/menu.lst", "/boot/grub/grub.conf"}

// savedFile holds the number of the entry to start, for SUSE's GRUB legacy with the flag
// once: ten bytes, digits up to a NUL, that the loader overwrites in place. That is how
// grubonce of SUSE's package grub writes it.
const (
	savedFile = "/boot/grub/default"
	savedSize = 10
	once      = 0x4000
)

// comment stands before the section.
const comment = "# Made for an upgrade; `lifeboat upgrade boot-entry remove` takes it away."

// legacyEntry is a section of a menu.lst.
type legacyEntry struct {
	title string
	lines [][2]string // command and the rest
}

func (e legacyEntry) get(command string) string {
	for _, l := range e.lines {
		if l[0] == command {
			return l[1]
		}
	}
	return ""
}

// linux is the path and the parameters of the Linux kernel that the entry starts, also
// as a module of Xen's.
func (e legacyEntry) linux() (path string, parameters []string) {
	line := e.get("kernel")
	if path, _ := splitKernel(line); strings.HasPrefix(baseOf(path), "xen") {
		line = e.get("module")
	}
	return splitKernel(line)
}

func splitKernel(line string) (path string, parameters []string) {
	all := words(line)
	for len(all) > 0 && strings.HasPrefix(all[0], "--") { // --type=linux, --no-mem-option
		all = all[1:]
	}
	if len(all) == 0 {
		return "", nil
	}
	return all[0], all[1:]
}

func baseOf(path string) string {
	return path[strings.LastIndexAny(path, "/)")+1:]
}

func dirOf(path string) string { return strings.TrimSuffix(path, baseOf(path)) }

// legacyMenu is a menu.lst, read as GRUB legacy reads it: a command, blanks or an equals
// sign, the rest; a backslash at the end goes on with the next line.
type legacyMenu struct {
	global  [][2]string
	entries []legacyEntry
}

func parseLegacy(text string) legacyMenu {
	var m legacyMenu
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		command, rest := splitCommand(line)
		switch {
		case command == "title":
			m.entries = append(m.entries, legacyEntry{title: rest})
		case len(m.entries) == 0:
			m.global = append(m.global, [2]string{command, rest})
		default:
			e := &m.entries[len(m.entries)-1]
			e.lines = append(e.lines, [2]string{command, rest})
		}
	}
	return m
}

func splitCommand(line string) (command, rest string) {
	at := strings.IndexAny(line, " \t=")
	if at < 0 {
		return line, ""
	}
	return line[:at], strings.TrimLeft(line[at:], " \t=")
}

// standard is the number of the entry that is started when nobody chooses, and whether
// that is what was saved.
func (m legacyMenu) standard(savedText string) (number int, fromSaved bool) {
	for _, l := range m.global {
		if l[0] != "default" {
			continue
		}
		if l[1] == "saved" {
			fromSaved = true
			if n, ok := savedNumber([]byte(savedText)); ok {
				number = n &^ once
			}
		} else if n, err := strconv.Atoi(l[1]); err == nil {
			number, fromSaved = n, false
		}
	}
	if number < 0 || number >= len(m.entries) {
		number = 0
	}
	return number, fromSaved
}

// savedNumber reads what savedFile holds.
func savedNumber(data []byte) (int, bool) {
	end := 0
	for end < len(data) && data[end] >= '0' && data[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(string(data[:end]))
	return n, err == nil && n >= 0 && n < 1<<16
}

func savedText(number int) []byte {
	text := strconv.Itoa(number) + "\x00" + strings.Repeat("\n", savedSize)
	return []byte(text[:savedSize])
}

// planLegacy plans the section of a menu.lst.
func (m *Menu) planLegacy(_ context.Context, r Request, rec *record) error {
	for _, path := range legacyConfigs {
		if m.Host.Exists(path) {
			rec.Config = path
			break
		}
	}
	text, err := m.text(rec.Config)
	if err != nil {
		return err
	}
	now, err := m.text(savedFile)
	if err != nil {
		return err
	}
	menu := parseLegacy(text)
	standard, fromSaved := menu.standard(now)
	model, err := m.modelLegacy(menu, standard)
	if err != nil {
		return fmt.Errorf("%s: %w", rec.Config, err)
	}
	path, given := model.linux()
	root, kept := carried(given)
	if root == "" {
		if root, err = m.rootDevice(); err != nil {
			return err
		}
	}
	rec.Like, rec.Parameters = model.title, parameters(root, kept, r)
	lines := []string{comment, "title " + Title}
	for _, command := range []string{"root", "rootnoverify"} {
		if device := model.get(command); device != "" {
			lines = append(lines, "    "+command+" "+device)
		}
	}
	if fromSaved {
		// Started once, it must not become what is started from then on.
		lines = append(lines, "    savedefault "+strconv.Itoa(standard))
	}
	lines = append(lines, "    kernel "+dirOf(path)+kernel+" "+strings.Join(rec.Parameters, " "), "    initrd "+dirOf(path)+initrd, "")
	var after string
	after, rec.Section = appended(text, lines)
	made := parseLegacy(rec.Section)
	if len(made.entries) != 1 {
		return fmt.Errorf("%s: no entry can be made after %q", rec.Config, rec.Like)
	}
	if err := checkMade(made.entries[0].linux()); err != nil {
		return err
	}
	if err := rec.change(m, rec.Config, menuLst, text, []byte(after)); err != nil {
		return err
	}
	switch {
	case !m.hasGrubonce():
		rec.Selection, rec.Why = Manual, "no way is known to have this GRUB start an entry once: there is no grubonce, and this is no SUSE system"
	case len(menu.entries) >= once:
		rec.Selection, rec.Why = Manual, "the menu has too many entries"
	default:
		return rec.change(m, savedFile, saved, now, savedText(len(menu.entries)|once))
	}
	return nil
}

// modelLegacy is the entry after which the new one is made: the standard one, or the
// first that starts a Linux of /boot and is not for emergencies.
func (m *Menu) modelLegacy(menu legacyMenu, standard int) (legacyEntry, error) {
	candidates := slices.Clone(menu.entries)
	if standard < len(candidates) {
		candidates = append([]legacyEntry{candidates[standard]}, candidates...)
	}
	for i, e := range candidates {
		path, _ := e.linux()
		if i > 0 && emergency(e.title) {
			continue
		}
		if m.inBoot(path) {
			return e, nil
		}
	}
	return legacyEntry{}, errors.New("it has no entry that starts a kernel of /boot, so it is not known how to reach one from GRUB; boot the medium itself")
}

// inBoot tells whether a path of an entry is that of a Linux kernel in /boot.
func (m *Menu) inBoot(path string) bool {
	base := strings.Trim(baseOf(path), `"'`)
	if base == "" || strings.Contains(base, "$") || strings.HasPrefix(base, "memtest") || strings.HasPrefix(base, "xen") {
		return false
	}
	return m.Host.Exists(filepath.Join(boot, base))
}

func emergency(title string) bool {
	title = strings.ToLower(title)
	return strings.Contains(title, "failsafe") || strings.Contains(title, "recovery") || strings.Contains(title, "rescue")
}

// hasGrubonce tells whether the machine's GRUB legacy is SUSE's, which knows the flag.
func (m *Menu) hasGrubonce() bool {
	for _, path := range []string{"/usr/sbin/grubonce", "/etc/SuSE-release", "/etc/products.d"} {
		if m.Host.Exists(path) {
			return true
		}
	}
	return false
}

// appended adds lines to a text, with the ends of lines that it has.
func appended(text string, lines []string) (after, section string) {
	end := "\n"
	if strings.Contains(text, "\r\n") {
		end = "\r\n"
	}
	section = strings.Join(lines, end)
	if text != "" && !strings.HasSuffix(text, "\n") {
		section = end + section
	}
	return text + section, section
}

// cutLegacy takes the section out of a menu that was rewritten meanwhile.
func cutLegacy(text string) (string, bool) {
	var out, entry []string
	found, ours := false, false
	flush := func() {
		if !ours {
			out = append(out, entry...)
		}
		found = found || ours
		entry, ours = nil, false
	}
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		command, rest := splitCommand(trimmed)
		if command == "title" || trimmed == comment {
			flush()
			if trimmed == comment {
				continue
			}
		}
		entry = append(entry, line)
		if path, parameters := splitKernel(rest); command == "kernel" && baseOf(path) == kernel && slices.Contains(parameters, "upgrade=1") {
			ours = true
		}
	}
	flush()
	return strings.Join(out, ""), found
}
