package repository

// spare keeps a few values for use again. A sync.Pool would give them up with
// every collection of garbage, of which large buffers are most. Safe for
// concurrent use.
type spare[T any] struct {
	free chan *T
	make func() *T
}

func newSpare[T any](keep int, fresh func() *T) spare[T] {
	return spare[T]{free: make(chan *T, keep), make: fresh}
}

func (s spare[T]) get() *T {
	select {
	case v := <-s.free:
		return v
	default:
		return s.make()
	}
}

func (s spare[T]) put(v *T) {
	select {
	case s.free <- v:
	default:
	}
}
