package zypper

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"lifeboat/internal/host"
)

// section is the text of one package repository in a .repo file.
type section struct {
	alias string
	text  []byte
}

// sections splits the text of a .repo file, to the byte. What stands before the first one
// is left out.
func sections(data []byte) []section {
	var list []section
	for line := range bytes.Lines(data) {
		if text := bytes.TrimSpace(line); line[0] == '[' && bytes.HasSuffix(text, []byte("]")) {
			list = append(list, section{alias: string(bytes.TrimSpace(text[1 : len(text)-1]))})
		}
		if len(list) > 0 {
			last := &list[len(list)-1]
			last.text = append(last.text, line...)
		}
	}
	return list
}

// plain is the section with the ends of lines that Unix has, and one at its end.
func (s section) plain() []byte {
	var out []byte
	for line := range bytes.Lines(s.text) {
		out = append(append(out, bytes.TrimRight(line, " \t\r\n")...), '\n')
	}
	return append(bytes.TrimRight(out, "\n"), '\n')
}

// Section is the text of a package repository in its file, as it stands there: with
// everything that this package has no name for. Its address may hold a password.
func (z *Zypper) Section(r Repository) ([]byte, error) {
	_, data, err := z.file(r)
	if err != nil {
		return nil, fmt.Errorf("package repository %s: %w", r.Alias, err)
	}
	for _, s := range sections(data) {
		if s.alias == r.Alias {
			return s.plain(), nil
		}
	}
	return nil, fmt.Errorf("package repository %s is not in %s any more", r.Alias, r.File)
}

// AddSections adds the package repositories of a .repo file's text, with everything
// that it says of them, and returns their aliases. What is there by the same alias stays
// as it is. zypper itself is not asked: it would drop passwords, and reach for mirrors.
func (z *Zypper) AddSections(text []byte) ([]string, error) {
	if _, err := ParseRepositories(text); err != nil { // which bounds it
		return nil, err
	}
	have, err := z.Repositories()
	if err != nil {
		return nil, err
	}
	var aliases []string
	var wanted []section
	for _, s := range sections(text) {
		if slices.ContainsFunc(have, func(r Repository) bool { return r.Alias == s.alias }) || slices.Contains(aliases, s.alias) {
			continue
		}
		aliases, wanted = append(aliases, s.alias), append(wanted, s)
	}
	if err := checkAliases(aliases); err != nil || len(aliases) == 0 {
		return nil, err
	}
	h, err := host.At(z.o.Files)
	if err != nil {
		return nil, err
	}
	for i, s := range wanted {
		path, err := h.Path(filepath.Join(repositoryDir, s.alias+".repo"))
		if err != nil {
			return aliases[:i], err
		}
		if _, err := os.Lstat(path); err == nil {
			return aliases[:i], fmt.Errorf("add package repository %s: its file %s.repo is there and holds another", s.alias, s.alias)
		}
		mode := os.FileMode(0o644)
		if secret.Match(s.text) {
			mode = 0o600
		}
		if err := z.write(s.alias+".repo", s.plain(), mode); err != nil {
			return aliases[:i], fmt.Errorf("add package repository %s: %w", s.alias, err)
		}
	}
	return aliases, nil
}
