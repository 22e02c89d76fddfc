package repository

import (
	"cmp"
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
	// ChunkerSeed is the ID of the repository whose chunk boundaries this one
	// has; empty is its own. It is ours: others pass over it.
	ChunkerSeed string `json:"lifeboat_chunker_seed,omitempty"`
}

const formatVersion = 2

// newConfig is that of a new repository, which cuts content where like does.
func newConfig(like *Repository) Config {
	c := Config{
		Version:           formatVersion,
		ID:                randomID().String(),
		ChunkerPolynomial: newPolynomial().String(),
	}
	if like != nil {
		c.ChunkerPolynomial, c.ChunkerSeed = like.config.ChunkerPolynomial, like.config.chunkerSeed()
	}
	return c
}

func (c Config) chunkerSeed() string { return cmp.Or(c.ChunkerSeed, c.ID) }

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
	if _, err := ParseID(c.chunkerSeed()); err != nil {
		return c, fmt.Errorf("chunker seed: %w", err)
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
