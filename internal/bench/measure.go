package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Sample is what one run of a program took.
type Sample struct {
	Wall   time.Duration
	CPU    time.Duration // user and system, children that were waited for included
	PeakMB float64       // largest resident set of one process, in 10⁶ bytes
	// FloorMB is this process's own size when it started the program: no peak
	// below it can be seen.
	FloorMB float64
}

// Command is a program with its arguments, run as it stands, without a shell.
type Command struct {
	Args []string
	Env  []string // added to the environment of this process
	Dir  string
	From string // file for the standard input; "" is none
	Into string // file for the standard output; Nowhere is a pipe whose end is thrown away
}

// Nowhere as the output of a command: it is read and thrown away. (tar reads no
// file at all when it sees that its output is /dev/null.)
const Nowhere = "|"

// MeasureAll runs commands one after the other and adds up what they took; the
// peak is that of the largest.
func MeasureAll(ctx context.Context, commands []Command) (Sample, error) {
	var sum Sample
	for _, c := range commands {
		s, err := Measure(ctx, c)
		if err != nil {
			return Sample{}, err
		}
		sum.Wall += s.Wall
		sum.CPU += s.CPU
		sum.PeakMB = max(sum.PeakMB, s.PeakMB)
		sum.FloorMB = max(sum.FloorMB, s.FloorMB)
	}
	return sum, nil
}

// Measure runs a command and returns what it took.
//
// The peak comes from wait4(2). Linux hands a new process the peak of the one
// that started it, so this process makes itself small first (see clear_refs in
// proc(5)).
func Measure(ctx context.Context, c Command) (Sample, error) {
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Dir = c.Dir
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if c.From != "" {
		f, err := os.Open(c.From)
		if err != nil {
			return Sample{}, err
		}
		defer f.Close()
		cmd.Stdin = f
	}
	switch c.Into {
	case "":
	case Nowhere:
		cmd.Stdout = io.Discard
	default:
		f, err := os.OpenFile(c.Into, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return Sample{}, err
		}
		defer f.Close()
		cmd.Stdout = f
	}
	debug.FreeOSMemory()
	// Where this is not allowed the floor is higher, and is told.
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5\n"), 0)
	floor := ownPeak()
	began := time.Now()
	err := cmd.Run()
	wall := time.Since(began)
	if err != nil {
		return Sample{}, fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, said.String())
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return Sample{}, errors.New("this system does not tell what a process used")
	}
	return Sample{
		Wall:   wall,
		CPU:    cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		PeakMB: float64(usage.Maxrss) * 1024 / 1e6, // Linux counts in KiB

		FloorMB: floor,
	}, nil
}

// ownPeak is the largest resident set of this process since it was last
// cleared, in 10⁶ bytes; 0 where the system does not tell.
func ownPeak() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return 0
	}
	return kib * 1024 / 1e6
}

// Cool writes everything out and drops the page cache. Without root it only
// writes; cold tells which it was.
func Cool() (cold bool) {
	syscall.Sync()
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3\n"), 0) == nil
}

// Median of samples, each value for itself. None give a zero sample.
func Median(samples []Sample) Sample {
	if len(samples) == 0 {
		return Sample{}
	}
	middle := func(value func(Sample) float64) float64 {
		values := make([]float64, len(samples))
		for i, s := range samples {
			values[i] = value(s)
		}
		slices.Sort(values)
		n := len(values)
		return (values[(n-1)/2] + values[n/2]) / 2
	}
	return Sample{
		Wall:   time.Duration(middle(func(s Sample) float64 { return float64(s.Wall) })),
		CPU:    time.Duration(middle(func(s Sample) float64 { return float64(s.CPU) })),
		PeakMB: middle(func(s Sample) float64 { return s.PeakMB }),

		FloorMB: middle(func(s Sample) float64 { return s.FloorMB }),
	}
}

// DiskMB is what a file or tree occupies, in 10⁶ bytes, hard links counted once.
func DiskMB(path string) (float64, error) {
	var bytes int64
	seen := map[[2]uint64]bool{}
	err := filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return errors.New("this system does not tell what a file occupies")
		}
		if id := [2]uint64{stat.Dev, stat.Ino}; !seen[id] {
			seen[id] = true
			bytes += stat.Blocks * 512
		}
		return nil
	})
	return float64(bytes) / 1e6, err
}
