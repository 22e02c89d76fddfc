// Package s3 keeps a repository in S3-compatible object storage, in the layout
// that restic uses there. It makes single attempts: repetition belongs to package
// retry, and certificates and stalled transfers to package transport.
package s3

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/transport"
)

// Store is a repository below a prefix of a bucket.
//
// Files are created with "If-None-Match: *", which AWS (since 2024), MinIO,
// Ceph and others honour atomically. Whether a server does is found out once,
// with the first small file that is written: it is put twice. Servers that do
// not know the header are asked for the file before it is put; two clients that
// create the same file in the same moment may then both believe to be the
// first. All files but the config are named by their content, so that this
// replaces them by themselves.
type Store struct {
	core      minio.Core
	transport *transport.Transport
	place     Place
	region    string
	class     string
	readOnly  bool
	lock      Lock
	atomic    atomic.Int32 // what is known of the server's conditional writes
	lockable  atomic.Int32 // what is known of the bucket's object lock
}

// What is known of a server's conditional writes.
const (
	unknown int32 = iota
	honoured
	ignored // the header is taken and has no effect
	refused // requests with the header fail
)

// probeSize is the size of the largest file that is put twice, in bytes.
const probeSize = 64 << 10

// Open returns the store at a place. Nothing is asked of the server before the
// first operation.
func Open(place Place, opts Options) (*Store, error) {
	if err := opts.Lock.Validate(); err != nil {
		return nil, fmt.Errorf("open %s: %w", place, err)
	}
	tr, err := transport.New(opts.Transport)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", place, err)
	}
	creds, err := opts.credentials(place, tr)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", place, err)
	}
	lookup, err := opts.lookup()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", place, err)
	}
	region := opts.region()
	client, err := minio.New(place.Endpoint, &minio.Options{
		Creds:        creds,
		Secure:       !place.Plain,
		Transport:    tr,
		Region:       region,
		BucketLookup: lookup,
		MaxRetries:   1, // a put whose answer was lost must not look like a name that was taken
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", place, err)
	}
	client.SetAppInfo("lifeboat", "1")
	return &Store{
		core:      minio.Core{Client: client},
		transport: tr,
		place:     place,
		region:    region,
		class:     opts.StorageClass,
		lock:      opts.Lock,
		readOnly:  opts.ReadOnly,
	}, nil
}

// Location returns the address; it has no place for a secret.
func (s *Store) Location() string { return s.place.String() }

// Close gives up connections.
func (s *Store) Close() error {
	s.transport.Close()
	return nil
}

func (s *Store) key(h storage.Handle) string { return path.Join(s.place.Prefix, h.Path()) }

// Save puts an object. The bucket is made with the first key or the config, as
// restic's init does.
func (s *Store) Save(ctx context.Context, h storage.Handle, data []byte) error {
	if err := h.Validate(); err != nil {
		return err
	}
	if s.readOnly {
		return fmt.Errorf("save %s: %w", h, storage.ErrReadOnly)
	}
	if s.lock.Mode != "" && h.Type != storage.Lock {
		if err := s.Retainable(ctx); err != nil {
			return fmt.Errorf("save %s: %w", h, err)
		}
	}
	err := s.save(ctx, h, data)
	if (h.Type == storage.Config || h.Type == storage.Key) && minio.ToErrorResponse(err).Code == minio.NoSuchBucket {
		if err = s.core.MakeBucket(ctx, s.place.Bucket, minio.MakeBucketOptions{Region: s.region, ObjectLocking: s.lock.Mode != ""}); err == nil {
			err = s.save(ctx, h, data)
		}
	}
	return classify(ctx, "save", h, s.retained(err))
}

func (s *Store) save(ctx context.Context, h storage.Handle, data []byte) error {
	known := s.atomic.Load()
	if known != honoured {
		_, err := s.core.StatObject(ctx, s.place.Bucket, s.key(h), minio.StatObjectOptions{})
		switch {
		case err == nil:
			return storage.ErrExists
		case !missing(err):
			return err
		}
	}
	err := s.put(ctx, h, data, known != refused)
	if known == unknown && minio.ToErrorResponse(err).StatusCode == http.StatusNotImplemented {
		s.atomic.Store(refused)
		return s.put(ctx, h, data, false)
	}
	if minio.ToErrorResponse(err).StatusCode == http.StatusPreconditionFailed {
		// Where versions are kept, some servers count one that was hidden by a removal.
		if _, there := s.core.StatObject(ctx, s.place.Bucket, s.key(h), minio.StatObjectOptions{}); missing(there) {
			return s.put(ctx, h, data, false)
		}
	}
	if err == nil && known == unknown && len(data) <= probeSize {
		s.probe(ctx, h, data)
	}
	return err
}

