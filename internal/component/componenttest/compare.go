package componenttest

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component"
	"lifeboat/internal/repository"
)

// compare returns the differences that a kind tells of.
func (c *instance) compare(ctx context.Context, source component.Source) ([]component.Difference, error) {
	comparer, ok := c.Component.(component.Comparer)
	if !ok {
		c.t.Skip("this kind cannot compare a recovery point with what is there")
	}
	var all []component.Difference
	result, err := comparer.Compare(ctx, source, component.CompareOptions{
		Record: c.record, Owners: c.Owners, Progress: func(int64) {}, Report: func(d component.Difference) { all = append(all, d) },
	})
	if err == nil && len(result.What) == 0 && len(all) == 0 {
		c.t.Error("no difference, and it is not told what was compared")
	}
	return all, err
}

func compares(t *testing.T, s *suite) {
	times := untouched(t, s.dir, s.Reads)
	before := times()
	found, err := s.fresh().compare(t.Context(), s.source)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) > 0 {
		t.Errorf("nothing was changed, and these differ: %+v", found)
	}
	if after := times(); !slices.Equal(before, after) {
		t.Error("a comparison changed times")
	}

	around := s.altered()
	different, err := s.fresh().compare(t.Context(), s.source)
	if err != nil {
		t.Fatal(err)
	}
	if len(different) == 0 {
		t.Error("the part was altered, and nothing differs")
	}
	for _, d := range different {
		if d.Path == "" || d.Kind == "" || d.Kind == repository.Unreadable || d.Kind == repository.Moving {
			t.Errorf("difference %+v", d)
		}
	}
	same(t, "a comparison changed something", around, s.Around(t, s.dir))

	if s.Lose == nil || s.Stays {
		return
	}
	s.Lose(t, s.dir)
	lost, err := s.fresh().compare(t.Context(), s.source)
	if err != nil {
		t.Fatal(err)
	}
	if len(lost) == 0 {
		t.Error("the part was lost, and nothing is missing")
	}
	for _, d := range lost {
		if d.Kind != repository.Missing || d.Suspicious {
			t.Errorf("difference %+v after a loss", d)
		}
	}
}

// untouched makes everything below dir look as if it was last read long ago, and
// returns what tells the access and change times, itself reading nothing.
func untouched(t *testing.T, dir string, reads bool) func() []unix.Timespec {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		old := []unix.Timespec{{Sec: 1000}, {Nsec: unix.UTIME_OMIT}}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, old, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			t.Fatal(err)
		}
	}
	return func() (all []unix.Timespec) {
		for _, path := range paths {
			var st unix.Stat_t
			if err := unix.Lstat(path, &st); err != nil {
				t.Fatal(err)
			}
			all = append(all, st.Ctim)
			if !reads {
				all = append(all, st.Atim)
			}
		}
		return all
	}
}

func comparesNoRuin(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.fresh().compare(ctx, s.source); err == nil {
		t.Error("a comparison goes on after it was cancelled")
	}
	broken := errors.New("pack is damaged")
	for calls := range 50 {
		source := &breaking{Source: s.source, left: calls, err: broken}
		_, err := s.fresh().compare(t.Context(), source)
		switch {
		case !source.broke && err == nil:
			return
		case !errors.Is(err, broken):
			t.Fatalf("a damaged repository at call %d: %v", calls, err)
		}
	}
}
