package bench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fleet"
	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/storage/restserver"
)

// serveMark makes the test binary a fleet server, as `lifeboat serve` is one.
const serveMark = "-bench-serve"

// serve is the server without the program around it.
func serve(args []string) error {
	ctx := context.Background()
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	directory, database, listen := f.String("directory", "", ""), f.String("database", "", ""), f.String("listen", "", "")
	cert, key := f.String("tls-cert", "", ""), f.String("tls-key", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	k, err := keys.Open(*directory)
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, *database, store.Signed(k.Signing))
	if err != nil {
		return err
	}
	conf, err := restserver.Certificate(*cert, *key)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"address": "https://" + l.Addr().String()}); err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	return fleet.New(fleet.Options{Desk: action.New(db, k), Log: log, Certificate: conf.GetCertificate}).Serve(ctx, l)
}

// A small fleet goes through all that the scenario does: both databases, nginx, every
// signature, every receipt.
func TestFleet(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := Fleet{Dir: os.TempDir(), Program: []string{program, serveMark}, Hosts: 20, Connections: 4, Runs: 1, Log: t.Output()}
	table, err := f.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for what, count := range map[string]int{fetchKept: 3, fetchNew: 3, reportNew: 2, "lifeboat, SQLite": 3, "lifeboat, PostgreSQL": 3, "nginx 1": 2} {
		if got := strings.Count(table, "| "+what); got != count {
			t.Errorf("%q stands %d times in %s", what, got, table)
		}
	}
}

func TestFleetTable(t *testing.T) {
	of := func(rates ...float64) (rounds []round) {
		for _, r := range rates {
			rounds = append(rounds, round{rate: r, p50: 3 * time.Millisecond, p99: 40 * time.Millisecond, cpu: 500 * time.Microsecond})
		}
		return rounds
	}
	got := fleetTable([]*measured{
		{fetchKept, "lifeboat, SQLite", of(900, 600, 800)}, {fetchKept, "nginx 1.22.1", of(1000)}, {reportNew, "lifeboat, SQLite", of(400, 500)},
	})
	for _, row := range []string{
		"| " + fetchKept + " | lifeboat, SQLite | 800 | 3.0 | 40.0 | 0.50 | 0.80 | 0.50 |",
		"| " + fetchKept + " | nginx 1.22.1 | 1000 | 3.0 | 40.0 | 0.50 | – | – |",
		fmt.Sprintf("| %s | lifeboat, SQLite | %d | 3.0 | 40.0 | 0.50 | – | – |", reportNew, 450),
	} {
		if !strings.Contains(got, row) {
			t.Errorf("no %q in %s", row, got)
		}
	}
}
