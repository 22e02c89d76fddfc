package zypper

import (
	"errors"
	"regexp"
	"slices"
)

// distrusted is what libzypp says of metadata with a wrong signature, with none, or with
// one by a key that the root does not know.
var distrusted = regexp.MustCompile(`Signature verification failed for (?:file )?'?repomd\.xml|Signature verification failed for (?:file )?'?content`)

// Distrusted are the package repositories whose signatures an error of Refresh says do not
// hold, as libzypp names them; nil for an error that says anything else.
func Distrusted(err error) []string {
	var e *Error
	if !errors.As(err, &e) {
		return nil
	}
	var list []string
	for _, m := range e.Messages {
		if !distrusted.MatchString(m.Text) {
			continue
		}
		for _, of := range invalid.FindAllStringSubmatch(m.Text, -1) {
			if !slices.Contains(list, of[1]) {
				list = append(list, of[1])
			}
		}
	}
	return list
}

// invalid names the package repository.
var invalid = regexp.MustCompile(`(?:from repository|Repository) '([^'\n]+)'`)
