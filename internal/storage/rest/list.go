package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
)

// Media types of lists: names alone, and names with sizes.
const (
	mediaV1 = "application/vnd.x.restic.rest.v1"
	mediaV2 = "application/vnd.x.restic.rest.v2"
)

// statsAtOnce is how many sizes are asked for side by side with a server that
// lists only names.
const statsAtOnce = 8

// List visits the files of a sort. The list is read as it comes and not kept.
func (s *Store) List(ctx context.Context, t storage.Type, visit func(storage.Info) error) error {
	if err := storage.ValidList(t); err != nil {
		return err
	}
	resp, err := s.do(ctx, http.MethodGet, s.url(storage.Handle{Type: t}), nil, http.Header{"Accept": {mediaV2}})
	if errors.Is(err, storage.ErrNotFound) {
		return nil // a directory that nobody made yet
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", t.Dir(), err)
	}
	defer resp.Body.Close()
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media == mediaV2 {
		err = decode(resp.Body, func(e entry) error {
			if !storage.ValidName(e.Name) || e.Size < 0 {
				return nil
			}
			return visit(storage.Info{Name: e.Name, Size: e.Size})
		})
	} else {
		err = s.listNames(ctx, t, resp.Body, visit)
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	var own visitError
	if errors.As(err, &own) {
		return own.error
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", t.Dir(), err)
	}
	return ctx.Err()
}

// listNames asks for the size of every name.
func (s *Store) listNames(ctx context.Context, t storage.Type, body io.Reader, visit func(storage.Info) error) error {
	found := make(chan storage.Info)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	asked := make(chan error, 1)
	go func() {
		group.SetLimit(statsAtOnce)
		err := decode(body, func(name string) error {
			if !storage.ValidName(name) {
				return nil
			}
			group.Go(func() error {
				info, err := s.Stat(ctx, storage.Handle{Type: t, Name: name})
				if errors.Is(err, storage.ErrNotFound) {
					return nil // removed meanwhile
				}
				if err != nil {
					return err
				}
				select {
				case found <- info:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			return ctx.Err()
		})
		if werr := group.Wait(); werr != nil {
			err = werr
		}
		asked <- err
		close(found)
	}()
	var stopped error
	for info := range found {
		if stopped == nil {
			if stopped = visit(info); stopped != nil {
				stopped = visitError{stopped}
				cancel()
			}
		}
	}
	if err := <-asked; stopped == nil {
		stopped = err
	}
	return stopped
}

type entry struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// visitError marks an error of the caller's own.
type visitError struct{ error }

func (v visitError) Unwrap() error { return v.error }

// maxEntry bounds one entry of a list, in bytes; a name has 64.
const maxEntry = 4096

// decode reads an array of JSON values one by one. A list that ends before its
// bracket was cut off; one that is not a list will not be one next time.
func decode[T any](r io.Reader, fn func(T) error) error {
	bounded := &bound{r: r}
	d := json.NewDecoder(bounded)
	bounded.left = maxEntry
	token, err := d.Token()
	if err == nil && token == nil {
		return nil // null, as some servers say for an empty list
	}
	if err != nil {
		return listError(err)
	}
	if token != json.Delim('[') {
		return retry.Permanent(errors.New("the server's list is not an array"))
	}
	for {
		bounded.left = maxEntry
		if !d.More() {
			break
		}
		var e T
		bounded.left = maxEntry
		if err := d.Decode(&e); err != nil {
			return listError(err)
		}
		if err := fn(e); err != nil {
			return visitError{err}
		}
	}
	bounded.left = maxEntry
	if _, err := d.Token(); err != nil {
		return listError(err)
	}
	return nil
}

func listError(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the list has no end", storage.ErrTruncated)
	case errors.As(err, &syntax), errors.As(err, &kind), errors.Is(err, errEntry):
		return retry.Permanent(fmt.Errorf("the server's list: %w", err))
	}
	return err
}

var errEntry = errors.New("an entry is too long")

// bound ends a stream of which one value wants more bytes than it should.
type bound struct {
	r    io.Reader
	left int
}

func (b *bound) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errEntry
	}
	n, err := b.r.Read(p[:min(len(p), maxEntry)])
	b.left -= n
	return n, err
}
