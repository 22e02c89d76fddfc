package wayback

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/wayback/inventory"
)

// own are the disks in a root that go back with it: none that is left out, nor what
// containers have assembled.
func (d saved) own(root string) ([]Disk, error) {
	all, err := disksIn(root)
	if err != nil {
		return nil, fmt.Errorf("look at what is mounted in %s: %w", root, err)
	}
	in := d.include()
	own := []Disk{}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if all[path].Type != "overlay" && in(path) {
			own = append(own, all[path])
		}
	}
	return own, nil
}

// mounted refuses a root in which a disk of it is missing: what belongs there would be
// written below its place. What was mounted since is left alone, or, where that cannot be,
// refused.
func (r *replay) mounted() error {
	if r.d.Disks == nil { // an earlier version has not looked
		return nil
	}
	now, err := disksIn(r.root)
	if err != nil {
		return fmt.Errorf("look at what is mounted in %s: %w", r.root, err)
	}
	root := strings.TrimSuffix(r.root, "/")
	var wrong []string
	for _, d := range r.d.Disks {
		found, ok := now[d.Path]
		delete(now, d.Path)
		switch {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%s was a file system of its own, and is not mounted (%s)", d.Path, d.command(root)))
		case found.Type != d.Type || found.UUID != d.UUID || d.Type == "btrfs" && found.Dir != d.Dir:
			wrong = append(wrong, fmt.Sprintf("another file system is mounted at %s than when the way back was made (umount %s%s; %s)", d.Path, root, d.Path, d.command(root)))
		}
	}
	more, err := r.since(slices.Sorted(maps.Keys(now)))
	if err != nil {
		return err
	}
	for _, path := range more {
		wrong = append(wrong, fmt.Sprintf("what is mounted at %s came since, and hides or lies in what goes back (umount %s%s)", path, root, path))
	}
	if len(wrong) > 0 {
		return runbook.Refuse("", "%s is not mounted as it was; nothing was changed: %s", r.root, strings.Join(wrong, "; "))
	}
	return nil
}

// since takes what was mounted since the way back was made out of what goes back. It
// returns what would be in the way: where something stood before, or nothing around it.
func (r *replay) since(places []string) (wrong []string, err error) {
	in := r.d.include()
	places = slices.DeleteFunc(places, func(path string) bool { return !in(path) })
	if len(places) == 0 {
		return nil, nil
	}
	f, err := os.Open(r.b.List)
	if err != nil {
		return nil, fmt.Errorf("read what the root was: %w", err)
	}
	defer f.Close()
	around, hidden := map[string]bool{}, map[string]bool{}
	_, err = inventory.Read(f, func(e inventory.Entry) error {
		for _, place := range places {
			switch path := string(e.Path); {
			case e.Type == inventory.Dir && path == filepath.Dir(place):
				around[place] = true
			case path != place && below(path, []string{place}), path == place && e.Type != inventory.Dir:
				hidden[place] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, place := range places {
		if hidden[place] || !around[place] {
			wrong = append(wrong, place)
			continue
		}
		r.also = append(r.also, place)
	}
	return wrong, nil
}
