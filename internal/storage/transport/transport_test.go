package transport

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/stall"
)

func client(t *testing.T, opts Options) *http.Client {
	t.Helper()
	tr, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return &http.Client{Transport: tr}
}

var quick = stall.Limit{Window: 100 * time.Millisecond, Bytes: 100}

func TestStalledAnswers(t *testing.T) {
	release := make(chan struct{})
	tests := []struct {
		name   string
		handle http.HandlerFunc
	}{
		{"no answer", func(http.ResponseWriter, *http.Request) { <-release }},
		{"no body", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.(http.Flusher).Flush()
			<-release
		}},
		{"a drip", func(w http.ResponseWriter, _ *http.Request) {
			for {
				w.Write([]byte("."))
				w.(http.Flusher).Flush()
				select {
				case <-release:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			release = make(chan struct{})
			server := httptest.NewServer(tt.handle)
			defer server.Close()
			defer close(release)
			resp, err := client(t, Options{Stall: quick}).Get(server.URL)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if !errors.Is(err, stall.ErrStalled) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestStalledUpload(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	resp, err := client(t, Options{Stall: quick}).Post(server.URL, "", bytes.NewReader(make([]byte, 32<<20)))
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, stall.ErrStalled) {
		t.Errorf("got %v", err)
	}
}

func TestCancelIsNotAStall(t *testing.T) {
	release := make(chan struct{})
	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(asked); <-release }))
	defer server.Close()
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client(t, Options{}).Do(req)
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, context.Canceled) || errors.Is(err, stall.ErrStalled) {
		t.Errorf("got %v", err)
	}
}

func TestOwnAuthority(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	server.Config.ErrorLog = nil
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	resp, err := client(t, Options{CACert: ca}).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	resp, err = client(t, Options{}).Get(server.URL)
	if err == nil {
		resp.Body.Close()
		t.Error("a certificate of nobody was trusted")
	}
	if _, err := New(Options{CACert: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(ca, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{CACert: ca}); err == nil {
		t.Error("a file without certificates was taken")
	}
}

func TestStatus(t *testing.T) {
	tests := []struct {
		code      int
		permanent bool
		is        error
	}{
		{404, true, storage.ErrNotFound},
		{401, true, fs.ErrPermission},
		{403, true, fs.ErrPermission},
		{507, true, storage.ErrNoSpace},
		{501, true, nil},
		{400, true, nil},
		{302, true, nil},
		{408, false, nil},
		{429, false, nil},
		{500, false, nil},
		{503, false, nil},
	}
	for _, tt := range tests {
		err := NewStatus(tt.code, "", nil)
		if err.Permanent() != tt.permanent {
			t.Errorf("%d: permanent is %v", tt.code, err.Permanent())
		}
		if tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%d is not %v", tt.code, tt.is)
		}
	}
	err := NewStatus(503, "go \x1b[31maway\n"+strings.Repeat("x", 1000), http.Header{"Retry-After": {"7"}})
	if err.RetryAfter() != 7*time.Second || strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 2*maxText {
		t.Errorf("%v after %v", err, err.RetryAfter())
	}
	if err := NewStatus(507, "The Quota of user a is used up", nil); !errors.Is(err, storage.ErrQuota) || !errors.Is(err, storage.ErrNoSpace) {
		t.Error(err)
	}
}

func TestBody(t *testing.T) {
	for _, tt := range []struct {
		sent string
		want int64
		ok   bool
	}{{"abc", 3, true}, {"", 0, true}, {"ab", 3, false}, {"abcd", 3, false}} {
		got, err := io.ReadAll(Body(io.NopCloser(strings.NewReader(tt.sent)), tt.want))
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, storage.ErrTruncated) || int64(len(got)) > tt.want {
			t.Errorf("%q for %d: %q, %v", tt.sent, tt.want, got, err)
		}
	}
}
