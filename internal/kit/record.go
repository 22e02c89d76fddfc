package kit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"lifeboat/internal/kit/typed"
)

// Record is what this machine remembers of a kit. No secret is in it.
type Record struct {
	Format       int       `json:"format"`
	ID           string    `json:"id"`
	Created      time.Time `json:"created"`
	RepositoryID string    `json:"repository_id"`
	Location     string    `json:"location"` // of the repository, without secrets
	Key          string    `json:"key"`      // its id in the repository
	Systems      []string  `json:"systems"`
	Shares       int       `json:"shares,omitempty"` // 0 if the password is on the sheet
	Threshold    int       `json:"threshold,omitempty"`
	Revoked      time.Time `json:"revoked,omitzero"`
}

const (
	recordFormat = 1
	recordEnd    = ".json"
	maxRecord    = 1 << 20
)

func recordsDir(stateDir string) string { return filepath.Join(stateDir, "kits") }

// Records lists the kits that were made on this machine, oldest first, revoked ones
// too. What cannot be read is in the error, beside what could.
func Records(stateDir string) ([]Record, error) {
	entries, err := os.ReadDir(recordsDir(stateDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the records of recovery kits: %w", err)
	}
	var list []Record
	var errs []error
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), recordEnd)
		if !ok || !typed.IsKit(id) {
			continue
		}
		r, err := readRecord(filepath.Join(recordsDir(stateDir), e.Name()), id)
		if err != nil {
			errs = append(errs, fmt.Errorf("record of recovery kit %s: %w", id, err))
			continue
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Record) int { return a.Created.Compare(b.Created) })
	return list, errors.Join(errs...)
}

func readRecord(file, id string) (Record, error) {
	var r Record
	info, err := os.Stat(file)
	if err == nil && info.Size() > maxRecord {
		err = fmt.Errorf("%s has more than %d bytes", file, maxRecord)
	}
	if err != nil {
		return r, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w", file, err)
	}
	switch {
	case r.Format > recordFormat:
		return r, fmt.Errorf("%s has format %d and this lifeboat reads up to %d: update lifeboat", file, r.Format, recordFormat)
	case r.ID != id:
		return r, fmt.Errorf("%s is the record of kit %q", file, r.ID)
	}
	return r, nil
}

func (r Record) save(stateDir string) error {
	dir := recordsDir(stateDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("record the recovery kit: %w", err)
	}
	r.Format = recordFormat
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(dir, r.ID+recordEnd), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("record the recovery kit: %w", err)
	}
	return nil
}

func (r Record) remove(stateDir string) error {
	return os.Remove(filepath.Join(recordsDir(stateDir), r.ID+recordEnd))
}
