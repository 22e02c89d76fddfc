package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"lifeboat/internal/repository"
	"lifeboat/internal/repository/cache"
	"lifeboat/internal/storage"
)

// IndexLoad is what reading an index took.
type IndexLoad struct {
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu"`
	PeakMB  float64 `json:"peak_mb"` // of the whole process, in 10⁶ bytes
}

// LoadIndex reads the index of a repository that BuildIndex made, as a backup
// does when it begins. It counts what the whole process used, so it wants
// one of its own.
func LoadIndex(ctx context.Context, dir, cacheDir string) (load IndexLoad, err error) {
	debug.SetGCPercent(25) // as package cli does
	store, err := storage.Open(ctx, dir, storage.Options{})
	if err != nil {
		return load, err
	}
	repo, err := repository.Open(ctx, store, []byte(indexPassword), repository.Options{NoLock: true, Cache: cache.Options{Dir: cacheDir}})
	if err != nil {
		return load, errors.Join(err, store.Close())
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	before, began := usedCPU(), time.Now()
	session, err := repo.Begin(ctx, repository.SessionOptions{})
	if err != nil {
		return load, err
	}
	load.Seconds, load.CPU, load.PeakMB = time.Since(began).Seconds(), usedCPU()-before, ownPeak()
	return load, session.Abort(ctx)
}

func usedCPU() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return (time.Duration(usage.Utime.Nano()) + time.Duration(usage.Stime.Nano())).Seconds()
}

// MeasureIndex makes an index of so many blobs below dir and has program read it,
// in a new process each time, without a cache and with one. The program answers
// the arguments -load-index REPOSITORY -index-cache DIR with what LoadIndex
// returns, as JSON. The result is one line.
func MeasureIndex(ctx context.Context, dir, program string, blobs, runs int) (row string, err error) {
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	repo, kept := filepath.Join(dir, "repo"), filepath.Join(dir, "cache")
	if err := BuildIndex(ctx, repo, blobs); err != nil {
		return "", fmt.Errorf("make an index: %w", err)
	}
	peak := 0.0
	read := func(cacheDir string, runs int) (Sample, error) {
		var samples []Sample
		for range runs {
			out, err := exec.CommandContext(ctx, program, "-load-index", repo, "-index-cache", cacheDir).Output()
			var load IndexLoad
			if err == nil {
				err = json.Unmarshal(out, &load)
			}
			if err != nil {
				return Sample{}, fmt.Errorf("read the index: %w", err)
			}
			peak = max(peak, load.PeakMB)
			samples = append(samples, Sample{Wall: duration(load.Seconds), CPU: duration(load.CPU), PeakMB: load.PeakMB})
		}
		return Median(samples), nil
	}
	plain, err := read("", runs)
	if err != nil {
		return "", err
	}
	if _, err := read(kept, 1); err != nil { // fills it
		return "", err
	}
	cached, err := read(kept, runs)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("index load %.3gM: json %.2f s (CPU %.2f s), cache %.2f s (CPU %.2f s), peak %.0f MB",
		float64(blobs)/1e6, plain.Wall.Seconds(), plain.CPU.Seconds(), cached.Wall.Seconds(), cached.CPU.Seconds(), peak), nil
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
