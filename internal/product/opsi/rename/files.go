package rename

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"lifeboat/internal/host"
)

// maxText is the size up to which a file is read for names, in bytes. opsi's own
// are some kilobytes, the largest, an audit file, some hundred.
const maxText = 8 << 20

// ownPrefix begins the names of the directories in which a restore keeps what stood in
// the way: a rollback has to find it as it was.
const ownPrefix = ".lifeboat-"

// Places are the paths below which a server's names are written down.
type Places struct {
	// Trees are searched as a whole: /etc/opsi, the file backend.
	Trees []string
	// Files are single ones: host keys that lie elsewhere, dhcpd.conf.
	Files []string
	// Base is the file backend's directory, where files are called like hosts;
	// "" without one.
	Base string
	// Keys is the file of host keys, "" without one: a host has one line there.
	Keys string
}

// FilesPlan is everything that a renaming does to files.
type FilesPlan struct {
	Changes []Change
	Removed []string
	// Left is what a person must see to: certificates and signed files, which
	// must be made anew, and what cannot be told to be the old server's name.
	Left  []string
	edits []edit
	moves []move
	gone  []string
}

type edit struct {
	path string
	text string
	info fs.FileInfo
}

type move struct{ from, to string }

// Empty tells whether nothing of the old name is left to change.
func (p *FilesPlan) Empty() bool { return len(p.edits)+len(p.moves)+len(p.gone) == 0 }

