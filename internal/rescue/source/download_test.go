package source

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestDownload(t *testing.T) {
	const text = "a bundle of twenty-six bytes"
	mux := http.NewServeMux()
	mux.HandleFunc("/bundle", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
	mux.HandleFunc("/same", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/bundle", http.StatusFound) })
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://localhost:1/bundle", http.StatusFound)
	})
	mux.HandleFunc("/packed", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "gzip") })
	mux.HandleFunc("/silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/stuck", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, text)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	patient, err := NewClient("")
	if err != nil {
		t.Fatal(err)
	}
	hasty, err := NewClient("")
	if err != nil {
		t.Fatal(err)
	}
	hasty.Limit = 50 * time.Millisecond
	for path, try := range map[string]struct {
		client *Client
		most   int64
		want   error
	}{
		"/bundle": {patient, int64(len(text)), nil}, "/same": {patient, 1 << 20, nil}, "/elsewhere": {patient, 1 << 20, ErrRedirect},
		"/packed": {patient, 1 << 20, ErrEncoded}, "/none": {patient, 1 << 20, ErrAnswer}, "/silent": {hasty, 1 << 20, ErrEndless},
		"/stuck": {hasty, 1 << 20, ErrEndless}, "/bundle?large": {patient, int64(len(text)) - 1, ErrLarge}, "/$SERIAL": {patient, 1 << 20, ErrAddress},
	} {
		got, err := try.client.Download(t.Context(), server.URL+path, try.most)
		var read []byte
		if err == nil {
			read, err = io.ReadAll(got)
			err = errors.Join(err, got.Close())
		}
		if try.want == nil && (err != nil || string(read) != text) || try.want != nil && !errors.Is(err, try.want) {
			t.Errorf("%s: %q, %v", path, read, err)
		}
	}
	for _, address := range []string{"file:/dev/zero", "nfs://s/x", "ftp://s/x", "file:" + strings.Repeat("x", 3)} {
		if _, err := patient.Download(t.Context(), address, 1<<20); err == nil {
			t.Errorf("%s is taken", address)
		}
	}
}
