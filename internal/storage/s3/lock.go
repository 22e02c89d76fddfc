package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
)

// Lock says how new objects are kept from being removed, by S3 Object Lock
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html).
type Lock struct {
	// Mode is "governance", which users with a special right can lift, or
	// "compliance", which nobody can. Empty for no lock.
	Mode string
	Days int // at least 1
	// For is instead of Days how long an object is kept, for trials.
	For time.Duration
}

// maxLockDays is what AWS takes at most: a hundred years.
const maxLockDays = 36500

// Validate checks both fields together.
func (l Lock) Validate() error {
	switch {
	case l == Lock{}:
		return nil
	case l.Mode == "":
		return errors.New("object lock without a mode; it is governance or compliance")
	case l.Mode != "governance" && l.Mode != "compliance":
		return fmt.Errorf("object lock with mode %q; it is governance or compliance", l.Mode)
	case l.For > 0 && l.Days == 0:
		return nil
	case l.Days < 1 || l.Days > maxLockDays:
		return fmt.Errorf("object lock for %d days; it lasts from 1 to %d", l.Days, maxLockDays)
	}
	return nil
}

// Period is how long an object is kept from now on.
func (l Lock) Period() time.Duration { return time.Duration(l.Days)*24*time.Hour + l.For }

func (l Lock) mode() minio.RetentionMode { return minio.RetentionMode(strings.ToUpper(l.Mode)) }

// What is known of a bucket's object lock.
const (
	lockUnknown int32 = iota
	lockThere
)

var _ storage.Retainer = (*Store)(nil)

// Retaining is the period of Options.Lock.
func (s *Store) Retaining() time.Duration { return s.lock.Period() }

// Retainable asks whether the bucket has object lock switched on. Where that may
// not be asked, the first file that is saved tells.
func (s *Store) Retainable(ctx context.Context) error {
	if s.lockable.Load() == lockThere {
		return nil
	}
	enabled, _, _, _, err := s.core.GetObjectLockConfig(ctx, s.place.Bucket)
	answer := minio.ToErrorResponse(err)
	switch {
	case err == nil && enabled == "Enabled":
		s.lockable.Store(lockThere)
		return nil
	case err == nil,
		answer.Code == "ObjectLockConfigurationNotFoundError",
		answer.StatusCode == http.StatusNotFound && answer.Code != minio.NoSuchBucket:
		return s.unlockable("has no object lock")
	case answer.StatusCode == http.StatusNotImplemented:
		return s.unlockable("lies on a server that has no object lock")
	case answer.Code == minio.NoSuchBucket, answer.StatusCode == http.StatusForbidden:
		return nil
	}
	return classify(ctx, "ask for the object lock of", storage.Handle{Type: storage.Config}, err)
}

func (s *Store) unlockable(why string) error {
	return retry.Permanent(fmt.Errorf("the bucket %s %s: make a bucket that has it (aws s3api create-bucket --object-lock-enabled-for-bucket, "+
		"mc mb --with-lock; lifeboat init makes one that is not there yet) and copy the repository into it, or take object_lock out of the configuration", s.place.Bucket, why))
}

// retained wraps the refusal of a put that asks for a lock.
func (s *Store) retained(err error) error {
	answer := minio.ToErrorResponse(err)
	if s.lock.Mode != "" && answer.StatusCode == http.StatusBadRequest && strings.Contains(strings.ToLower(answer.Message), "object lock") {
		return s.unlockable("has no object lock")
	}
	return err
}

// Retention looks an object up.
func (s *Store) Retention(ctx context.Context, h storage.Handle) (storage.Retention, error) {
	found, _, err := s.look(ctx, h)
	if err != nil {
		return storage.Retention{}, classify(ctx, "stat", h, err)
	}
	return found, nil
}

