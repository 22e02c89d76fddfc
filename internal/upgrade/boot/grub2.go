package boot

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// grub2Name is GRUB 2, as LOADER_TYPE of /etc/sysconfig/bootloader names it.
const grub2Name = "grub2"

// entryID is by which GRUB 2 knows the entry.
const entryID = "lifeboat-upgrade"

// grub2Configs are where GRUB 2's configuration is, SUSE's first.
var grub2Configs = []string{"/boot/grub2/grub.cfg", "/boot/grub/grub.cfg"}

// loader finds the machine's boot loader: as SUSE's configuration names it, or as there
// are its files.
func (m *Menu) loader() (string, error) {
	text, err := m.text("/etc/sysconfig/bootloader")
	if err != nil {
		return "", err
	}
	named := ""
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "LOADER_TYPE="); ok {
			named = strings.Trim(value, `"'`)
		}
	}
	has := func(paths []string) bool {
		for _, path := range paths {
			if m.Host.Exists(path) {
				return true
			}
		}
		return false
	}
	switch {
	case named != "" && named != legacyName && !strings.HasPrefix(named, grub2Name):
		return "", fmt.Errorf("%w: /etc/sysconfig/bootloader names %s, and GRUB is known only; boot the medium itself", ErrLoader, named)
	case named != legacyName && has(grub2Configs):
		return grub2Name, nil
	case has(legacyConfigs):
		return legacyName, nil
	case has(grub2Configs):
		return grub2Name, nil
	}
	return "", fmt.Errorf("%w: there is neither %s nor %s; boot the medium itself", ErrLoader, legacyConfigs[0], grub2Configs[0])
}

// grub2Entry is a menuentry.
type grub2Entry struct {
	head string   // the line that begins it
	body []string // the lines in its braces
}

func (e grub2Entry) title() string {
	if all := words(e.head); len(all) > 1 {
		return strings.Trim(all[1], `"'`)
	}
	return ""
}

// id is what --id or SUSE's $menuentry_id_option says.
func (e grub2Entry) id() string {
	all := words(e.head)
	for i, w := range all {
		if id, ok := strings.CutPrefix(w, "--id="); ok {
			return strings.Trim(id, `"'`)
		}
		if (w == "--id" || w == "$menuentry_id_option" || w == "${menuentry_id_option}") && i+1 < len(all) {
			return strings.Trim(all[i+1], `"'`)
		}
	}
	return ""
}

var linuxCommand, initrdCommand = regexp.MustCompile(`^linux(16|efi)?$`), regexp.MustCompile(`^initrd(16|efi)?$`)

// linux is the line that loads the kernel: the command, the path and the parameters.
func (e grub2Entry) linux() (command, path string, parameters []string) {
	for _, line := range e.body {
		if all := words(line); len(all) > 1 && linuxCommand.MatchString(all[0]) {
			return all[0], all[1], all[2:]
		}
	}
	return "", "", nil
}

// command1 is the first word of a line.
func command1(line string) string {
	if all := words(line); len(all) > 0 {
		return all[0]
	}
	return ""
}

func beginsEntry(line string) bool {
	return strings.HasPrefix(line, "menuentry") && command1(line) == "menuentry" && strings.HasSuffix(line, "{")
}

// parseGRUB2 finds the entries of a grub.cfg, those of submenus among them. It reads
// what grub-mkconfig writes: a brace opens at the end of a line and closes on a line of
// its own.
func parseGRUB2(text string) []grub2Entry {
	var entries []grub2Entry
	var open *grub2Entry
	depth := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		if open == nil {
			if beginsEntry(line) {
				open, depth = &grub2Entry{head: line}, 1
			}
			continue
		}
		switch {
		case strings.HasSuffix(line, "{"):
			depth++
		case line == "}":
			depth--
		}
		if depth == 0 {
			entries, open = append(entries, *open), nil
			continue
		}
		open.body = append(open.body, line)
	}
	return entries
}

