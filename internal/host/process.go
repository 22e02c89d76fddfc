package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrNoProgram says that a program to run is not installed.
var ErrNoProgram = exec.ErrNotFound

// Holder returns the pid of the live process that a pid file names, or 0: when
// there is no such file, no number in it, or its process is gone. With program
// set, it must also occur in that process's command line, because numbers are
// given out again. A machine below a root has no processes.
func (h *Host) Holder(file, program string) (int, error) {
	if !h.IsLocal() {
		return 0, nil
	}
	p, err := h.Path(file)
	if err != nil {
		return 0, err
	}
	f, err := os.Open(p)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read pid file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return 0, fmt.Errorf("read pid file: %w", err)
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(word))
	if err != nil || pid <= 0 {
		return 0, nil
	}
	// A process of another user answers EPERM, and lives.
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return 0, nil
	}
	if program == "" {
		return pid, nil
	}
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look at process %d: %w", pid, err)
	}
	if !bytes.Contains(line, []byte(program)) {
		return 0, nil
	}
	return pid, nil
}

// Running tells whether a process is under way that has program among the words
// of its command line, under whatever directory. A machine below a root has no
// processes.
func (h *Host) Running(program string) (bool, error) {
	if !h.IsLocal() {
		return false, nil
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return false, err
	}
	own := fmt.Sprintf("/proc/%d/cmdline", os.Getpid())
	for _, file := range lines {
		line, err := os.ReadFile(file) // of a process that is gone it fails
		if err != nil || file == own {
			continue
		}
		for word := range bytes.SplitSeq(line, []byte{0}) {
			if filepath.Base(string(word)) == program {
				return true, nil
			}
		}
	}
	return false, nil
}
