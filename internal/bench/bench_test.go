package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var small = Size{TreeMB: 8, Files: 300, DumpMB: 1, PackagesMB: 3}

func TestCorpusIsAsLargeAsAsked(t *testing.T) {
	c, err := Build(t.TempDir(), small)
	if err != nil {
		t.Fatal(err)
	}
	var files, linked, symlinks int
	var bytes int64
	err = filepath.WalkDir(filepath.Join(c.Root(), "tree"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			symlinks++
		case strings.HasSuffix(path, ".linked"):
			linked++
		default:
			files++
			bytes += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files != 300 || linked != 10 || symlinks != 3 {
		t.Errorf("%d files, %d hard links, %d symbolic links", files, linked, symlinks)
	}
	if bytes < 79e5 || bytes > 81e5 {
		t.Errorf("the tree holds %d bytes", bytes)
	}
	dump, err := os.Stat(filepath.Join(c.Root(), "dump.sql"))
	if err != nil || dump.Size() != 1e6 {
		t.Errorf("dump: %v, %v", dump, err)
	}
}

func TestCorpusIsTheSameEverywhere(t *testing.T) {
	a, err := Build(t.TempDir(), small)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Build(t.TempDir(), small)
	if err != nil {
		t.Fatal(err)
	}
	if err := Compare(a.Root(), b.Root()); err != nil {
		t.Error(err)
	}
	before, err := os.Stat(filepath.Join(a.Dir, "corpus.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Build(a.Dir, small); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(filepath.Join(a.Dir, "corpus.json"))
	if err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("a finished corpus was built again: %v", err)
	}
}

func TestCompareFindsDifferences(t *testing.T) {
	for name, damage := range map[string]func(root string) error{
		"content": func(root string) error {
			path := filepath.Join(root, "dump.sql")
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			data[len(data)/2] ^= 1
			if err := os.WriteFile(path, data, 0o644); err != nil {
				return err
			}
			return os.Chtimes(path, epoch, epoch)
		},
		"a missing file": func(root string) error { return os.Remove(filepath.Join(root, "dump.sql")) },
		"one more file":  func(root string) error { return os.WriteFile(filepath.Join(root, "extra"), nil, 0o644) },
		"a time":         func(root string) error { return os.Chtimes(filepath.Join(root, "dump.sql"), epoch, time.Now()) },
		"a mode":         func(root string) error { return os.Chmod(filepath.Join(root, "dump.sql"), 0o600) },
		"a second name": func(root string) error {
			return os.Link(filepath.Join(root, "dump.sql"), filepath.Join(filepath.Dir(root), "elsewhere"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := Build(t.TempDir(), Size{TreeMB: 1, Files: 60, DumpMB: 1})
			if err != nil {
				t.Fatal(err)
			}
			b, err := Build(t.TempDir(), a.Size)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(b.Root()); err != nil {
				t.Fatal(err)
			}
			if err := Compare(a.Root(), b.Root()); err == nil {
				t.Error("no difference was found")
			}
		})
	}
}

func TestPeersRestoreWhatTheyBackUp(t *testing.T) {
	c, err := Build(t.TempDir(), small)
	if err != nil {
		t.Fatal(err)
	}
	peers, missing := Peers(nil)
	if len(missing) > 0 {
		t.Logf("not installed: %s", strings.Join(missing, ", "))
	}
	if _, err := exec.LookPath("cp"); err != nil || len(peers) == 0 {
		t.Skip("needs cp")
	}
	runner := Runner{Corpus: c, Dir: t.TempDir(), Out: t.TempDir(), Runs: 1, Log: io.Discard}
	results, err := runner.Run(context.Background(), peers)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		floor := r.Peer.Restore == nil
		if len(r.Backup) != 1 || r.Backup[0].PeakMB == 0 || !floor && (r.StoreMB == 0 || len(r.Restore) != 1 || !r.Peer.Slow && len(r.Warm) != 1) {
			t.Errorf("%s: %+v", r.Peer.Name, r)
		}
	}
}

func TestMeasureTellsWhatFailed(t *testing.T) {
	_, err := Measure(context.Background(), Command{Args: []string{"ls", "/does/not/exist"}})
	if err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("Measure = %v", err)
	}
}

func TestMedian(t *testing.T) {
	samples := []Sample{{Wall: 9, CPU: 1, PeakMB: 5}, {Wall: 1, CPU: 3, PeakMB: 7}, {Wall: 2, CPU: 2, PeakMB: 6}}
	if got, want := Median(samples), (Sample{Wall: 2, CPU: 2, PeakMB: 6}); got != want {
		t.Errorf("Median = %v, want %v", got, want)
	}
	if got, want := Median(samples[:2]), (Sample{Wall: 5, CPU: 2, PeakMB: 6}); got != want {
		t.Errorf("Median of two = %v, want %v", got, want)
	}
	if got := Median(nil); got != (Sample{}) {
		t.Errorf("Median of none = %v", got)
	}
}

func TestTable(t *testing.T) {
	of := func(wall time.Duration) []Sample { return []Sample{{Wall: wall, CPU: wall, PeakMB: 100}} }
	var out bytes.Buffer
	Table(&out, []Result{
		{Peer: Peer{Name: "first"}, Backup: of(10 * time.Second), Again: of(2 * time.Second), Restore: of(5 * time.Second), StoreMB: 500},
		{Peer: Peer{Name: "second", Slow: true}, Backup: of(15 * time.Second), Restore: of(5 * time.Second), StoreMB: 600},
	})
	for _, want := range []string{
		"| first | 10.0 | – | 2.0 | 5.0 | – | 10.0 | 5.0 | 500 | 100 |",
		"| second † | 15.0 | – | – | 5.0 | – | 15.0 | 5.0 | 600 | 100 |",
		"| second † | 1.50 | – | – | 1.00 | – | 1.50 | 1.00 | 1.20 | 1.00 |",
		"† measured once",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}

// The test binary reads an index for MeasureIndex, and serves for Fleet.
func TestMain(m *testing.M) {
	if len(os.Args) > 6 && os.Args[1] == serveMark { // "--json --state-dir DIR serve" come first
		if err := serve(os.Args[6:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 5 && os.Args[1] == "-load-index" && os.Args[3] == "-index-cache" {
		load, err := LoadIndex(context.Background(), os.Args[2], os.Args[4])
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(load)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestMeasureIndex(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	row, err := MeasureIndex(t.Context(), dir, os.Args[0], 120_000, 1)
	if err != nil || !strings.HasPrefix(row, "index load 0.12M: json ") {
		t.Errorf("%s, %v", row, err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the index is left behind")
	}
}

// TestIndexSet has stock restic judge that the index is one.
func TestIndexSet(t *testing.T) {
	restic, err := exec.LookPath("restic")
	if err != nil {
		t.Skip("needs restic: it reads the index")
	}
	dir := filepath.Join(t.TempDir(), "index")
	if err := BuildIndex(t.Context(), dir, 60_000); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(restic, "--repo", dir, "--no-cache", "list", "blobs")
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+indexPassword)
	out, err := cmd.Output()
	if n := bytes.Count(out, []byte("\n")); err != nil || n != 60_000 {
		t.Errorf("%d blobs, %v", n, err)
	}
}