// look asks for an object, its lock and its version.
func (s *Store) look(ctx context.Context, h storage.Handle) (storage.Retention, minio.ObjectInfo, error) {
	info, err := s.core.StatObject(ctx, s.place.Bucket, s.key(h), minio.StatObjectOptions{})
	if err != nil {
		return storage.Retention{}, info, err
	}
	found := storage.Retention{Info: storage.Info{Name: h.Name, Size: info.Size}}
	if until := info.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date"); until != "" {
		if found.Until, err = time.Parse(time.RFC3339, until); err != nil {
			return found, info, retry.Permanent(fmt.Errorf("the server gives %q as the end of a lock", until))
		}
	}
	found.Hold = info.Metadata.Get("X-Amz-Object-Lock-Legal-Hold") == "ON"
	return found, info, nil
}

// Retain keeps an object until a time, in the mode of Options.Lock, or in
// compliance mode where the object is in it already: that cannot be taken back.
func (s *Store) Retain(ctx context.Context, h storage.Handle, until time.Time) error {
	if err := h.Validate(); err != nil {
		return err
	}
	if s.readOnly {
		return fmt.Errorf("lock %s: %w", h, storage.ErrReadOnly)
	}
	found, info, err := s.look(ctx, h)
	if err != nil {
		return classify(ctx, "lock", h, err)
	}
	if !found.Until.Before(until) {
		return nil
	}
	mode := s.lock.mode()
	if strings.EqualFold(info.Metadata.Get("X-Amz-Object-Lock-Mode"), string(minio.Compliance)) {
		mode = minio.Compliance
	}
	if mode == "" {
		return fmt.Errorf("lock %s: %w", h, retry.Permanent(errors.New("no object_lock is configured for this repository")))
	}
	until = until.UTC()
	// The version that was looked at, not one that somebody puts meanwhile.
	err = s.core.PutObjectRetention(ctx, s.place.Bucket, s.key(h), minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &until, VersionID: info.VersionID})
	return classify(ctx, "lock", h, s.retained(err))
}

// remove deletes an object, and with it the version that object lock keeps: a
// bucket that has it keeps versions, and without naming one a removal would only
// hide the object and free nothing.
func (s *Store) remove(ctx context.Context, h storage.Handle) error {
	found, info, err := s.look(ctx, h)
	if missing(err) {
		return storage.ErrNotFound
	}
	if err != nil {
		return err
	}
	locked := s.lock.Mode != "" || !found.Until.IsZero()
	if found.Holds() {
		if h.Type != storage.Lock {
			return &storage.RetainedError{Until: found.Until, Hold: found.Hold}
		}
		locked = false // by the default of the bucket; to hide it must do
	}
	opts := minio.RemoveObjectOptions{}
	if locked {
		opts.VersionID = info.VersionID
	}
	err = s.core.RemoveObject(ctx, s.place.Bucket, s.key(h), opts)
	if locked && refusedByLock(err) {
		return new(storage.RetainedError) // the server keeps to itself until when
	}
	return err
}

// ProveRetention tells the server to remove an object that it keeps, which it has
// to refuse. Remove asks it first and leaves it in peace.
func (s *Store) ProveRetention(ctx context.Context, h storage.Handle) error {
	found, info, err := s.look(ctx, h)
	if err != nil {
		return classify(ctx, "stat", h, err)
	}
	if !found.Holds() {
		return fmt.Errorf("remove %s: %w", h, errors.New("its lock has ended"))
	}
	err = s.core.RemoveObject(ctx, s.place.Bucket, s.key(h), minio.RemoveObjectOptions{VersionID: info.VersionID})
	switch {
	case err == nil:
		return retry.Permanent(fmt.Errorf("the server says that %s is locked until %s, and removed it", h, found.Until.Local().Format(time.DateTime)))
	case refusedByLock(err) || minio.ToErrorResponse(err).StatusCode == http.StatusForbidden:
		return nil
	}
	return classify(ctx, "remove", h, err)
}

// refusedByLock tells whether a removal failed for object lock, by what AWS,
// versitygw and MinIO say.
func refusedByLock(err error) bool {
	answer := minio.ToErrorResponse(err)
	message := strings.ToLower(answer.Message)
	return answer.Code == "ObjectLocked" || strings.Contains(message, "object lock") || strings.Contains(message, "worm protected")
}
