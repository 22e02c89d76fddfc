package mysql

import (
	"context"
	"strings"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/component/boundary"
)

// Somebody writes to the restored tables before they are compared: the comparison
// says so, and restoring again loads them anew, also when that is interrupted.
func TestRestoreAgainAfterForeignWriter(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (id INT PRIMARY KEY) ENGINE=InnoDB", "INSERT INTO a VALUES (1), (2)")
	st, rec := mustCapture(t, l.component(memory(t), nil))
	l.run("DELETE FROM a WHERE id = 2", "INSERT INTO a VALUES (7)")
	before := l.picture()
	state := memory(t)
	var warnings []string
	opts := component.RestoreOptions{Record: rec, Warn: func(m string) { warnings = append(warnings, m) }}
	look := func() string {
		t.Helper()
		checks, err := l.component(state, nil).Check(t.Context(), rec)
		if err != nil {
			t.Fatal(err)
		}
		var wrong []string
		for _, k := range checks {
			if !k.OK && !k.Warning {
				wrong = append(wrong, k.Name+": "+k.Found)
			}
		}
		return strings.Join(wrong, "; ")
	}
	if err := l.component(state, nil).Restore(t.Context(), st, opts); err != nil {
		t.Fatal(err)
	}
	if wrong := look(); wrong != "" {
		t.Fatal(wrong)
	}
	for _, stop := range []string{"", "after again", "after rollback", "after rolled-back"} {
		l.run("INSERT INTO a VALUES (8)")
		if wrong := look(); !strings.Contains(wrong, "somebody else") {
			t.Errorf("%q does not name the cause", wrong)
		}
		if stop != "" {
			ctx, cancel := context.WithCancel(t.Context())
			ctx = boundary.Observe(ctx, func(name string) {
				if name == stop {
					cancel()
				}
			})
			if err := l.component(state, nil).Restore(ctx, st, opts); err == nil {
				t.Fatalf("%s: not interrupted", stop)
			}
			cancel()
		}
		if err := l.component(state, nil).Restore(t.Context(), st, opts); err != nil {
			t.Fatalf("%s: %v", stop, err)
		}
		if wrong := look(); wrong != "" {
			t.Errorf("%s: %s", stop, wrong)
		}
	}
	if len(warnings) == 0 || !strings.Contains(warnings[0], "loaded anew") {
		t.Errorf("warnings %q", warnings)
	}
	if err := l.component(state, nil).Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := l.picture(); got != before {
		t.Errorf("rolled back database differs:\n%s", diff(before, got))
	}
}
