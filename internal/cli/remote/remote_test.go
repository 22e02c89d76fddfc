package remote

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/fleet/secret"
	"lifeboat/internal/runbook/ending"
)

// fleet is a server that answers as a fleet's does, and what lets in there.
func fleet(t *testing.T) (address string, flags []string) {
	t.Helper()
	token := secret.NewToken("lft")
	mux := http.NewServeMux()
	answer := func(pattern, text string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+token {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = io.WriteString(w, text)
		})
	}
	answer("GET /api/v1/hosts", `{"items":[{"id":"0123","name":"smt1","group":"branch"}]}`)
	answer("GET /api/v1/protections", `{"items":[]}`)
	answer("GET /api/v1/audit/verification", `{"whole":false,"broken":7,"reason":"changed"}`)
	answer("POST /api/v1/hosts/smt1/exports", `{"signed":true}`)
	mux.HandleFunc("POST /api/v1/hosts", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, `{"detail":"there is a host smt1"}`)
	})
	mux.HandleFunc("GET /api/v1/tokens", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"detail":"a viewer may not"}`)
	})
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that trust nobody
	server.StartTLS()
	t.Cleanup(server.Close)
	dir := t.TempDir()
	ca, file := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	for name, text := range map[string][]byte{
		ca:   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
		file: []byte(token + "\n"),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return server.URL, []string{"--server", server.URL, "--ca-file", ca, "--token-file", file}
}

func TestClientProgram(t *testing.T) {
	t.Setenv(serverVariable, "")
	t.Setenv(tokenVariable, "")
	address, flags := fleet(t)
	exported := filepath.Join(t.TempDir(), "smt1.json")
	for line, c := range map[string]struct {
		alone     bool // without the flags that lead to the server
		code      int
		out, errs string // parts of what is printed
	}{
		"":                          {true, ending.ExitDone, "administrator's desk", ""},
		"version":                   {true, ending.ExitDone, "lifeboat ", ""},
		"version --json":            {true, ending.ExitDone, `"type":"version"`, ""},
		"host list --help":          {true, ending.ExitDone, serverVariable, ""},
		"hots":                      {true, ending.ExitUsage, "", "did you mean host?"},
		"backup":                    {true, ending.ExitUsage, "", `unknown verb "backup"`},
		"recover smt --json":        {true, ending.ExitUsage, "", `"exit":2`},
		"host list --directory x":   {true, ending.ExitUsage, "", "unknown flag"},
		"host list":                 {true, ending.ExitUsage, "", "no fleet server is known"},
		"host list --server http:x": {true, ending.ExitUsage, "", "no token is known"},
		"host show":                 {false, ending.ExitUsage, "", "See 'lifeboat host show --help'."},
		"host list --group all":     {false, ending.ExitDone, "smt1  branch  not joined", ""},
		"host list --json":          {false, ending.ExitDone, `{"type":"host","data":{"id":"0123"`, ""},
		"host add smt1":             {false, ending.ExitUsage, "", "there is a host smt1"},
		"host remove smt1":          {false, ending.ExitRefused, "", "give --yes"},
		"token list":                {false, ending.ExitRefused, "", "a viewer may not"},
		"audit verify":              {false, ending.ExitFailed, "BROKEN at entry 7", ""},
		"config export smt1 " + exported: {
			false, ending.ExitDone, "is in " + exported, "",
		},
	} {
		words := strings.Fields(line)
		if !c.alone {
			words = append(words, flags...)
		}
		var out, errs bytes.Buffer
		if code := run(t.Context(), words, &out, &errs); code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errs.String(), c.errs) {
			t.Errorf("%q: exit %d, want %d\n%s%s", line, code, c.code, out.String(), errs.String())
		}
	}
	if text, err := os.ReadFile(exported); err != nil || string(text) != `{"signed":true}` {
		t.Errorf("exported: %q, %v", text, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var errs bytes.Buffer
	if code := run(ended, append([]string{"host", "list"}, flags...), io.Discard, &errs); code != ending.ExitInterrupted || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("interrupted: exit %d\n%s", code, errs.String())
	}
	// Nobody vouches for the server without --ca-file.
	if code := run(t.Context(), []string{"host", "list", "--server", address, "--token-file", flags[5]}, io.Discard, &errs); code != ending.ExitFailed {
		t.Errorf("a server that nobody vouches for: exit %d\n%s", code, errs.String())
	}
}
