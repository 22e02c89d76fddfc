package model

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// stock has stock restic judge one of the repositories of a sequence that has
// ended: it must find nothing wrong in it, and restore what went in.
func (s *sequence) stock(program string, seed uint64) (err error) {
	rng := rand.New(rand.NewPCG(seed, 2))
	place, state := s.main, s.state
	if p := s.copied.any(rng); p != nil && rng.IntN(3) == 0 {
		place, state = s.copy, s.copied
	}
	dir, err := scratch()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	repo, target := filepath.Join(dir, "repo"), filepath.Join(dir, "target")
	if err := place.Dump(repo); err != nil {
		return err
	}
	valid := state.valid()
	restic := func(args ...string) error {
		cmd := exec.Command(program, append([]string{"--repo", repo, "--no-cache", "--quiet"}, args...)...)
		cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+valid[rng.IntN(len(valid))])
		if out, err := cmd.CombinedOutput(); err != nil {
			return lost("restic %s, on %s: %v\n%s", strings.Join(args, " "), place.name, err, out)
		}
		return nil
	}
	if err := restic("check", "--read-data"); err != nil {
		return err
	}
	p := state.any(rng)
	if p == nil {
		return nil
	}
	if err := restic("restore", p.id.String(), "--target", target); err != nil {
		return err
	}
	if err := p.compare(target); err != nil {
		return fmt.Errorf("restored by restic: %w", err)
	}
	return nil
}
