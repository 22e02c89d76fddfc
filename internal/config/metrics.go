package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Metrics says where they are written for a watcher to read.
type Metrics struct {
	// Textfile is a file that the node exporter of Prometheus collects; it is written
	// after each run.
	Textfile string `yaml:"textfile,omitempty"`
}

// Validate checks the name: the node exporter reads *.prom alone.
func (m *Metrics) Validate() error {
	if m.Textfile == "" {
		return nil
	}
	errs := []error{absolute("textfile", m.Textfile)}
	if !strings.HasSuffix(filepath.Base(m.Textfile), ".prom") {
		errs = append(errs, fmt.Errorf("textfile: %q does not end with .prom, and nothing else is collected", m.Textfile))
	}
	return errors.Join(errs...)
}
