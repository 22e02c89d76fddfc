package transport

import (
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestFingerprint(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	right := Fingerprint(server.Certificate().Raw)
	wrong := "sha256:" + strings.Repeat("00", 32)
	for _, print := range []string{right, strings.ToUpper(right)} {
		resp, err := client(t, Options{Fingerprint: print}).Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	resp, err := client(t, Options{Fingerprint: wrong}).Get(server.URL)
	if err == nil {
		resp.Body.Close()
		t.Fatal("another certificate was trusted")
	}
	var other *FingerprintError
	if !errors.As(err, &other) || other.Shown != right || !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}

func TestParseFingerprint(t *testing.T) {
	print := Fingerprint([]byte("certificate"))
	digits := strings.TrimPrefix(print, "sha256:")
	for text, ok := range map[string]bool{
		print: true,
		"SHA256:" + digits[:2] + ":" + digits[2:]: true,
		digits: false, "sha256:" + digits[2:]: false, "sha256:": false, "": false, "md5:" + digits: false, print + "00": false,
	} {
		if _, err := ParseFingerprint(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
