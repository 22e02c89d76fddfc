package repository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// readAhead is how many blobs of an open file are fetched before they are asked
// for. Each takes up to 8 MiB.
const readAhead = 3

// OpenFile reads the content of a file node. Every blob is checked against its
// hash before a byte of it is returned; ErrDamaged where that fails. The reader
// must be closed.
func (r *Repository) OpenFile(ctx context.Context, node *Node) (io.ReadCloser, error) {
	if node.Type != File {
		return nil, fmt.Errorf("open %s: it is a %s, not a file", quoted(node.Name), node.Type)
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &fileReader{cancel: cancel, queue: make(chan chan blobResult, readAhead), name: node.Name, want: node.Size}
	f.running.Add(1)
	go f.fetch(ctx, r, node.Content)
	return f, nil
}

type blobResult struct {
	data []byte
	err  error
}

type fileReader struct {
	cancel  context.CancelFunc
	queue   chan chan blobResult // in the order of the content
	running sync.WaitGroup

	name      string
	have      []byte
	err       error
	got, want uint64
}

// fetch starts loading blob after blob and stays readAhead before the reader.
func (f *fileReader) fetch(ctx context.Context, r *Repository, content []ID) {
	defer f.running.Done()
	defer close(f.queue)
	for _, id := range content {
		result := make(chan blobResult, 1)
		select {
		case f.queue <- result:
		case <-ctx.Done():
			return
		}
		f.running.Go(func() {
			data, err := r.loadBlob(ctx, DataBlob, id, nil)
			result <- blobResult{data, err}
		})
	}
}

func (f *fileReader) Read(p []byte) (int, error) {
	for len(f.have) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		result, ok := <-f.queue
		if !ok {
			f.err = io.EOF
			if f.got != f.want {
				f.err = fmt.Errorf("read %s: %w: %d bytes are stored, its size is given as %d", quoted(f.name), ErrDamaged, f.got, f.want)
			}
			continue
		}
		b := <-result
		if b.err != nil {
			f.err = fmt.Errorf("read %s: %w", quoted(f.name), b.err)
			continue
		}
		f.have = b.data
		f.got += uint64(len(b.data))
	}
	n := copy(p, f.have)
	f.have = f.have[n:]
	return n, nil
}

// Close stops the reading ahead and waits for it.
func (f *fileReader) Close() error {
	f.cancel()
	f.running.Wait()
	f.have = nil
	if f.err == nil || errors.Is(f.err, io.EOF) {
		f.err = errors.New("the file is closed")
	}
	return nil
}
