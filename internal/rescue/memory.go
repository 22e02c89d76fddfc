package rescue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/google/renameio/v2"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/rescue/configuration"
)

const (
	memoryFormat = 1
	maxMemory    = 8 << 20
)

// Memory is what a medium has seen: the newest configuration of each host, and the
// newest bundle. It is a file on the medium, where that can be written.
type Memory struct {
	file string
	kept kept
}

type kept struct {
	Format int                                  `json:"format"`
	Hosts  map[record.HostID]configuration.Seen `json:"hosts,omitempty"`
	Bundle int64                                `json:"bundle,omitempty"`
}

// OpenMemory reads what was seen. What cannot be read is an error beside an empty
// memory: a person may go on, and then an older configuration is not noticed.
func OpenMemory(file string) (*Memory, error) {
	m := &Memory{file: file, kept: kept{Format: memoryFormat}}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("read what was seen before: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxMemory+1))
	if err == nil && len(text) > maxMemory {
		err = fmt.Errorf("it has more than %d bytes", maxMemory)
	}
	var k kept
	if err == nil {
		err = json.Unmarshal(text, &k)
	}
	if err == nil && k.Format != memoryFormat {
		err = fmt.Errorf("it has format %d", k.Format)
	}
	if err != nil {
		return m, fmt.Errorf("%s says what was seen before, and cannot be read (remove it if it is damaged): %w", file, err)
	}
	m.kept = k
	return m, nil
}

// Of gives the newest that was seen of a host.
func (m *Memory) Of(id record.HostID) configuration.Seen { return m.kept.Hosts[id] }

// Remember keeps what is newer than what was seen.
func (m *Memory) Remember(id record.HostID, seen configuration.Seen) error {
	old := m.kept.Hosts[id]
	if seen.Version < old.Version || seen.Version == old.Version && !seen.Issued.After(old.Issued) {
		return nil
	}
	if m.kept.Hosts == nil {
		m.kept.Hosts = map[record.HostID]configuration.Seen{}
	}
	m.kept.Hosts[id] = seen
	return m.save()
}

// Bundle is the version of the newest bundle that was applied; 0 is none.
func (m *Memory) Bundle() int64 { return m.kept.Bundle }

// RememberBundle keeps the version of a bundle.
func (m *Memory) RememberBundle(version int64) error {
	if version <= m.kept.Bundle {
		return nil
	}
	m.kept.Bundle = version
	return m.save()
}

func (m *Memory) save() error {
	text, err := json.Marshal(m.kept)
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(m.file, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("remember what was seen: %w", err)
	}
	return nil
}
