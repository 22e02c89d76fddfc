package wayback

import "sync"

// memo remembers a decision about directories, which follows from the one about the
// directory above. Safe for concurrent use.
type memo struct {
	decide func(path string, above func(string) bool) bool
	mu     sync.Mutex
	known  map[string]bool
}

func newMemo(decide func(path string, above func(string) bool) bool) *memo {
	return &memo{decide: decide, known: map[string]bool{}}
}

func (m *memo) get(path string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.locked(path)
}

func (m *memo) locked(path string) bool {
	is, ok := m.known[path]
	if !ok {
		is = m.decide(path, m.locked)
		m.known[path] = is
	}
	return is
}