// planGRUB2 plans the file that grub.cfg reads besides, or the end of grub.cfg where it
// reads none.
func (m *Menu) planGRUB2(ctx context.Context, r Request, rec *record) error {
	config := grub2Configs[0]
	if !m.Host.Exists(config) {
		config = grub2Configs[1]
	}
	text, err := m.text(config)
	if err != nil {
		return err
	}
	dir := filepath.Dir(config)
	environment := filepath.Join(dir, "grubenv")
	envText, err := m.text(environment)
	if err != nil {
		return err
	}
	model, err := m.modelGRUB2(parseGRUB2(text), envText)
	if err != nil {
		return fmt.Errorf("%s: %w", config, err)
	}
	command, path, given := model.linux()
	root, kept := carried(given)
	if root == "" {
		if root, err = m.rootDevice(); err != nil {
			return err
		}
	}
	// GRUB 2 would take these for names of files.
	r.Append = slices.Clone(r.Append)
	for i, word := range r.Append {
		if strings.ContainsAny(word, "*?[]~") {
			r.Append[i] = "'" + word + "'"
		}
	}
	rec.Like, rec.Parameters = model.title(), parameters(root, kept, r)
	rec.Config = config
	before := text
	if strings.Contains(text, "/custom.cfg") {
		rec.Config = filepath.Join(dir, "custom.cfg")
		if before, err = m.text(rec.Config); err != nil {
			return err
		}
	}
	var after string
	after, rec.Section = appended(before, sectionGRUB2(model, command, dirOf(path), rec.Parameters))
	made := parseGRUB2(rec.Section)
	if len(made) != 1 {
		return fmt.Errorf("%s: no entry can be made after %q", config, rec.Like)
	}
	_, path, given = made[0].linux()
	if err := checkMade(path, given); err != nil {
		return err
	}
	if err := rec.change(m, rec.Config, grubCfg, before, []byte(after)); err != nil {
		return err
	}
	return m.selectGRUB2(ctx, rec, text, environment, envText)
}

// sectionGRUB2 is an entry that does what the model does, but for the kernel.
func sectionGRUB2(model grub2Entry, command, dir string, parameters []string) []string {
	head := "menuentry '" + Title + "' "
	if strings.Contains(model.head, "--unrestricted") {
		head += "--unrestricted "
	}
	lines := []string{comment, head + "--id " + entryID + " {"}
	for _, line := range model.body {
		first := command1(line)
		switch {
		case linuxCommand.MatchString(first):
			lines = append(lines, "    "+command+" "+dir+kernel+" "+strings.Join(parameters, " "),
				"    "+strings.Replace(command, "linux", "initrd", 1)+" "+dir+initrd)
		case initrdCommand.MatchString(first), first == "echo", first == "savedefault", first == "recordfail", first == "":
		default:
			lines = append(lines, "    "+line)
		}
	}
	return append(lines, "}", "")
}

// modelGRUB2 is the entry after which the new one is made: the one that was saved, or
// the first that starts a Linux of /boot and is not for emergencies.
func (m *Menu) modelGRUB2(entries []grub2Entry, envText string) (grub2Entry, error) {
	var candidates []grub2Entry
	if env, err := parseBlock([]byte(envText)); err == nil {
		name := env.get("saved_entry")
		name = name[strings.LastIndexByte(name, '>')+1:]
		for _, e := range entries {
			if name != "" && (e.id() == name || e.title() == name) {
				candidates = append(candidates, e)
			}
		}
	}
	for _, e := range append(candidates, entries...) {
		_, path, _ := e.linux()
		if !emergency(e.title()) && e.id() != entryID && m.inBoot(path) {
			return e, nil
		}
	}
	return grub2Entry{}, errors.New("it has no entry that starts a kernel of /boot, so it is not known how to reach one from GRUB; boot the medium itself")
}

// cutGRUB2 takes the entry out of a file that was rewritten meanwhile.
func cutGRUB2(text string) (string, bool) {
	var out strings.Builder
	depth, found := 0, false
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case depth > 0 && strings.HasSuffix(trimmed, "{"):
			depth++
		case depth > 0 && trimmed == "}":
			depth--
		case depth > 0:
		case beginsEntry(trimmed) && (grub2Entry{head: trimmed}).id() == entryID:
			depth, found = 1, true
		case trimmed == comment:
		default:
			out.WriteString(line)
		}
	}
	return out.String(), found && depth == 0
}
