package config

import (
	"errors"

	"go.yaml.in/yaml/v4"

	"lifeboat/internal/strict"
)

// Cache says where what was read from a repository is kept on this machine: a
// mapping, or the word off.
type Cache struct {
	Off bool   `yaml:"-"`
	Dir string `yaml:"dir,omitempty"` // of the caches of all repositories
	Max string `yaml:"max,omitempty"` // bytes for one repository, as ParseSize reads them
}

func handleCache(doc *strict.Document) {
	strict.Handle(doc, func(node *yaml.Node, c *Cache) {
		if c.Off = node.Kind == yaml.ScalarNode && node.Value == "off"; !c.Off {
			doc.Fill(node, c)
		}
	})
}

// Bytes is how much one repository's cache may take, 0 where that is not said.
func (c Cache) Bytes() (int64, error) {
	if c.Max == "" {
		return 0, nil
	}
	n, err := ParseSize(c.Max)
	if err == nil && n == 0 {
		err = errors.New("a cache of no bytes is written as cache: off")
	}
	return n, err
}

// IsZero tells whether nothing is said.
func (c Cache) IsZero() bool { return c == Cache{} }

// Validate checks directory and size.
func (c *Cache) Validate() error {
	_, err := c.Bytes()
	return errors.Join(absolute("dir", c.Dir), named("max", err))
}

// MarshalYAML writes the word where it is that.
func (c Cache) MarshalYAML() (any, error) {
	if c.Off {
		return "off", nil
	}
	type mapping Cache
	return mapping(c), nil
}
