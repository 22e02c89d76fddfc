package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
	"lifeboat/internal/storage/transport"
)

var errNoRanges = retry.Permanent(errors.New("the server did not answer with the range that was asked for"))

func missing(err error) bool {
	var answer minio.ErrorResponse
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}

// classify wraps what minio reports so that the errors of package storage can be
// tested for, and so that it shows whether a repetition can help.
func classify(ctx context.Context, verb string, h storage.Handle, err error) error {
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%s %s: %w", verb, h, cause)
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return fmt.Errorf("%s %s: %w", verb, h, err)
	}
	text := answer.Code
	if answer.Message != "" {
		text += ", " + answer.Message
	}
	status := transport.NewStatus(answer.StatusCode, text, nil)
	switch answer.Code {
	case "RequestTimeTooSkewed":
		return fmt.Errorf("%s %s: %w; set this machine's clock", verb, h, status)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch":
		return fmt.Errorf("%s %s: %w; check the access key, the secret key and the region", verb, h, status)
	case "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "StorageQuotaExceeded":
		return fmt.Errorf("%s %s: %w: %w", verb, h, storage.ErrQuota, status)
	case "XMinioStorageFull":
		return fmt.Errorf("%s %s: %w: %w", verb, h, storage.ErrNoSpace, status)
	case minio.NoSuchBucket:
		return fmt.Errorf("%s %s: %w: the bucket does not exist", verb, h, storage.ErrNotFound)
	}
	switch answer.StatusCode {
	case http.StatusPreconditionFailed:
		return fmt.Errorf("%s %s: %w", verb, h, storage.ErrExists)
	case http.StatusNotFound:
		return fmt.Errorf("%s %s: %w", verb, h, storage.ErrNotFound)
	case 0: // minio's own complaint, before anything was sent
		return fmt.Errorf("%s %s: %w", verb, h, retry.Permanent(err))
	}
	return fmt.Errorf("%s %s: %w", verb, h, status)
}
