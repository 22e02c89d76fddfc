package repository

import (
	"errors"
	"testing"
	"time"

	"lifeboat/internal/storage"
)

func TestKeptError(t *testing.T) {
	until := time.Date(2026, 12, 1, 10, 0, 0, 0, time.Local)
	e := &KeptError{}
	e.add(ID{1}, &storage.RetainedError{Until: until})
	e.add(ID{2}, storage.ErrRetained)
	for gone, end := range []string{"", "; 1 other was removed", "; 2 others were removed"} {
		e.Gone = gone
		want := "snapshot 01000000 stays: it is locked against removal until 2026-12-01 10:00:00 (object lock) and can be removed after that; " +
			"snapshot 02000000 stays: it is locked against removal (object lock)" + end
		if e.Error() != want {
			t.Errorf("%q, want %q", e, want)
		}
	}
	if !errors.Is(e, storage.ErrRetained) {
		t.Error("is not ErrRetained")
	}
}
