package repository

import (
	"context"
	"encoding/json"
	"fmt"

	"lifeboat/internal/storage"
)

// Config is the content of the config file.
type Config struct {
	Version           uint   `json:"version"`
	ID                string `json:"id"`
	ChunkerPolynomial string `json:"chunker_polynomial"`
}

const formatVersion = 2

func newConfig() Config {
	return Config{
		Version:           formatVersion,
		ID:                randomID().String(),
		ChunkerPolynomial: newPolynomial().String(),
	}
}

func parseConfig(data []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(data, &c); err != nil {
		return c, err
	}
	if c.Version < 1 || c.Version > formatVersion {
		return c, hint(fmt.Errorf("%w: %d", ErrVersion, c.Version), "this program reads versions 1 and 2")
	}
	if _, err := ParseID(c.ID); err != nil {
		return c, fmt.Errorf("repository ID: %w", err)
	}
	_, err := parsePolynomial(c.ChunkerPolynomial)
	return c, err
}

// saveConfig writes the config file, which is sealed but never compressed.
func (r *Repository) saveConfig(ctx context.Context) error {
	data, err := json.Marshal(r.config)
	if err != nil {
		return err
	}
	return r.store.Save(ctx, storage.Handle{Type: storage.Config}, r.key.Seal(nil, data))
}

func (r *Repository) loadConfig(ctx context.Context) error {
	data, err := storage.ReadAll(ctx, r.store, storage.Handle{Type: storage.Config}, maxKeyFile)
	if err != nil {
		return err
	}
	plain, err := r.key.Open(data)
	if err != nil {
		return hint(&DamageError{What: "config file", Err: err}, "restore the file named config from a copy of the repository")
	}
	if r.config, err = parseConfig(plain); err != nil {
		return fmt.Errorf("config file: %w", err)
	}
	return nil
}