// probe puts a file again that was just put. An answer that tells nothing
// leaves the matter to the next file.
func (s *Store) probe(ctx context.Context, h storage.Handle, data []byte) {
	switch err := s.put(ctx, h, data, true); {
	case err == nil:
		s.atomic.Store(ignored)
	case minio.ToErrorResponse(err).StatusCode == http.StatusPreconditionFailed:
		s.atomic.Store(honoured)
	}
}

func (s *Store) put(ctx context.Context, h storage.Handle, data []byte, conditional bool) error {
	opts := minio.PutObjectOptions{
		ContentType:      "application/octet-stream",
		StorageClass:     s.classFor(h),
		SendContentMd5:   true, // buckets with object lock demand it
		DisableMultipart: true, // a multipart upload leaves parts behind when it is cut short
	}
	if conditional {
		opts.SetMatchETagExcept("*")
	}
	if s.lock.Mode != "" && h.Type != storage.Lock {
		opts.Mode, opts.RetainUntilDate = s.lock.mode(), time.Now().Add(s.lock.Period())
	}
	_, err := s.core.Client.PutObject(ctx, s.place.Bucket, s.key(h), bytes.NewReader(data), int64(len(data)), opts)
	return err
}

// classFor is the storage class of a file. What must be read on every occasion
// never goes to an archive.
func (s *Store) classFor(h storage.Handle) string {
	if h.Type != storage.Data && (s.class == "GLACIER" || s.class == "DEEP_ARCHIVE") {
		return ""
	}
	return s.class
}

// Load opens the range of an object.
func (s *Store) Load(ctx context.Context, h storage.Handle, offset, length int64) (io.ReadCloser, error) {
	if err := storage.ValidRange(h, offset, length); err != nil {
		return nil, err
	}
	var opts minio.GetObjectOptions
	ranged := offset > 0 || length > 0
	if length > 0 {
		opts.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	} else if ranged {
		opts.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	body, info, header, err := s.core.GetObject(ctx, s.place.Bucket, s.key(h), opts)
	if minio.ToErrorResponse(err).StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return storage.BeyondEnd(ctx, s, h, offset, length)
	}
	if err != nil {
		return nil, classify(ctx, "load", h, err)
	}
	size, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil {
		size = info.Size
	}
	if ranged {
		if want := fmt.Sprintf("bytes %d-", offset); !strings.HasPrefix(header.Get("Content-Range"), want) {
			body.Close()
			return nil, fmt.Errorf("load %s: %w", h, errNoRanges)
		}
	}
	if length > 0 && size != length {
		body.Close()
		return nil, fmt.Errorf("load %s: %w: %d bytes came, wanted %d at %d", h, storage.ErrShort, size, length, offset)
	}
	return transport.Body(body, size), nil
}

// Stat returns the size of an object.
func (s *Store) Stat(ctx context.Context, h storage.Handle) (storage.Info, error) {
	if err := h.Validate(); err != nil {
		return storage.Info{}, err
	}
	info, err := s.core.StatObject(ctx, s.place.Bucket, s.key(h), minio.StatObjectOptions{})
	if err != nil {
		return storage.Info{}, classify(ctx, "stat", h, err)
	}
	return storage.Info{Name: h.Name, Size: info.Size, Time: info.LastModified}, nil
}

// List visits the objects of a sort. A bucket that is not there has none.
func (s *Store) List(ctx context.Context, t storage.Type, visit func(storage.Info) error) error {
	if err := storage.ValidList(t); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	prefix := path.Join(s.place.Prefix, t.Dir()) + "/"
	options := minio.ListObjectsOptions{Prefix: prefix, Recursive: true}
	for object := range s.core.ListObjectsIter(ctx, s.place.Bucket, options) {
		if object.Err != nil {
			if missing(object.Err) {
				return nil
			}
			return classify(ctx, "list", storage.Handle{Type: t}, object.Err)
		}
		h := storage.Handle{Type: t, Name: path.Base(object.Key)}
		if h.Validate() != nil || object.Key != s.key(h) {
			continue
		}
		if err := visit(storage.Info{Name: h.Name, Size: object.Size, Time: object.LastModified}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Remove deletes an object. As S3 does not say whether there was one, it is
// looked for first. One that is locked is storage.ErrRetained.
func (s *Store) Remove(ctx context.Context, h storage.Handle) error {
	if err := h.Validate(); err != nil {
		return err
	}
	if s.readOnly {
		return fmt.Errorf("remove %s: %w", h, storage.ErrReadOnly)
	}
	return classify(ctx, "remove", h, s.remove(ctx, h))
}
