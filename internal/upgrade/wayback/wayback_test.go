package wayback

import (
	"context"
	"errors"
	"strings"
	"testing"

	"lifeboat/internal/runbook"
)

type named struct {
	Means
	name string
	fit  Fit
}

func (n named) Name() string                       { return n.name }
func (n named) Suits(context.Context) (Fit, error) { return n.fit, nil }

func TestChoose(t *testing.T) {
	btrfs := named{name: "btrfs", fit: Fit{Why: "the root is ext4"}}
	point := named{name: "point", fit: Fit{OK: true}}
	for _, c := range []struct {
		all     []Means
		ask     string
		want    string
		refused string
	}{
		{[]Means{btrfs, point}, "", "point", ""},
		{[]Means{btrfs, point}, "auto", "point", ""},
		{[]Means{btrfs, point}, "recovery-point", "point", ""},
		{[]Means{btrfs, point}, "btrfs", "", "the root is ext4"},
		{[]Means{btrfs}, "", "", "no way back for this root"},
		{[]Means{btrfs, point}, "hardlink", "", "package database"},
		{[]Means{btrfs, point}, "cp -al", "", "package database"},
		{[]Means{btrfs, point}, "downgrade", "", "stays changed"},
		{[]Means{btrfs, point}, "prayer", "", "use auto, btrfs, point"},
	} {
		m, _, err := Choose(t.Context(), c.all, c.ask)
		if c.refused != "" {
			if !errors.Is(err, runbook.ErrRefused) || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%q: %v", c.ask, err)
			}
			continue
		}
		if err != nil || m.Name() != c.want {
			t.Errorf("%q: %v %v", c.ask, m, err)
		}
	}
}

func TestOfReadsItsOwnFormat(t *testing.T) {
	all := []Means{named{name: "point"}}
	if _, err := Of(all, Baseline{Format: Format, Means: "point"}); err != nil {
		t.Error(err)
	}
	for _, b := range []Baseline{{Format: Format + 1, Means: "point"}, {Format: Format, Means: "other"}} {
		if _, err := Of(all, b); err == nil {
			t.Errorf("%+v is taken", b)
		}
	}
}
