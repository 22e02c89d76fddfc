// Command bench measures backup and restore beside other programs, all in one
// run on one machine, and prints the medians and ratios as Markdown. `make
// bench` calls it; it is never shipped.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) == 4 && os.Args[1] == "feed" { // by itself, see bench.Lifeboat
		if err := bench.Feed(ctx, os.Args[2], os.Args[3], os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, "bench: feed:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir := flag.String("dir", env("BENCH_DIR", "/var/tmp/lifeboat-bench"), "`directory` for the corpus and everything else")
	tree := flag.Int("tree", number("BENCH_TREE_MB", 2100), "`megabytes` in the tree")
	files := flag.Int("files", number("BENCH_FILES", 42000), "`files` in the tree")
	dump := flag.Int("dump", number("BENCH_DUMP_MB", 520), "`megabytes` in the SQL dump")
	packages := flag.Int("packages", number("BENCH_PACKAGES_MB", 1050), "`megabytes` of packages")
	runs := flag.Int("runs", number("BENCH_RUNS", 5), "measure each peer so many times")
	only := flag.String("only", env("BENCH_ONLY", ""), "only these `peers`, separated by commas")
	report := flag.String("report", env("BENCH_REPORT", "dist/bench.md"), "also write the tables to this `file`")
	newer := flag.String("restic", env("BENCH_RESTIC", ""), "further restic `programs`, separated by commas")
	out := flag.String("out", env("BENCH_OUT", ""), "`directory` for restored trees; default: a file system in memory, if that can be had")
	binary := flag.String("lifeboat", "bin/lifeboat", "the lifeboat `program`")
	blobs := flag.Int("index", number("BENCH_INDEX_BLOBS", 5_000_000), "`blobs` in the index that is read")
	loadIndex := flag.String("load-index", "", "only read the index of this `repository`, for a measurement in a process of its own")
	indexCache := flag.String("index-cache", "", "with a cache in this `directory`")
	scenario := flag.String("scenario", env("BENCH_SCENARIO", ""), "only this `scenario`: opsi, opsi-backup's way beside ours; drill, a drill's RTO beside the real one; fleet, a fleet server beside nginx")
	flag.Parse()
	if *loadIndex != "" {
		load, err := bench.LoadIndex(ctx, *loadIndex, *indexCache)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(load)
	}

	program, err := filepath.Abs(*binary)
	if err != nil {
		return err
	}
	feeder, err := os.Executable()
	if err != nil {
		return err
	}
	switch *scenario {
	case "":
	case "opsi":
		return opsi(ctx, program, *dir, *runs, *report)
	case "drill":
		return rehearse(ctx, program, *dir, *runs, *report)
	case "fleet":
		return fleet(ctx, program, *runs, *report)
	default:
		return fmt.Errorf("no scenario is called %q; there are opsi, drill and fleet", *scenario)
	}
	size := bench.Size{TreeMB: *tree, Files: *files, DumpMB: *dump, PackagesMB: *packages}
	if err := room(*dir, size); err != nil {
		return err
	}
	fmt.Printf("building the corpus: %d MB in %d files, %d MB of packages, a dump of %d MB\n", size.TreeMB, size.Files, size.PackagesMB, size.DumpMB)
	corpus, err := bench.Build(filepath.Join(*dir, "source"), size)
	if err != nil {
		return err
	}
	others, missing := bench.Peers(strings.FieldsFunc(*newer, func(r rune) bool { return r == ',' }))
	peers := choose(append([]bench.Peer{bench.Lifeboat(program, feeder)}, others...), *only)
	if len(peers) == 0 {
		return fmt.Errorf("no peer is called %s", *only)
	}
	if len(missing) > 0 {
		fmt.Printf("not installed, so not measured: %s\n", strings.Join(missing, ", "))
	}

	cold := bench.Cool()
	work := filepath.Join(*dir, "work")
	memory := false
	if *out == "" {
		*out = filepath.Join(*dir, "restored")
		if memory, err = mountMemory(*out, size); err != nil {
			return err
		}
		if memory {
			defer unix.Unmount(*out, unix.MNT_DETACH)
		}
	}
	runner := bench.Runner{Corpus: corpus, Dir: work, Out: *out, Runs: *runs, Log: os.Stdout}
	results, err := runner.Run(ctx, peers)
	if err != nil {
		return err
	}

	var text bytes.Buffer
	describe(&text, size, *runs, cold, memory, peers)
	bench.Table(&text, results)
	row, err := bench.MeasureIndex(ctx, filepath.Join(*dir, "index"), feeder, *blobs, *runs)
	if err != nil {
		return err
	}
	fmt.Fprintf(&text, "\n%s\n", row)
	fmt.Printf("\n%s", text.String())
	if err := os.MkdirAll(filepath.Dir(*report), 0o755); err != nil {
		return err
	}
	return os.WriteFile(*report, text.Bytes(), 0o644)
}

