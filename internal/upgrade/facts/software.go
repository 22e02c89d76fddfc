package facts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// packages fills in what is installed.
func (r *record) packages(f *Facts) {
	rpms, odd := r.rpms()
	debs, oddDebs := r.debs()
	f.Manager, f.Packages = "rpm", rpms
	if len(debs) > len(rpms) {
		f.Manager, f.Packages, odd = "dpkg", debs, oddDebs
	}
	b, asked := r.find("run", f.Manager)
	switch {
	case !asked:
		f.Manager = ""
		f.unknown("packages", "no package database was found")
	case b.exit == notFound:
		f.unknown("packages", "the program "+f.Manager+" is not installed")
	case b.exit != 0:
		f.unknown("packages", fmt.Sprintf("%s ended with %d", f.Manager, b.exit))
	case odd > 0:
		f.unknown("packages", fmt.Sprintf("%d lines of %s could not be read", odd, f.Manager))
	}
	for i, l := range r.lines("run", f.Manager+"-consistency") {
		if i == 200 { // enough to see what it is about
			break
		}
		f.Inconsistent = append(f.Inconsistent, l)
	}
	if b, ok := r.find("run", f.Manager+"-consistency"); ok && b.exit != 0 && len(f.Inconsistent) == 0 {
		f.unknown("consistency", fmt.Sprintf("the check of the package database ended with %d", b.exit))
	}
}

// rpms reads the lines that rpmFields describe. Signing keys are kept by rpm as
// packages and are none.
func (r *record) rpms() (list []Package, odd int) {
	for _, line := range saying(r.text("run", "rpm")) {
		v := strings.Split(line, "\t")
		if len(v) == 6 { // an empty vendor at the end of the line
			v = append(v, "")
		}
		if len(v) != 7 || v[0] == "" {
			odd++
			continue
		}
		for i := range v {
			if v[i] = strings.TrimSpace(v[i]); v[i] == "(none)" {
				v[i] = ""
			}
		}
		if v[0] == "gpg-pubkey" {
			continue
		}
		list = append(list, Package{Name: v[0], Epoch: v[1], Version: v[2], Release: v[3], Arch: v[4], Size: min(number(v[5]), maxPackage), Vendor: v[6]})
	}
	return sortPackages(list), odd
}

// debs reads the lines that dpkgFields describe; dpkg-query(1) says what the status
// means. Its sizes are KiB.
func (r *record) debs() (list []Package, odd int) {
	for _, line := range saying(r.text("run", "dpkg")) {
		v := strings.Split(line, "\t")
		if len(v) == 5 {
			v = append(v, "")
		}
		if len(v) != 6 || len(v[4]) < 2 {
			odd++
			continue
		}
		if v[4][1] != 'i' { // removed, its configuration left
			continue
		}
		p := Package{Name: v[0], Arch: v[2], Size: min(number(v[3])<<10, maxPackage), Vendor: v[5], Held: v[4][0] == 'h'}
		p.Version = v[1]
		if epoch, rest, ok := strings.Cut(p.Version, ":"); ok {
			p.Epoch, p.Version = epoch, rest
		}
		if i := strings.LastIndex(p.Version, "-"); i > 0 {
			p.Version, p.Release = p.Version[:i], p.Version[i+1:]
		}
		list = append(list, p)
	}
	return sortPackages(list), odd
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 50)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func sortPackages(list []Package) []Package {
	slices.SortFunc(list, func(a, b Package) int {
		return strings.Compare(a.Name+"\x00"+a.Edition()+"\x00"+a.Arch, b.Name+"\x00"+b.Edition()+"\x00"+b.Arch)
	})
	return list
}

