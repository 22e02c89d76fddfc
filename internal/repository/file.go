package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"lifeboat/internal/storage"
)

func handle(t storage.Type, id ID) storage.Handle {
	return storage.Handle{Type: t, Name: id.String()}
}

// listIDs returns the names of all files of a sort, sorted.
func (r *Repository) listIDs(ctx context.Context, t storage.Type) ([]ID, error) {
	var ids []ID
	err := r.store.List(ctx, t, func(info storage.Info) error {
		id, err := ParseID(info.Name)
		if err == nil {
			ids = append(ids, id)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list %s files: %w", t, err)
	}
	slices.SortFunc(ids, func(a, b ID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids), nil // a server may name a file twice
}

// loadFile reads a whole file into buf, if that is large enough, and checks it
// against its name.
func (r *Repository) loadFile(ctx context.Context, t storage.Type, id ID, limit int64, buf []byte) ([]byte, error) {
	data, err := storage.ReadInto(ctx, r.store, handle(t, id), limit, buf)
	if errors.Is(err, storage.ErrTooLarge) || unreadable(err) {
		return nil, &DamageError{What: t.String(), ID: id, Err: err}
	}
	if err != nil {
		return nil, err
	}
	if Hash(data) != id {
		return nil, &DamageError{What: t.String(), ID: id, Err: errors.New("its content does not match its name")}
	}
	return data, nil
}

// unreadable tells errors of this machine's kernel about one file, a bad block say,
// from those about the way to the store, which say nothing of the file.
func unreadable(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EUCLEAN) || errors.Is(err, unix.EACCES)
}

// elsewhere adds to a removal that an append-only store refuses where it can be
// done.
func elsewhere(err error) error {
	if !errors.Is(err, storage.ErrAppendOnly) {
		return err
	}
	return hint(err, "do it on the machine that keeps the repository, with its directory as --repository, or through access that may remove")
}

func (r *Repository) removeFile(ctx context.Context, t storage.Type, id ID) error {
	return r.store.Remove(ctx, handle(t, id))
}

// encodingZstd marks compressed JSON in an index, snapshot or lock file of
// version 2. Files that begin with a bracket are plain JSON.
const encodingZstd = 2

// fileBuffer is the room that reading a file of JSON needs.
type fileBuffer struct {
	stored, text []byte
}

// trim gives up what is larger than limit.
func (b *fileBuffer) trim(limit int) {
	if cap(b.stored) > limit {
		b.stored = nil
	}
	if cap(b.text) > limit {
		b.text = nil
	}
}

// loadJSON reads an index, snapshot or lock file and returns its JSON. The
// result lies in buf, unless that is nil, and is lost when buf is used again.
func (r *Repository) loadJSON(ctx context.Context, t storage.Type, id ID, buf *fileBuffer) ([]byte, error) {
	if buf == nil {
		buf = new(fileBuffer)
	}
	data, err := r.loadFile(ctx, t, id, maxStored, buf.stored)
	if err != nil {
		return nil, err
	}
	buf.stored = data
	plain, err := r.key.Open(data)
	if err != nil {
		return nil, &DamageError{What: t.String(), ID: id, Err: err}
	}
	text, err := decodeUnpacked(plain, buf)
	if err != nil {
		return nil, &DamageError{What: t.String(), ID: id, Err: err}
	}
	return text, nil
}

// passesForFile tells whether what was sealed may be the content of an index,
// snapshot or lock file: JSON, or a byte that announces compressed JSON. The
// format seals blobs with the same key and does not say which is which; so no
// blob is sealed as one that passes.
func passesForFile(plain []byte) bool {
	return len(plain) > 0 && (plain[0] == '{' || plain[0] == '[' || plain[0] == encodingZstd)
}

func decodeUnpacked(plain []byte, buf *fileBuffer) ([]byte, error) {
	switch {
	case len(plain) == 0:
		return nil, errors.New("the file is empty")
	case !passesForFile(plain):
		return nil, fmt.Errorf("unknown encoding %d", plain[0])
	case plain[0] != encodingZstd:
		return plain, nil
	}
	text, err := unpackedDecoder().DecodeAll(plain[1:], buf.text[:0])
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	buf.text = text
	return text, nil
}

// saveJSON writes a snapshot or lock file.
func (r *Repository) saveJSON(ctx context.Context, t storage.Type, content any) (ID, error) {
	text, err := json.Marshal(content)
	if err != nil {
		return ID{}, err
	}
	return r.saveText(ctx, t, text)
}

// saveText writes an index, snapshot or lock file with this JSON.
func (r *Repository) saveText(ctx context.Context, t storage.Type, text []byte) (ID, error) {
	e, err := unpackedEncoder()
	if err != nil {
		return ID{}, err
	}
	data := r.key.Seal(nil, e.EncodeAll(text, []byte{encodingZstd}))
	id := Hash(data)
	if err := r.store.Save(ctx, handle(t, id), data); err != nil {
		return ID{}, err
	}
	return id, nil
}
