package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// ErrTruncated says that an answer broke off before its end. Unlike ErrShort it
// says nothing about the file: the same request may well succeed later.
var ErrTruncated = errors.New("the answer broke off")

// ValidRange refuses handles and ranges that no store takes.
func ValidRange(h Handle, offset, length int64) error {
	if err := h.Validate(); err != nil {
		return err
	}
	if offset < 0 || length < 0 || offset > math.MaxInt64-length {
		return fmt.Errorf("load %s: no file has %d bytes at %d", h, length, offset)
	}
	return nil
}

// ValidList refuses sorts of files that no store lists.
func ValidList(t Type) error {
	if t.Dir() == "" {
		return fmt.Errorf("a %s file cannot be listed", t)
	}
	return nil
}

// BeyondEnd is what Load of a store answers when its server says that a range
// begins behind the end of the file: ErrShort, unless it begins just there and
// goes to the end.
func BeyondEnd(ctx context.Context, s Store, h Handle, offset, length int64) (io.ReadCloser, error) {
	info, err := s.Stat(ctx, h)
	if err != nil {
		return nil, err
	}
	if length == 0 && offset == info.Size {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return nil, fmt.Errorf("load %s: %w: %d bytes, wanted %d at %d", h, ErrShort, info.Size, length, offset)
}
