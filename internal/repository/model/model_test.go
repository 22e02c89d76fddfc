// Package model plays random histories of a repository, many thousands of them:
// backups, restores, copies, prunes and changes of keys by two clients, some of
// which are killed, lose their network or find the disk full. After each, every
// snapshot that was sealed must come back byte for byte. It holds tests only;
// what single functions do is tested beside them.
package model

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"lifeboat/internal/repository"
	"lifeboat/internal/storage/faulty"
)

var (
	oneSeed   = flag.Uint64("seed", 0, "play only the sequence of this `seed`, and print its log")
	firstSeed = flag.Uint64("first", 1, "the `seed` of the first sequence")
	sequences = flag.Int("sequences", 2000, "how many `sequences` are played")
	judged    = flag.Int("judged", 100, "how many of them stock restic judges")
	soak      = flag.Duration("soak", 0, "play for this `time`, and have restic judge every sequence")
)

const steps = 14

func TestMain(m *testing.M) {
	flag.Parse()
	// Signals are handled by a goroutine that must belong to no sequence.
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGWINCH)
	signal.Stop(c)
	unix.Umask(0o022)
	if err := warm(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// warm uses a repository outside of all sequences, so that what the process has
// only once, such as its decoders, belongs to none of them.
func warm() error {
	ctx := context.Background()
	store := faulty.NewMemory()
	r, err := repository.Create(ctx, store, []byte("warm"), repository.Options{Scrypt: cheap})
	if err != nil {
		return err
	}
	defer r.Close()
	sess, err := r.Begin(ctx, repository.SessionOptions{})
	if err != nil {
		return err
	}
	if _, err := sess.AddBytes(ctx, "/x", repository.Stream{}, make([]byte, 10_000)); err != nil {
		return err
	}
	if _, err := sess.Commit(ctx, repository.SnapshotInfo{}); err != nil {
		return err
	}
	if _, err := r.Snapshots(ctx); err != nil {
		return err
	}
	_, err = r.Check(ctx, repository.CheckOptions{ReadData: true})
	return err
}

func TestSequences(t *testing.T) {
	if *oneSeed != 0 {
		s, err := play(t, *oneSeed, steps)
		t.Logf("seed %d\n%s", *oneSeed, strings.Join(s.log, "\n"))
		if err != nil {
			t.Error(err)
		}
		return
	}
	if *soak > 0 {
		t.Skip("needs no sequences of its own beside those that restic judges")
	}
	for first := 0; first < *sequences; first += batch {
		n := min(batch, *sequences-first)
		seed := *firstSeed + uint64(first)
		// A batch by name, for a crash that nobody catches.
		ok := t.Run(fmt.Sprintf("from %d", seed), func(t *testing.T) {
			for i := range n {
				seed := seed + uint64(i)
				if s, err := play(t, seed, steps); err != nil {
					t.Fatal(explain(t, seed, s, err))
				}
			}
		})
		if !ok {
			return
		}
	}
}

// TestStockRestic has restic judge what some sequences have left, or all that
// are played in the time of a soak.
func TestStockRestic(t *testing.T) {
	restic, err := exec.LookPath("restic")
	if err != nil {
		t.Skip("needs restic: the judge of what is written here")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: restic restores owners")
	}
	var g errgroup.Group
	g.SetLimit(2)
	n, begun := 0, time.Now()
	for more := true; more; more = *soak > 0 && time.Since(begun) < *soak || *soak == 0 && n < *judged {
		seed := *firstSeed + uint64(n)
		n++
		s, err := play(t, seed, steps)
		if err != nil {
			t.Error(explain(t, seed, s, err))
			break
		}
		g.Go(func() error {
			err := s.stock(restic, seed)
			if err != nil {
				t.Error(report(seed, s, err))
			}
			return nil
		})
		if t.Failed() {
			break
		}
	}
	g.Wait()
	t.Logf("%d sequences from seed %d", n, *firstSeed)
}

const batch = 100

// explain looks for the shortest beginning of a sequence that fails too.
func explain(t *testing.T, seed uint64, s *sequence, err error) string {
	for n := range steps {
		if shorter, e := play(t, seed, n); e != nil {
			s, err = shorter, e
			break
		}
	}
	return report(seed, s, err)
}

func report(seed uint64, s *sequence, err error) string {
	return fmt.Sprintf("%v\nseed %d: go test ./internal/repository/model -run Sequences -v -seed %d\n%s", err, seed, seed, strings.Join(s.log, "\n"))
}