// opsi measures opsi-backup's way beside ours.
func opsi(ctx context.Context, program, dir string, runs int, report string) error {
	o := bench.Opsi{
		Dir: filepath.Join(dir, "opsi"), Program: program, Runs: runs, Log: os.Stdout,
		DumpMB: number("BENCH_OPSI_DUMP_MB", 300), TreeMB: number("BENCH_OPSI_TREE_MB", 60), Files: number("BENCH_OPSI_FILES", 8000),
	}
	table, err := o.Run(ctx)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("opsi: a database of %d MB and %d MB in %d files; medians of %d.\n\n%s", o.DumpMB, o.TreeMB, o.Files, runs, table)
	return write(report, "-opsi", text)
}

// rehearse measures a drill beside the recovery that it rehearses.
func rehearse(ctx context.Context, program, dir string, runs int, report string) error {
	d := bench.Drill{
		Dir: filepath.Join(dir, "drill"), Program: program, Lab: filepath.Join(filepath.Dir(program), "lab"), Runs: runs, Log: os.Stdout,
		TreeMB: number("BENCH_DRILL_TREE_MB", 500), Files: number("BENCH_DRILL_FILES", 8000),
	}
	table, err := d.Run(ctx)
	if err != nil {
		return err
	}
	return write(report, "-drill", fmt.Sprintf("drill: an SMT server with %d MB in %d files of packages; medians of %d.\n\n%s", d.TreeMB, d.Files, runs, table))
}

// fleet measures a fleet server beside nginx. PostgreSQL and nginx run as other users,
// to whom BENCH_DIR need not be open.
func fleet(ctx context.Context, program string, runs int, report string) error {
	f := bench.Fleet{
		Dir: "/var/tmp", Program: []string{program}, Runs: runs, Log: os.Stdout,
		Hosts: number("BENCH_FLEET_HOSTS", 10_000), Connections: number("BENCH_FLEET_CONNECTIONS", 64),
	}
	table, err := f.Run(ctx)
	if err != nil {
		return err
	}
	load, _ := os.ReadFile("/proc/loadavg") // where it is not told, it is not written
	text := fmt.Sprintf("fleet: %d hosts, %d connections at a time, each request of another host, TLS 1.3, every signature checked; clients and servers on the same %d cores; medians of %d. Load averages at the end: %s\n%s",
		f.Hosts, f.Connections, runtime.NumCPU(), runs, load, table)
	return write(report, "-fleet", text)
}

// write prints the report of a scenario and keeps it in a file of its own.
func write(report, scenario, text string) error {
	fmt.Printf("\n%s", text)
	if err := os.MkdirAll(filepath.Dir(report), 0o755); err != nil {
		return err
	}
	return os.WriteFile(strings.TrimSuffix(report, ".md")+scenario+".md", []byte(text), 0o644)
}

func describe(w io.Writer, size bench.Size, runs int, cold, memory bool, peers []bench.Peer) {
	var kernel unix.Utsname
	_ = unix.Uname(&kernel) // an unknown kernel is an empty name below
	caches := "cold caches"
	if !cold {
		caches = "warm caches (dropping them needs root)"
	}
	fmt.Fprintf(w, "%s, %d cores, Linux %s, %s. ", time.Now().Format(time.DateOnly), runtime.NumCPU(),
		unix.ByteSliceToString(kernel.Release[:]), caches)
	fmt.Fprintf(w, "A tree of %d MB in %d files, %d MB of packages and a dump of %d MB; medians of %d. ", size.TreeMB, size.Files, size.PackagesMB, size.DumpMB, runs)
	if memory {
		fmt.Fprint(w, "Trees were restored into memory, so that no disk is measured. ")
	}
	fmt.Fprintln(w, "restic and Lifeboat flush what they store to the disk, tar and cp do not. Every restored tree was compared with the corpus.")
	fmt.Fprintln(w)
	for _, p := range peers {
		fmt.Fprintf(w, "- %s: %s\n", p.Name, p.Version)
	}
	fmt.Fprintln(w)
}

// mountMemory puts a file system in memory at dir. False where that needs root
// or more memory. A disk would be measured instead of the programs, and ext4
// takes ten times as long to make a file where others were removed just before.
func mountMemory(dir string, size bench.Size) (bool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	need := uint64(size.TreeMB+size.PackagesMB) * 1e6 * 5 / 4
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil || uint64(info.Totalram)*uint64(info.Unit) < 4*need {
		return false, nil
	}
	return unix.Mount("lifeboat-bench", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", need)) == nil, nil
}

// room checks that the disk takes the corpus, a store and a restored tree.
func room(dir string, size bench.Size) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("ask %s for its free space: %w", dir, err)
	}
	need := uint64(size.TreeMB+size.DumpMB+size.PackagesMB) * 1e6 * 7 / 2
	if have := fs.Bavail * uint64(fs.Bsize); have < need {
		return fmt.Errorf("%s has %d MB free and %d are needed; name another place with BENCH_DIR", dir, have/1e6, need/1e6)
	}
	return nil
}

func choose(peers []bench.Peer, only string) []bench.Peer {
	if only == "" {
		return peers
	}
	var chosen []bench.Peer
	for _, p := range peers {
		for name := range strings.SplitSeq(only, ",") {
			if strings.Contains(p.Name, strings.TrimSpace(name)) {
				chosen = append(chosen, p)
				break
			}
		}
	}
	return chosen
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

func number(name string, otherwise int) int {
	if v, err := strconv.Atoi(os.Getenv(name)); err == nil && v > 0 {
		return v
	}
	return otherwise
}
