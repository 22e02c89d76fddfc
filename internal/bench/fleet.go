package bench

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/wire"
)

// Fleet measures a fleet server, on SQLite and on PostgreSQL, beside nginx that serves
// the same bytes as files to the same clients: TLS 1.3 with the same certificate, the
// same group of keys and the same question for a client's certificate. Every client
// checks every signature, so what clients do is the same on both sides, too.
type Fleet struct {
	Dir         string   // for everything; on a disk that other users may reach
	Program     []string // what is started to serve: lifeboat, with arguments before "serve"
	Hosts       int      // each with an identity, a key and a configuration of its own
	Connections int      // clients at one time, each with one connection
	Runs        int
	Log         io.Writer
}

// The goal: so much of nginx's requests a second.
const fleetGoal = 0.5

// What clients do.
const (
	fetchKept = "fetch, connection kept"
	fetchNew  = "fetch, a connection each"
	reportNew = "report, a connection each"
)

// measured is what was seen of one server doing one thing.
type measured struct {
	what, server string
	rounds       []round
}

// Run measures all and returns the table as Markdown.
func (f Fleet) Run(ctx context.Context) (table string, err error) {
	dir, err := os.MkdirTemp(f.Dir, "lifeboat-fleet-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o711); err != nil { // nginx and PostgreSQL run as other users
		return "", err
	}
	settings, err := keys.NewSettings("https://127.0.0.1:"+wire.DefaultPort, nil)
	if err != nil {
		return "", err
	}
	k, err := keys.Create(filepath.Join(dir, "keys"), settings, time.Now())
	if err != nil {
		return "", err
	}
	pair, err := writeCertificate(dir, k)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(f.Log, "making %d hosts with their keys\n", f.Hosts)
	members, err := makeMembers(k, f.Hosts)
	if err != nil {
		return "", err
	}
	s := site{Fleet: f, dir: dir, keys: k, pair: pair}
	defer s.stop()
	database, err := s.postgres(ctx)
	if err != nil {
		return "", err
	}
	roots := x509.NewCertPool()
	roots.AddCert(k.Authority)
	crew := clients{members: members, roots: roots, connections: f.Connections, key: k.Signing.Public()}
	lite, err := s.fleet(ctx, "lifeboat, SQLite", "sqlite:"+filepath.Join(dir, "fleet.db"), members)
	if err != nil {
		return "", err
	}
	sql, err := s.fleet(ctx, "lifeboat, PostgreSQL", database.url, members)
	if err != nil {
		return "", err
	}
	sql.also = database.pid

	// The first time warms up, and what SQLite's server answers is what nginx serves.
	files := filepath.Join(dir, "www")
	if err := os.Mkdir(files, 0o755); err != nil {
		return "", err
	}
	if err := os.Chmod(files, 0o755); err != nil {
		return "", err
	}
	asked := make([]string, len(members))
	for n := range asked {
		asked[n] = nonce()
	}
	fresh := func(int) string { return nonce() }
	same := func(n int) string { return asked[n] }
	if _, err := crew.fetch(ctx, lite, true, same, func(n int, answer []byte) error {
		name := filepath.Join(files, members[n].host.Identity.Serial)
		return errors.Join(os.WriteFile(name, answer, 0o644), os.Chmod(name, 0o644))
	}); err != nil {
		return "", err
	}
	nginx, err := s.nginx(ctx, files)
	if err != nil {
		return "", err
	}
	for server, nonces := range map[*server]func(int) string{sql: fresh, nginx: same} {
		if _, err := crew.fetch(ctx, server, true, nonces, nil); err != nil {
			return "", err
		}
	}

	var all []*measured
	try := func(what string, server *server, do func() (round, error)) error {
		i := slices.IndexFunc(all, func(m *measured) bool { return m.what == what && m.server == server.name })
		if i < 0 {
			i, all = len(all), append(all, &measured{what: what, server: server.name})
		}
		r, err := do()
		if err != nil {
			return fmt.Errorf("%s, %s: %w", server.name, what, err)
		}
		fmt.Fprintf(f.Log, "%-26s %-22s %7.0f/s  p50 %6.1f ms  p99 %6.1f ms  CPU %5.2f ms\n", what, server.name, r.rate, ms(r.p50), ms(r.p99), ms(r.cpu))
		all[i].rounds = append(all[i].rounds, r)
		return nil
	}
	for n := range f.Runs {
		for _, kept := range []bool{true, false} {
			what := map[bool]string{true: fetchKept, false: fetchNew}[kept]
			for _, server := range []*server{lite, sql, nginx} {
				nonces := fresh
				if server == nginx {
					nonces = same
				}
				if err := try(what, server, func() (round, error) { return crew.fetch(ctx, server, kept, nonces, nil) }); err != nil {
					return "", err
				}
			}
		}
		for _, server := range []*server{lite, sql} {
			if err := try(reportNew, server, func() (round, error) { return crew.report(ctx, server, fmt.Sprintf("run-%d", n)) }); err != nil {
				return "", err
			}
		}
	}
	return fleetTable(all), nil
}

// nonce is what a request carries.
func nonce() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // it never fails, crypto/rand says
	return hex.EncodeToString(b)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// fleetTable is what was measured, medians of the rounds, with the ratio to nginx where
// it does the same.
func fleetTable(all []*measured) string {
	var text strings.Builder
	text.WriteString("| clients do | server | requests/s | p50, ms | p99, ms | CPU of the server a request, ms | requests/s, to nginx | goal |\n|---|---|--:|--:|--:|--:|--:|--:|\n")
	for _, m := range all {
		own := middle(m.rounds)
		ratio, goal := "–", "–"
		for _, other := range all {
			if other.what == m.what && strings.HasPrefix(other.server, "nginx") && other != m {
				ratio, goal = fmt.Sprintf("%.2f", own.rate/middle(other.rounds).rate), fmt.Sprintf("%.2f", fleetGoal)
			}
		}
		fmt.Fprintf(&text, "| %s | %s | %.0f | %.1f | %.1f | %.2f | %s | %s |\n", m.what, m.server, own.rate, ms(own.p50), ms(own.p99), ms(own.cpu), ratio, goal)
	}
	return text.String()
}
