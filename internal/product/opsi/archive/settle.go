package archive

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// settle makes of the members that came by those that count: names which
// opsi-backup is known to spoil are mended, copies that it makes below symbolic
// links are left out, and what cannot stand beside each other is damage.
func (a *Archive) settle() {
	a.mendBases()
	a.mendHostKeys()
	a.fit()
	byName := a.single()
	a.followed(byName)
	a.links(byName)
	a.settleOwners()
	a.count()
}

// drop takes members out.
func (a *Archive) drop(unwanted func(*Member) bool) {
	a.Members = slices.DeleteFunc(a.Members, func(m *Member) bool {
		if unwanted(m) {
			a.entries[m.index], a.out[m.raw] = nil, true
			return true
		}
		return false
	})
}

// mendBases: where baseDir was configured with a slash at its end, the names lack
// the one between backend and content: FILE/fileclients/… for FILE/file/clients/….
func (a *Archive) mendBases() {
	spoilt, dirs := false, map[string]bool{}
	for _, m := range a.Members {
		if m.Part == Files && m.Path == "." {
			spoilt = spoilt || m.Type == Regular
			if m.Type == Directory {
				dirs[m.Backend] = true
			}
		}
	}
	if !spoilt {
		return
	}
	for _, m := range a.Members {
		if m.Part != Files {
			continue
		}
		for n := 1; n < len(m.Backend); n++ {
			if base := m.Backend[:n]; dirs[base] {
				m.Path = path.Join(m.Backend[n:], m.Path)
				m.Backend, m.Name = base, nameOf(Files, base, m.Path)
				a.findings.remark(Mended, m.raw, "baseDir was configured with a slash at its end, so the archive spoils the name; it is "+m.Name)
				break
			}
		}
	}
}

// mendHostKeys gives the host keys of archives from before July 2022 to the file
// backend that they follow.
func (a *Archive) mendHostKeys() {
	first := ""
	for _, m := range a.Members {
		if m.Part == Files {
			first = m.Backend
			break
		}
	}
	last := first
	for _, m := range a.Members {
		if m.Part == Files {
			last = m.Backend
		}
		if m.Part == HostKeys && m.Backend == oddBackend && last != "" {
			m.Backend, m.Name = last, nameOf(HostKeys, last, m.Path)
			if m.Path != "." {
				a.findings.remark(Mended, m.raw, "opsi-backup before July 2022 spoils this name; it is "+m.Name)
			}
		}
	}
}

// fit leaves out what a part cannot hold.
func (a *Archive) fit() {
	a.drop(func(m *Member) bool {
		switch {
		case m.Part == Configuration || m.Part == Files:
			if m.Path == "." && m.Type != Directory && m.Type != Symlink {
				a.findings.damage(Clash, m.Name, "a file stands where a directory must be")
				return true
			}
			return false
		case m.Path == "." && m.Type == Directory:
			return true
		case strings.Contains(m.Path, "/") || m.Path == "." || m.Part == Database && m.Path != dumpName:
			a.findings.remark(Stray, m.Name, "nothing of opsi-backup is called so; it is left out")
			return true
		case m.Type == Symlink:
			a.findings.remark(Stray, m.Name, "it is only a symbolic link to "+quote(m.Target)+"; the content is not in the archive")
			return true
		case m.Type == Directory:
			a.findings.remark(Stray, m.Name, "it is a directory; it is left out")
			return true
		}
		return false
	})
}

// single leaves out what is there twice and returns the members by name.
func (a *Archive) single() map[string]*Member {
	byName := make(map[string]*Member, len(a.Members))
	a.drop(func(m *Member) bool {
		first, twice := byName[m.Name]
		if !twice {
			byName[m.Name] = m
			return false
		}
		same := first.Type == m.Type && first.Target == m.Target && first.sum == m.sum && first.Size == m.Size
		if !same {
			a.findings.damage(Clash, m.Name, "it is in the archive twice, and not the same both times")
		} else {
			a.findings.remark(Stray, m.Name, "it is in the archive twice; the first is taken")
		}
		return true
	})
	return byName
}