// PlanFiles looks for the old names in files. It changes nothing.
func PlanFiles(ctx context.Context, h *host.Host, places Places, n Names) (*FilesPlan, error) {
	if err := n.Validate(); err != nil {
		return nil, err
	}
	b := &filesPlanner{FilesPlan: &FilesPlan{}, host: h, places: places, names: n, seen: map[string]bool{}, hand: hand{names: n}}
	if places.Base != "" {
		depot, err := h.Path(path.Join(places.Base, "depots", n.Old+".ini"))
		if err != nil {
			return nil, err
		}
		_, err = os.Stat(depot)
		b.there = err == nil
	}
	for _, dir := range places.Trees {
		if err := b.tree(ctx, dir); err != nil {
			return nil, err
		}
	}
	for _, file := range places.Files {
		if err := b.file(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	// Once the server's own file is renamed, whatever has the new name is its
	// own, and no other host's any more.
	b.Left = append(b.Left, b.hand.lines()...)
	slices.SortStableFunc(b.moves, func(x, y move) int { return boolean(isServer(y)) - boolean(isServer(x)) })
	return b.FilesPlan, nil
}

func isServer(m move) bool { return path.Base(path.Dir(m.from)) == "depots" }

func boolean(v bool) int {
	if v {
		return 1
	}
	return 0
}

type filesPlanner struct {
	*FilesPlan
	host   *host.Host
	places Places
	names  Names
	seen   map[string]bool
	there  bool // the server's own file has the old name; else it was renamed before
	hand   hand
}

func (b *filesPlanner) tree(ctx context.Context, dir string) error {
	real, err := b.host.Path(dir)
	if err != nil {
		return err
	}
	err = filepath.WalkDir(real, func(name string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if d.IsDir() && name != real && strings.HasPrefix(d.Name(), ownPrefix) {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		return b.file(path.Join(dir, strings.TrimPrefix(name, real)))
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for the old name below %s: %w", dir, err)
	}
	return nil
}

// file plans what becomes of one file. Whatever links lead to it, it is
// considered once.
func (b *filesPlanner) file(name string) error {
	real, err := b.host.Path(name)
	if err != nil {
		return err
	}
	if b.seen[real] {
		return nil
	}
	b.seen[real] = true
	info, err := os.Stat(real)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	if b.replaced(name) {
		return nil
	}
	if to := b.renamed(name); to != "" {
		b.moves = append(b.moves, move{name, to})
		b.Changes = append(b.Changes, Change{"file", name, to})
	}
	if info.Size() > maxText {
		return nil
	}
	data, err := os.ReadFile(real)
	if err != nil || bytes.IndexByte(data, 0) >= 0 {
		return err
	}
	text := string(data)
	if signed(name) {
		if b.names.Mentions(text) || madeOut(data, b.names.Old) {
			b.Left = append(b.Left, fmt.Sprintf("%s names %s; it must be made anew", name, b.names.Old))
		}
		return nil
	}
	now := b.rewrite(name, text)
	if now == text {
		return nil
	}
	b.edits = append(b.edits, edit{name, now, info})
	return nil
}

// rewrite returns the new text, and notes each line that changes. Lines may hold
// keys and passwords; only the names are told.
func (b *filesPlanner) rewrite(name, text string) string {
	var out strings.Builder
	lists := name == b.places.Keys || b.places.Base != "" && name == path.Join(b.places.Base, "clientgroups.ini")
	had := lists && slices.ContainsFunc(strings.Split(text, "\n"), func(l string) bool { return entry(l, b.names.Old) })
	number := 0
	for line := range strings.Lines(text) {
		number++
		if had && entry(line, b.names.New) {
			b.Removed = append(b.Removed, fmt.Sprintf("%s:%d, the entry of a host that has the new id already", name, number))
			continue
		}
		now := b.names.Rewrite(line)
		if now != line && b.places.Base != "" && prose.MatchString(line) {
			b.Left = append(b.Left, fmt.Sprintf("%s:%d: %s", name, number, strings.TrimSpace(line)))
			now = line
		} else {
			b.hand.look(fmt.Sprintf("%s:%d", name, number), now)
		}
		if now != line {
			old, new := difference(line, now)
			b.Changes = append(b.Changes, Change{fmt.Sprintf("%s:%d", name, number), old, new})
		}
		out.WriteString(now)
	}
	return out.String()
}

// prose are the keys of the file backend in which people write.
var prose = regexp.MustCompile(`^\s*(?i:notes|description|advice|changelog)\s*[=:]`)

// entry tells whether a line of a list of hosts is that of one.
func entry(line, id string) bool {
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), id)
	return ok && rest != "" && strings.ContainsRune(":= \t", rune(rest[0]))
}

// difference cuts two lines down to the host names in which they first differ.
func difference(old, now string) (string, string) {
	i := 0
	for i < len(old) && i < len(now) && old[i] == now[i] {
		i++
	}
	part := func(s string) string {
		from, to := i, i
		for from > 0 && (inName(s[from-1]) || s[from-1] == '.') {
			from--
		}
		for to < len(s) && (inName(s[to]) || s[to] == '.') {
			to++
		}
		return s[from:to]
	}
	return part(old), part(now)
}

// hostFiles are the directories of the file backend in which a file is called
// like the host that it describes, and the endings it may have.
var hostFiles = map[string][]string{
	"clients": {".ini"},
	"depots":  {".ini"},
	"audit":   {".sw", ".hw"},
}

// hostFile takes a path of the file backend apart; id is "" for others.
func (b *filesPlanner) hostFile(name string) (dir, id, ending string) {
	if b.places.Base == "" {
		return "", "", ""
	}
	rel, ok := strings.CutPrefix(name, strings.TrimSuffix(b.places.Base, "/")+"/")
	if !ok {
		return "", "", ""
	}
	dir, file := path.Split(rel)
	for _, ending := range hostFiles[path.Clean(dir)] {
		if id, ok := strings.CutSuffix(file, ending); ok {
			return path.Join(b.places.Base, dir), id, ending
		}
	}
	return "", "", ""
}

// renamed returns the name that the server's own file gets.
func (b *filesPlanner) renamed(name string) string {
	dir, id, ending := b.hostFile(name)
	if id != b.names.Old {
		return ""
	}
	return path.Join(dir, b.names.New+ending)
}

// replaced tells whether a file describes another host that has the new id and
// makes room: a file of the server's own comes in its place, or its role goes.
func (b *filesPlanner) replaced(name string) bool {
	_, id, _ := b.hostFile(name)
	if id != b.names.New || !b.there {
		return false
	}
	b.Removed = append(b.Removed, fmt.Sprintf("%s, of a host that has the new id already", name))
	b.gone = append(b.gone, name)
	return true
}

// Apply carries the plan out. What is replaced is kept below aside, a directory
// of this machine that is made when it is needed. A killed Apply is gone on with
// by planning again.
func (p *FilesPlan) Apply(ctx context.Context, h *host.Host, aside string) error {
	for _, e := range p.edits {
		if err := ctx.Err(); err != nil {
			return err
		}
		owner, ok := e.info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("%s: no owner is known", e.path)
		}
		present, err := h.Path(e.path)
		if err != nil {
			return err
		}
		err = h.WriteFile(e.path, []byte(e.text), host.WriteOptions{
			Mode: e.info.Mode().Perm(), UID: int(owner.Uid), GID: int(owner.Gid), Attributes: present, Aside: filepath.Join(aside, e.path),
		})
		if err != nil {
			return err
		}
	}
	for _, name := range p.gone {
		if err := remove(h, name, aside); err != nil {
			return fmt.Errorf("set %s aside: %w", name, err)
		}
	}
	for _, m := range p.moves {
		if err := m.apply(h, aside); err != nil {
			return fmt.Errorf("rename %s: %w", m.from, err)
		}
	}
	return nil
}
