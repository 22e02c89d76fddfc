package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Share is a part of a whole, above 0 and at most 1. Written as 10%.
type Share float64

// ParseShare reads a share.
func ParseShare(text string) (Share, error) {
	number, percent := strings.CutSuffix(text, "%")
	share, err := strconv.ParseFloat(number, 64)
	if err != nil || !percent || !(share > 0 && share <= 100) { // not a number is neither
		return 0, fmt.Errorf("%q is no share; write one such as 10%%", text)
	}
	return Share(share / 100), nil
}

func (s Share) String() string { return strconv.FormatFloat(float64(s)*100, 'g', 6, 64) + "%" }

// MarshalYAML writes a share into a configuration.
func (s Share) MarshalYAML() (any, error) { return s.String(), nil }

// UnmarshalYAML reads a share from a configuration.
func (s *Share) UnmarshalYAML(node *yaml.Node) (err error) {
	if node.Kind != yaml.ScalarNode {
		return errors.New("must be a single value like 10%")
	}
	*s, err = ParseShare(node.Value)
	return err
}
