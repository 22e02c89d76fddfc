package repository

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lifeboat/internal/storage"
)

// sightings remember since when this machine sees lock files whose age nothing
// else tells: those that cannot be read and those of clocks far ahead, in a store
// that does not say when a file was written. They are hints: losing them costs
// another half hour. Safe for concurrent use.
type sightings struct {
	file string // "" keeps them in this process only

	mu    sync.Mutex
	first map[ID]time.Time // nil until read
}

// maxSightings bounds the file, in entries.
const maxSightings = 1000

func newSightings(dir, repository string) *sightings {
	if dir == "" || !storage.ValidName(repository) {
		return new(sightings)
	}
	return &sightings{file: filepath.Join(dir, repository+".json")}
}

// see notes that a lock is there now.
func (s *sightings) see(id ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read()
	now := time.Now().Round(0)
	if at, known := s.first[id]; known && !at.After(now) {
		return
	}
	for id, at := range s.first { // most are long gone
		if now.Sub(at) > 24*time.Hour || len(s.first) >= maxSightings {
			delete(s.first, id)
		}
	}
	s.first[id] = now
	s.write()
}

// age is how long ago a lock was seen first, or 0.
func (s *sightings) age(id ID) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, known := s.first[id]; known {
		return time.Since(at)
	}
	return 0
}

func (s *sightings) read() {
	if s.first != nil {
		return
	}
	s.first = make(map[ID]time.Time)
	f, err := os.Open(s.file)
	if s.file == "" || err != nil {
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() > 200*maxSightings {
		return
	}
	if err := json.NewDecoder(f).Decode(&s.first); err != nil || s.first == nil {
		s.first = make(map[ID]time.Time)
	}
}

// write replaces the file. One that cannot be written is done without.
func (s *sightings) write() {
	if s.file == "" || os.MkdirAll(filepath.Dir(s.file), 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(s.file), "")
	if err != nil {
		return
	}
	err = json.NewEncoder(f).Encode(s.first)
	if f.Close() != nil || err != nil || os.Rename(f.Name(), s.file) != nil {
		os.Remove(f.Name())
	}
}
