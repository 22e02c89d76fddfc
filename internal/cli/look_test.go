package cli

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/repository"
)

// stores are a configuration whose system has repositories behind a server.
func stores(t *testing.T, server string, number int) (*app, *config.Config) {
	t.Helper()
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("correct horse"), 0o600); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "state_dir: %s\nrepositories:\n", dir)
	for n := range number {
		fmt.Fprintf(&text, "  - {name: r%d, url: 'rest:%s/%d/', retry_for: 1ms, password: {file: %s}}\n", n, server, n, password)
	}
	text.WriteString("systems:\n  - {name: site, profile: smt, repositories: [r0")
	for n := range number - 1 {
		fmt.Fprintf(&text, ", r%d", n+1)
	}
	text.WriteString("]}\n")
	conf, err := config.Parse("lifeboat.yaml", []byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return (&app{loaded: conf, stateDir: dir, noCache: true, noLock: true}).silent(), conf
}

// Repositories are looked at side by side: none of these answers before all were asked.
func TestLookAtAllTogether(t *testing.T) {
	const number = 10
	var mu sync.Mutex
	asked := map[string]bool{}
	all := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if name := strings.Split(r.URL.Path, "/")[1]; !asked[name] {
			if asked[name] = true; len(asked) == number {
				close(all)
			}
		}
		mu.Unlock()
		select {
		case <-all:
		case <-r.Context().Done():
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	a, conf := stores(t, server.URL, number)
	seen := a.lookAll(t.Context(), conf, conf.Systems, 5*time.Minute)
	for n := range number {
		if err := seen[fmt.Sprintf("r%d", n)].err; !errors.Is(err, repository.ErrNoRepository) {
			t.Errorf("r%d: %v", n, err)
		}
	}
}

// What does not answer is named when the time is over.
func TestLookAtTheDead(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(server.Close)
	a, conf := stores(t, server.URL, 2)
	for name, found := range a.lookAll(t.Context(), conf, conf.Systems, 200*time.Millisecond) {
		if found.err == nil {
			t.Errorf("%s was seen", name)
		}
	}
}