// followed settles what stands below a symbolic link: opsi-backup keeps the link
// and adds a copy of what the directory holds that it leads to. When that
// directory is in the archive, the copies are left out. Else they are all that is
// left of it, and become a directory in place of the link.
func (a *Archive) followed(byName map[string]*Member) {
	below := map[string]int{} // members below something that is no directory
	for _, m := range a.Members {
		for up := path.Dir(m.Name); len(up) > len(content); up = path.Dir(up) {
			if above := byName[up]; above != nil && above.Type != Directory {
				below[up]++
			}
		}
	}
	if len(below) == 0 && !a.linkedBase() {
		return
	}
	names := make([]string, 0, len(below))
	for name := range below {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int { return cmp.Or(len(x)-len(y), strings.Compare(x, y)) })
	copies := map[string]bool{}
	for _, name := range names {
		m := byName[name]
		if inside(copies, name) {
			continue
		}
		if m.Type != Symlink {
			a.findings.damage(Clash, name, "members stand below it, and it is no directory")
			continue
		}
		to := m.leadsTo()
		if target := byName[to]; target != nil && target.Type == Directory && !strings.HasPrefix(name+"/", to+"/") {
			copies[name] = true
			a.findings.remark(Mended, name, fmt.Sprintf("%d members below this symbolic link are copies of %s; the link is taken", below[name], to))
			continue
		}
		a.findings.remark(Mended, name, fmt.Sprintf("it was a symbolic link to %s, which the archive does not hold; its content is taken as a directory", quote(m.Target)))
		like := a.aboveOf(name, byName)
		m.Type, m.Target, m.Mode = Directory, "", like.Mode
	}
	a.drop(func(m *Member) bool {
		if m.Path == "." && m.Type == Symlink {
			a.findings.remark(Stray, m.Name, "it is only a symbolic link to "+quote(m.Target)+"; the content is not in the archive")
			return true
		}
		return inside(copies, m.Name)
	})
}

func (a *Archive) linkedBase() bool {
	return slices.ContainsFunc(a.Members, func(m *Member) bool { return m.Path == "." && m.Type == Symlink })
}

// aboveOf is the nearest directory above that the archive has, or a plain one.
func (a *Archive) aboveOf(name string, byName map[string]*Member) *Member {
	for up := path.Dir(name); len(up) > len(content); up = path.Dir(up) {
		if m := byName[up]; m != nil && m.Type == Directory {
			return m
		}
	}
	return &Member{Mode: 0o755}
}

// inside tells whether name stands below one of dirs.
func inside(dirs map[string]bool, name string) bool {
	if len(dirs) == 0 {
		return false
	}
	for up := path.Dir(name); len(up) > len(content); up = path.Dir(up) {
		if dirs[up] {
			return true
		}
	}
	return false
}

// leadsTo is the name a symbolic link has for its target in the archive, "" for
// one outside. Only where CONF stood is known.
func (m *Member) leadsTo() string {
	root := nameOf(m.Part, m.Backend, "")
	to := path.Join(path.Dir(m.Name), m.Target)
	if path.IsAbs(m.Target) {
		rel, ok := strings.CutPrefix(path.Clean(m.Target), "/etc/opsi")
		if m.Part != Configuration || !ok {
			return ""
		}
		to = root + rel
	}
	if to == root || strings.HasPrefix(to, root+"/") {
		return to
	}
	return ""
}

// links finds the file of each hard link. One whose first name was left out as a
// copy gives its content to the next name.
func (a *Archive) links(byName map[string]*Member) {
	byRaw := make(map[string]*Member, len(a.Members))
	for _, m := range byName {
		if clean, err := cleanName(m.raw, a.limits.Depth); err == nil {
			byRaw[clean] = m
		}
	}
	heir := map[*Member]*Member{}
	a.drop(func(m *Member) bool {
		if m.Type != Hardlink {
			return false
		}
		to := byRaw[m.Target]
		if to == nil || to.Type != Regular || to.index >= m.index {
			a.findings.damage(Clash, m.Name, "it is a hard link to "+quote(m.Target)+", and no file of that name stands before it in the archive")
			return true
		}
		m.sum, m.Size, m.tail = to.sum, to.Size, to.tail
		if a.entries[to.index] == to {
			m.to, m.Target = to, to.Name
		} else if first := heir[to]; first != nil {
			m.to, m.Target = first, first.Name
		} else {
			heir[to] = m
			a.entries[m.index] = nil
			m.Type, m.Target, m.index = Regular, "", to.index
			a.entries[m.index] = m
		}
		return false
	})
}

// count sums up what the parts hold, and dates the archive.
func (a *Archive) count() {
	at := map[Backend]int{}
	for _, m := range a.Members {
		size := m.Size
		if m.Type == Hardlink {
			size = 0
		}
		a.Bytes += size
		if m.Part == Configuration {
			a.Configuration = true
			continue
		}
		key := Backend{Part: m.Part, Name: m.Backend}
		i, ok := at[key]
		if !ok {
			i = len(a.Backends)
			at[key] = i
			a.Backends = append(a.Backends, key)
		}
		a.Backends[i].Members++
		a.Backends[i].Bytes += size
	}
	a.moment = a.dated()
}
