package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Destroy ends the sandbox and removes its directory with all that was written
// inside. It also clears away what a process killed half-way left: a directory
// without a record, mounts, loop devices. It may be repeated.
func (s *Sandbox) Destroy(ctx context.Context) error {
	return Remove(ctx, s.dir)
}

// Remove destroys the sandbox in dir, also one that Open cannot read because
// its creation was cut off. A directory that holds anything else is refused.
func Remove(ctx context.Context, dir string) error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("destroy sandbox: %w", err)
	}
	for _, e := range entries {
		if !slices.Contains(ownFiles, e.Name()) && !strings.HasPrefix(e.Name(), "."+recordFile) && !strings.HasPrefix(e.Name(), ".init.pid") {
			return fmt.Errorf("destroy sandbox: %s holds %s, which no sandbox makes: nothing removed", dir, e.Name())
		}
	}
	s := &Sandbox{dir: dir}
	if err := s.Kill(); err != nil {
		return fmt.Errorf("destroy sandbox %s: %w", dir, err)
	}
	if err := unmountBelow(dir); err != nil {
		return fmt.Errorf("destroy sandbox %s: %w", dir, err)
	}
	if err := s.settled(ctx); err != nil {
		return fmt.Errorf("destroy sandbox %s: %w", dir, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("destroy sandbox: %w", err)
	}
	return nil
}

// ownFiles is all that a sandbox's directory ever holds.
var ownFiles = []string{
	recordFile, "layers", "layers.img", "root", "init.lock", "start.lock", "init.pid", "ending", "console.log",
}

// unmountBelow detaches mounts in this mount namespace. A sandbox makes none
// here; somebody may have mounted its image by hand.
func unmountBelow(dir string) error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	var points []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if at, _, ok := parseMount(lines.Text()); ok && at != dir && within(dir, at) {
			points = append(points, at)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	for _, at := range slices.Backward(points) {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", at, err)
		}
	}
	return nil
}
