package restserver

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// Certificate returns a configuration for TLS 1.3 that shows the certificate in
// PEM files, and the renewed one once they have changed. A renewal that cannot be
// read leaves the former in place.
func Certificate(certFile, keyFile string) (*tls.Config, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	if err := c.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil },
	}, nil
}

type certificate struct {
	certFile, keyFile string

	mu       sync.Mutex
	modified [2]time.Time
	pair     *tls.Certificate
}

func (c *certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.load()
	return c.pair
}

func (c *certificate) load() error {
	var modified [2]time.Time
	for i, file := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(file)
		if err != nil {
			return fmt.Errorf("certificate of the server: %w", err)
		}
		modified[i] = info.ModTime()
	}
	if c.pair != nil && modified == c.modified {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate of the server: %w", err)
	}
	c.pair, c.modified = &pair, modified
	return nil
}
