package opsi

import (
	"context"
	"crypto/md5" // opsi's own lists have it
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/profile"
)

const (
	maxList    = 64 << 20 // bytes of a package's list of files
	maxChanges = 400      // that are named
)

// entry is a line of a package's list: d, f or l, a path in quotes, a size, and the
// MD5 sum of a file or the target of a link.
type entry struct {
	kind byte
	size int64
	md5  string
}

// DepotOptions are the options of the predicate opsi_depot.
type DepotOptions struct {
	Changes string `yaml:"changes" short:"true" jsonschema:"required"` // as depot_changes has listed them, one a line
	Dir     string `yaml:"dir" jsonschema:"required"`
}

// Listed are the changes, for who looks for them by hand.
func (o *DepotOptions) Listed() []string { return strings.Split(o.Changes, "\n") }

// depotHolds compares what was changed when the list was made with what is changed
// now. What was changed in another way since counts as done.
func depotHolds(ctx context.Context, scope profile.Scope, options any) (bool, string, error) {
	o, ok := options.(*DepotOptions)
	if !ok {
		return false, "", fmt.Errorf("predicate opsi_depot: options are %T", options)
	}
	if o.Changes == "" {
		return true, "nothing was changed by hand", nil
	}
	now, err := depotChanges(ctx, scope.Host, o.Dir)
	if err != nil {
		return false, "", err
	}
	has := strings.Split(now, "\n")
	var lost []string
	all := strings.Split(o.Changes, "\n")
	for _, c := range all {
		if !slices.Contains(has, c) {
			lost = append(lost, c)
		}
	}
	if len(lost) > 0 {
		return false, "not as it was: " + strings.Join(lost, ", "), nil
	}
	return true, fmt.Sprintf("%d changes are there", len(all)), nil
}

// depotChanges lists what in a depot is not as the packages brought it, one path a
// line: what is new, changed or gone. opsi-package-manager leaves a list
// PRODUCT.files in each product's directory. A file counts as changed when its size
// differs, or when it is younger than the list and its sum differs; a change that
// keeps the size and sets the time back is not found. A new directory is named and
// not what is in it, and nothing can be said of a product without a list.
func depotChanges(ctx context.Context, h *host.Host, dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	top, err := h.Path(dir)
	if err != nil {
		return "", err
	}
	products, err := os.ReadDir(top)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for local changes of the depot: %w", err)
	}
	var changes []string
	more := 0
	for _, p := range products {
		if !p.IsDir() {
			continue
		}
		found, err := productChanges(ctx, filepath.Join(top, p.Name()), p.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("look for local changes of the product %s: %w", p.Name(), err)
		}
		for _, c := range found {
			if len(changes) == maxChanges || strings.ContainsAny(c, "\n\r") {
				more++
				continue
			}
			changes = append(changes, path.Join(dir, p.Name(), c))
		}
	}
	if more > 0 {
		changes = append(changes, fmt.Sprintf("… and %d more", more))
	}
	return strings.Join(changes, "\n"), nil
}

func productChanges(ctx context.Context, dir, product string) ([]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	list := product + ".files"
	info, err := root.Lstat(list)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxList {
		return nil, fmt.Errorf("%s is no list of files", list)
	}
	text, err := root.ReadFile(list)
	if err != nil {
		return nil, err
	}
	listed := parseFiles(string(text))
	var changes []string
	seen := map[string]bool{list: true}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if name == "." || name == list {
			return nil
		}
		want, known := listed[name]
		if !known {
			changes = append(changes, name)
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		seen[name] = true
		now, err := d.Info()
		if err != nil {
			return err
		}
		if want.kind == 'f' && now.Mode().IsRegular() {
			switch {
			case now.Size() != want.size:
				changes = append(changes, name)
			case now.ModTime().After(info.ModTime()):
				sum, err := md5Of(root, name)
				if err != nil {
					return err
				}
				if sum != want.md5 {
					changes = append(changes, name)
				}
			}
		}
		return nil
	})
	for name, e := range listed {
		if !seen[name] && e.kind != 'd' {
			changes = append(changes, name+" (gone)")
		}
	}
	slices.Sort(changes)
	return changes, err
}

func md5Of(root *os.Root, name string) (string, error) {
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := md5.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// parseFiles reads a package's list. A quote in a path has a backslash before it.
// Lines that are no entry are passed over.
func parseFiles(text string) map[string]entry {
	entries := map[string]entry{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if len(line) < 4 || line[1] != ' ' || line[2] != '\'' || !strings.ContainsRune("dfl", rune(line[0])) {
			continue
		}
		rest := line[3:]
		var name strings.Builder
		closed := false
		for i := 0; i < len(rest) && !closed; i++ {
			switch {
			case strings.HasPrefix(rest[i:], `\'`):
				name.WriteByte('\'')
				i++
			case rest[i] == '\'':
				closed, rest = true, rest[i+1:]
			default:
				name.WriteByte(rest[i])
			}
		}
		fields := strings.Fields(rest)
		if !closed || len(fields) == 0 {
			continue
		}
		size, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil || size < 0 {
			continue
		}
		e := entry{kind: line[0], size: size}
		if e.kind == 'f' && len(fields) > 1 {
			e.md5 = fields[1]
		}
		entries[path.Clean(name.String())] = e
	}
	return entries
}
