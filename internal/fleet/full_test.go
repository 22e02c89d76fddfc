package fleet

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
)

// fullStore is a database without room.
type fullStore struct{ record.Store }

func (fullStore) Change(context.Context, func(record.Tx) ([]record.Entry, error)) error {
	return record.ErrFull
}
func (fullStore) Ping(context.Context) error { return record.ErrFull }

func TestFullDiskIsToldToWhoAsks(t *testing.T) {
	p := start(t, func(o *Options) {
		if err := o.Desk.Conceal(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		o.Desk.Store = fullStore{o.Desk.Store}
	})
	p.fetch(t, "", "", "") // it has started
	if said := p.log.String(); !strings.Contains(said, "until there is room") || !strings.Contains(said, "disk is full") {
		t.Errorf("at its start it says %s", said)
	}
	refused(t, http.StatusInsufficientStorage, p.administrator, http.MethodPost, "/hosts", wire.NewHost{Name: "smt1"})
	err := p.administrator.Do(t.Context(), http.MethodPost, "/hosts", wire.NewHost{Name: "smt1"}, nil)
	if err == nil || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("the verb says %v", err)
	}
	for path, want := range map[string]int{"/readyz": http.StatusServiceUnavailable, "/healthz": http.StatusOK} {
		answer, err := p.http(t).Get(p.url + path)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		_, _ = text.ReadFrom(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != want || want != http.StatusOK && !strings.Contains(text.String(), "disk is full") {
			t.Errorf("%s: %d %s", path, answer.StatusCode, text.String())
		}
	}
}
