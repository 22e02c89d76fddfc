package repository

import "testing"

// What a copy would store is told to the byte.
func TestPlanCopy(t *testing.T) {
	t.Parallel()
	r, _ := newRepo(t)
	pruneRepo(t, r)
	dst, _ := newRepo(t)
	snaps, err := r.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Copy(t.Context(), dst, snaps[:1], CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	plan, err := r.PlanCopy(t.Context(), dst, snaps)
	if err != nil {
		t.Fatal(err)
	}
	report, err := r.Copy(t.Context(), dst, snaps, CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if plan.Bytes == 0 || plan.Bytes != report.Bytes || plan.Blobs != report.Blobs || plan.Copied != report.Copied || plan.Present != 1 || report.Present != 1 {
		t.Errorf("planned %+v\ndone %+v", plan, report)
	}
	for i, s := range report.Snapshots {
		if p := plan.Snapshots[i]; p.ID != s.ID || p.Bytes != s.Bytes || p.Present != s.Present {
			t.Errorf("planned %+v, done %+v", p, s)
		}
	}
	again, err := r.PlanCopy(t.Context(), dst, snaps)
	if err != nil || again.Bytes != 0 || again.Present != len(snaps) {
		t.Errorf("again: %+v, %v", again, err)
	}
}
