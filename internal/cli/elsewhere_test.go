package cli

import (
	"errors"
	"fmt"
	"testing"

	"lifeboat/internal/repository"
)

// Copies are promised only where somebody has seen them; that there are some is in
// the stories of lost repositories.
func TestCopiesElsewhere(t *testing.T) {
	for _, test := range []struct {
		found looked
		want  string
	}{
		{looked{}, "repository second has no copies of its points"},
		{looked{err: fmt.Errorf("open: %w", repository.ErrNoRepository)}, "where repository second should be there is none either"},
		{looked{err: errors.New("it did not answer within 2s")}, "repository second may have copies of its points (it did not answer within 2s): lifeboat list -r second"},
	} {
		if got := test.found.copies("site", "second", "its points"); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
