package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Peer is one way to back up and restore.
type Peer struct {
	Name    string
	Version string
	// Slow peers are measured once; the table marks them.
	Slow bool
	// Prepare makes an empty store, untimed. May be nil.
	Prepare func(ctx context.Context, p Place) error
	Backup  func(p Place) Command
	// Again backs up once more with nothing changed; nil for a peer that
	// knows no difference.
	Again   func(p Place) Command
	Restore func(p Place) Command
	// Restored tells where the corpus stands after Restore; nil is Place.Out.
	Restored func(p Place) string
}

// Place is where a peer finds and puts things. The directory is its own and is
// empty at the beginning of a round.
type Place struct {
	Root  string // the corpus
	Dir   string // for passwords, caches, configuration
	Store string // the backup
	Out   string // the restored corpus
}

// Result is what was measured of one peer.
type Result struct {
	Peer                   Peer
	Backup, Again, Restore []Sample
	StoreMB                float64
}

// Runner measures peers, round by round, so that a change of the machine's mood
// meets all of them.
type Runner struct {
	Corpus Corpus
	Dir    string // where stores and restored trees go
	Runs   int
	Cold   bool // drop this machine's page cache before each measurement
	Log    io.Writer
}

// Run measures every peer. Each restored tree of the last round is compared with the corpus.
func (r Runner) Run(ctx context.Context, peers []Peer) ([]Result, error) {
	results := make([]Result, len(peers))
	for round := range r.Runs {
		for i, peer := range peers {
			results[i].Peer = peer
			if peer.Slow && round > 0 {
				continue
			}
			last := peer.Slow || round == r.Runs-1
			if err := r.one(ctx, &results[i], round, last); err != nil {
				return nil, fmt.Errorf("%s: %w", peer.Name, err)
			}
		}
	}
	return results, nil
}

func (r Runner) one(ctx context.Context, result *Result, round int, last bool) error {
	peer := result.Peer
	place := Place{Root: r.Corpus.Root(), Dir: filepath.Join(r.Dir, "peer")}
	place.Store, place.Out = filepath.Join(place.Dir, "store"), filepath.Join(place.Dir, "out")
	if err := os.RemoveAll(place.Dir); err != nil {
		return err
	}
	defer os.RemoveAll(place.Dir)
	for _, dir := range []string{place.Dir, place.Store, place.Out} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if peer.Prepare != nil {
		if err := peer.Prepare(ctx, place); err != nil {
			return err
		}
	}
	for _, phase := range []struct {
		name    string
		command func(Place) Command
		into    *[]Sample
	}{
		{"backup", peer.Backup, &result.Backup},
		{"unchanged", peer.Again, &result.Again},
		{"restore", peer.Restore, &result.Restore},
	} {
		if phase.command == nil {
			continue
		}
		if r.Cold {
			Cool()
		}
		sample, err := Measure(ctx, phase.command(place))
		if err != nil {
			return err
		}
		fmt.Fprintf(r.Log, "round %d  %-12s %-9s %7.1f s, CPU %6.1f s, peak %4.0f MB\n", round+1,
			peer.Name, phase.name, sample.Wall.Seconds(), sample.CPU.Seconds(), sample.PeakMB)
		*phase.into = append(*phase.into, sample)
		if phase.name == "backup" {
			if result.StoreMB, err = DiskMB(place.Store); err != nil {
				return err
			}
		}
	}
	if !last {
		return nil
	}
	restored := place.Out
	if peer.Restored != nil {
		restored = peer.Restored(place)
	}
	if err := Compare(place.Root, restored); err != nil {
		return fmt.Errorf("the restored tree differs: %w", err)
	}
	return nil
}
