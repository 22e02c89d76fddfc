package zypper

import (
	"errors"
	"slices"
	"testing"
)

// What libzypp says of metadata that was tampered with, and of metadata that nobody has
// signed; both were said by zypper 1.14.42.
func TestDistrusted(t *testing.T) {
	t.Parallel()
	wrong := &Error{Result: &Result{Messages: []Message{
		{"error", "Signature verification failed for file 'repomd.xml' from repository 'SLES12-SP1-Updates'."},
		{"error", "Repository 'SLES12-SP1-Updates' is invalid.\n[SLES12-SP1-Updates|file:/x] Valid metadata not found at specified URL\nHistory:\n - Signature verification failed for repomd.xml\n - Can't provide /repodata/repomd.xml"},
		{"error", "Some of the repositories have not been refreshed because of an error."},
	}}}
	unsigned := &Error{Result: &Result{Messages: wrong.Messages[1:2]}}
	away := &Error{Result: &Result{Messages: []Message{{"error", "Repository 'x' is invalid.\n[x|file:/x] Valid metadata not found at specified URL\nHistory:\n - Can't provide /repodata/repomd.xml"}}}}
	for err, want := range map[error][]string{
		errors.Join(errors.New("refresh"), wrong): {"SLES12-SP1-Updates"}, unsigned: {"SLES12-SP1-Updates"}, away: nil, errors.New("x"): nil,
	} {
		if got := Distrusted(err); !slices.Equal(got, want) {
			t.Errorf("%v: %v, not %v", err, got, want)
		}
	}
}