// repositories fills in package repositories and locks.
func (r *record) repositories(f *Facts) {
	for _, b := range r.below("/etc/zypp/repos.d", ".repo") {
		list := repositoryFile(b.name, b.text)
		if len(list) == 0 {
			f.unknown("repositories", b.name+" names no repository")
		}
		f.Repositories = append(f.Repositories, list...)
	}
	for _, b := range append(r.below("/etc/apt/sources.list.d", ".list"), block{name: "/etc/apt/sources.list", text: r.text("file", "/etc/apt/sources.list")}) {
		for _, line := range saying(b.text) {
			if s, ok := sourceLine(line); ok {
				s.File = b.name
				f.Repositories = append(f.Repositories, s)
			}
		}
	}
	for _, dir := range []string{"/etc/zypp/repos.d", "/etc/apt/sources.list.d"} {
		if _, odd := r.find("odd", dir); odd {
			f.unknown("repositories", "a file in "+dir+" has a name that is not plain ASCII")
		}
	}
	slices.SortStableFunc(f.Repositories, func(a, b Repository) int { return strings.Compare(a.Alias, b.Alias) })
	f.Locks = locks(r.text("file", "/etc/zypp/locks"))
	for _, p := range f.Packages {
		if p.Held {
			f.Locks = append(f.Locks, Lock{Name: p.Name, Type: "package", By: "dpkg"})
		}
	}
}

// repositoryFile reads a file of repos.d, as zypper writes it: one section for each
// repository, a base URL may go on in lines that begin with blanks.
func repositoryFile(name, text string) []Repository {
	var list []Repository
	key := ""
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
			continue
		case trimmed[0] == '[' && strings.HasSuffix(trimmed, "]"):
			list = append(list, Repository{Alias: trimmed[1 : len(trimmed)-1], File: name, Enabled: true})
			key = ""
			continue
		case len(list) == 0:
			continue
		}
		value := trimmed
		if k, v, ok := strings.Cut(trimmed, "="); ok && (line[0] != ' ' && line[0] != '\t' || key == "") {
			key, value = strings.TrimSpace(k), strings.TrimSpace(v)
		} else if line[0] != ' ' && line[0] != '\t' {
			continue
		}
		set(&list[len(list)-1], key, value)
	}
	return list
}

func set(repo *Repository, key, value string) {
	yes := value == "1" || strings.EqualFold(value, "true") || strings.EqualFold(value, "yes") || strings.EqualFold(value, "on")
	switch key {
	case "name":
		repo.Name = value
	case "enabled":
		repo.Enabled = yes
	case "autorefresh":
		repo.Refresh = yes
	case "gpgcheck":
		repo.Check = &yes
	case "baseurl":
		if value != "" {
			repo.URLs = append(repo.URLs, value)
		}
	case "type":
		repo.Type = value
	case "service":
		repo.Service = value
	case "priority":
		repo.Priority, _ = strconv.Atoi(value)
	}
}

// sourceLine reads a line of sources.list(5).
func sourceLine(line string) (Repository, bool) {
	rest, ok := strings.CutPrefix(line, "deb")
	if !ok {
		return Repository{}, false
	}
	rest = strings.TrimSpace(rest)
	repo := Repository{Enabled: true, Type: "deb"}
	if options, after, ok := strings.Cut(strings.TrimPrefix(rest, "["), "]"); ok && strings.HasPrefix(rest, "[") {
		if strings.Contains(options, "trusted=yes") {
			no := false
			repo.Check = &no
		}
		rest = after
	}
	words := strings.Fields(rest)
	if len(words) < 2 {
		return Repository{}, false
	}
	repo.URLs, repo.Name = words[:1], strings.Join(words[1:], " ")
	repo.Alias = words[1]
	return repo, true
}

// locks reads libzypp's file of locks: paragraphs of "key: value" lines.
func locks(text string) []Lock {
	var list []Lock
	open := false
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || strings.HasPrefix(key, "#") {
			if strings.TrimSpace(line) == "" {
				open = false
			}
			continue
		}
		if !open {
			list = append(list, Lock{By: "/etc/zypp/locks"})
			open = true
		}
		l := &list[len(list)-1]
		switch value = strings.TrimSpace(value); key {
		case "type":
			l.Type = value
		case "match_type":
			l.Match = value
		case "solvable_name":
			l.Name = value
		}
	}
	return slices.DeleteFunc(list, func(l Lock) bool { return l.Name == "" })
}
