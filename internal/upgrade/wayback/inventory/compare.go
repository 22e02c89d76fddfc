package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
)

// Kind says how an entry is not what was written down.
type Kind string

// The kinds of differences.
const (
	Missing Kind = "missing" // written down, and not there
	New     Kind = "new"     // there, and not written down
	Changed Kind = "changed"
)

// Difference is an entry that is not what was written down.
type Difference struct {
	Path   string   `json:"path"`
	Kind   Kind     `json:"kind"`
	Fields []string `json:"fields,omitempty"` // what has changed: content, mode, owner …
	Was    Entry    `json:"-"`                // zero for what is new
	Now    Entry    `json:"-"`                // zero for what is missing
}

func (d Difference) String() string {
	text := fmt.Sprintf("%s %q", d.Kind, d.Path)
	for i, f := range d.Fields {
		text += map[bool]string{true: ": ", false: ", "}[i == 0] + f
	}
	return text
}

// Compare gives every difference between an inventory and the tree at root to report,
// in the order of the tree, and returns what the inventory amounts to. Where report
// returns an error that is the end. What was Moving is not compared, nor what is new
// in a directory that was.
func Compare(ctx context.Context, r io.Reader, root string, o Options, report func(Difference) error) (Summary, error) {
	was, err := open(r)
	if err != nil {
		return Summary{}, err
	}
	next, err := was.next()
	end := errors.Is(err, io.EOF)
	if err != nil && !end {
		return Summary{}, err
	}
	moving := map[string]bool{}
	forward := func() error {
		if next.Moving && next.Type == Dir {
			moving[string(next.Path)] = true
		}
		next, err = was.next()
		end = errors.Is(err, io.EOF)
		if end {
			return nil
		}
		return err
	}
	missing := func() error {
		if !next.Moving && (o.Skip == nil || !o.Skip(string(next.Path))) {
			if err := report(Difference{Path: string(next.Path), Kind: Missing, Was: next}); err != nil {
				return err
			}
		}
		return forward()
	}
	err = walk(ctx, root, o, !o.Quick, func(now Entry) error {
		if o.Quick && now.Type == File && now.Same == next.Same && now.Size == next.Size && now.MTime == next.MTime {
			now.Hash = next.Hash
		}
		for !end && order(string(next.Path), string(now.Path)) < 0 {
			if err := missing(); err != nil {
				return err
			}
		}
		if end || next.Path != now.Path {
			if moving[filepath.Dir(string(now.Path))] {
				return nil
			}
			return report(Difference{Path: string(now.Path), Kind: New, Now: now})
		}
		if fields := differ(next, now); len(fields) > 0 {
			if err := report(Difference{Path: string(now.Path), Kind: Changed, Fields: fields, Was: next, Now: now}); err != nil {
				return err
			}
		}
		return forward()
	})
	for err == nil && !end {
		err = missing()
	}
	if err != nil {
		return Summary{}, fmt.Errorf("compare %s with its inventory: %w", root, err)
	}
	return was.summary(), nil
}

// differ names what is not the same in two entries of one path.
func differ(was, now Entry) []string {
	if was.Moving {
		return nil
	}
	if was.Type != now.Type {
		return []string{fmt.Sprintf("it was a %s and is a %s", was.Type, now.Type)}
	}
	var fields []string
	for _, f := range []struct {
		name string
		same bool
	}{
		{"content", was.Hash == now.Hash && was.Size == now.Size},
		{"target", was.Target == now.Target},
		{"device", was.Device == now.Device},
		{"mode", was.Mode == now.Mode || was.Type == Symlink},
		{"owner", was.UID == now.UID},
		{"group", was.GID == now.GID},
		{"modification time", was.MTime == now.MTime},
		{"attributes", maps.Equal(was.Attributes, now.Attributes)},
		{"hard links", was.Same == now.Same},
	} {
		if !f.same {
			fields = append(fields, f.name)
		}
	}
	return fields
}
