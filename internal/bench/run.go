package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Peer is one way to back up and restore. Functions that are nil stand for what
// it cannot do.
type Peer struct {
	Name    string
	Version string
	// Slow peers are measured once, and not warm; the table marks them.
	Slow bool
	// Prepare makes an empty store, untimed. May be nil.
	Prepare func(ctx context.Context, p Place) error
	// Backup stores the trees, and the dump as a stream where the peer takes one.
	Backup func(p Place) []Command
	// Again backs the trees up once more with nothing changed.
	Again func(p Place) []Command
	// Restore writes the trees, not the dump, to Place.Out.
	Restore func(p Place) []Command
	// Restored tells where the corpus stands after Restore; nil is Place.Out.
	Restored func(p Place) string
	// Verify reads and checks all that is stored.
	Verify func(p Place) []Command
}

// Place is where a peer finds and puts things. The directories are its own and
// are empty at the beginning of a round.
type Place struct {
	Root  string   // the corpus
	Trees []string // the directories of it that are backed up
	Dump  string   // the file that is fed as a stream
	Dir   string   // for passwords, caches, configuration
	Store string   // the backup
	Out   string   // the restored trees
}

// Result is what was measured of one peer.
type Result struct {
	Peer                                 Peer
	Backup, Warm, Again, Restore, Verify []Sample
	StoreMB                              float64
}

// Runner measures peers, round by round, so that a change of the machine's mood
// meets all of them.
type Runner struct {
	Corpus Corpus
	Dir    string // where stores go
	Out    string // where restored trees go
	Runs   int
	Log    io.Writer
}

// Run measures every peer, cold but for the phase called warm. Each restored
// tree of the last round is compared with the corpus.
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
	measure := func(place Place, phase string, commands func(Place) []Command, into *[]Sample) error {
		if commands == nil {
			return nil
		}
		sample, err := MeasureAll(ctx, commands(place))
		if err != nil {
			return err
		}
		fmt.Fprintf(r.Log, "round %d  %-12s %-9s %7.1f s, CPU %6.1f s, peak %4.0f MB\n", round+1,
			peer.Name, phase, sample.Wall.Seconds(), sample.CPU.Seconds(), sample.PeakMB)
		*into = append(*into, sample)
		return nil
	}
	place, err := r.place(ctx, peer)
	if err != nil {
		return err
	}
	defer r.clean(place)
	for _, phase := range []struct {
		name    string
		command func(Place) []Command
		into    *[]Sample
	}{
		{"backup", peer.Backup, &result.Backup},
		{"unchanged", peer.Again, &result.Again},
		{"restore", peer.Restore, &result.Restore},
		{"verify", peer.Verify, &result.Verify},
	} {
		Cool()
		if err := measure(place, phase.name, phase.command, phase.into); err != nil {
			return err
		}
		if phase.name == "backup" {
			if result.StoreMB, err = DiskMB(place.Store); err != nil {
				return err
			}
		}
	}
	if last && peer.Restore != nil {
		restored := place.Out
		if peer.Restored != nil {
			restored = peer.Restored(place)
		}
		for _, tree := range place.Trees {
			if err := Compare(tree, filepath.Join(restored, filepath.Base(tree))); err != nil {
				return fmt.Errorf("the restored tree differs: %w", err)
			}
		}
	}
	if peer.Slow {
		return nil
	}
	if place, err = r.place(ctx, peer); err != nil {
		return err
	}
	if _, err := MeasureAll(ctx, Floor().Backup(place)); err != nil { // now the caches are warm
		return err
	}
	return measure(place, "warm", peer.Backup, &result.Warm)
}

// place makes empty directories for a peer, and its empty store.
func (r Runner) place(ctx context.Context, peer Peer) (Place, error) {
	root := r.Corpus.Root()
	p := Place{
		Root: root, Trees: []string{filepath.Join(root, "tree"), filepath.Join(root, "packages")},
		Dump: filepath.Join(root, "dump.sql"),
		Dir:  filepath.Join(r.Dir, "peer"), Store: filepath.Join(r.Dir, "peer", "store"), Out: filepath.Join(r.Out, "out"),
	}
	r.clean(p)
	for _, dir := range []string{p.Store, p.Out} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return p, err
		}
	}
	if peer.Prepare == nil {
		return p, nil
	}
	return p, peer.Prepare(ctx, p)
}

func (Runner) clean(p Place) {
	// What cannot be removed is in the way of the next round, which tells.
	_ = os.RemoveAll(p.Dir)
	_ = os.RemoveAll(p.Out)
}
