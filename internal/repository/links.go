package repository

import (
	"sync"

	"golang.org/x/sys/unix"
)

// links makes every file with several names be read once per session.
type links struct {
	mu    sync.Mutex
	files map[linkKey]*link
}

// linkKey is a file in one state: a change makes it another.
type linkKey struct {
	dev, ino     uint64
	size         int64
	ctime, mtime unix.Timespec
}

type link struct {
	node    *Node // set when it was read
	left    uint64
	waiting []func(*Node) // nil: read it yourself
}

// once stores a file under its first name, and has the other names take over
// what came of it.
func (l *links) once(c *scan, d *dirScan, name string, st *unix.Stat_t, done func(*Node, error)) {
	key := linkKey{st.Dev, st.Ino, st.Size, st.Ctim, st.Mtim}
	again := func(first *Node) {
		if first == nil {
			// Not handed to a reader: this may be one, and all may be here.
			fileJob{scan: c, dir: d, name: name, done: done}.run()
			return
		}
		n := *first
		n.Name = name
		done(&n, nil)
	}
	l.mu.Lock()
	if l.files == nil {
		l.files = make(map[linkKey]*link)
	}
	e, found := l.files[key]
	if !found {
		e = &link{left: uint64(st.Nlink)}
		l.files[key] = e
	}
	if e.left--; e.left == 0 {
		delete(l.files, key) // that was its last name
	}
	switch {
	case found && e.node == nil:
		e.waiting = append(e.waiting, again)
		l.mu.Unlock()
		return
	case found:
		l.mu.Unlock()
		again(e.node)
		return
	}
	l.mu.Unlock()
	c.content(d, name, st, func(n *Node, err error) {
		done(n, err)
		l.mu.Lock()
		if e.node = n; n == nil && l.files[key] == e {
			delete(l.files, key)
		}
		waiting := e.waiting
		e.waiting = nil
		l.mu.Unlock()
		for _, w := range waiting {
			w(n)
		}
	})
}
