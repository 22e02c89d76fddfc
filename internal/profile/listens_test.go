package profile

import (
	"context"
	"net"
	"testing"

	"lifeboat/internal/host"
)

func TestListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	here := Scope{Host: host.Local()}
	holds := func(ctx context.Context, s Scope, port string, within int) (bool, error) {
		ok, _, err := listensHolds(ctx, s, &listensOptions{Port: port, Within: within})
		return ok, err
	}
	if ok, err := holds(t.Context(), here, port, 0); !ok || err != nil {
		t.Errorf("while somebody listens: %v, %v", ok, err)
	}
	elsewhere, err := host.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := holds(t.Context(), Scope{Host: elsewhere}, port, 0); ok || err != nil {
		t.Errorf("below another root: %v, %v", ok, err)
	}
	for _, bad := range []string{"", "0", "-1", "65536", "http"} {
		if _, err := holds(t.Context(), here, bad, 0); err == nil {
			t.Errorf("%q is taken for a port", bad)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := holds(gone, here, port, 3600); err == nil {
		t.Error("an interruption is waited out")
	}
}
