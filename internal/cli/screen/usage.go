package screen

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// UsageError is a mistake on the command line or in the configuration.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e UsageError) Unwrap() error { return e.Err }

// Usage makes an error one of usage.
func Usage(err error) error { return UsageError{err} }

// Usagef says what is wrong with the usage.
func Usagef(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// IsUsage tells whether an error is a mistake of usage.
func IsUsage(err error) bool {
	var usage UsageError
	return errors.As(err, &usage)
}

// KnownVerb refuses a verb that there is none of, and names those alike.
func KnownVerb(c *cobra.Command, given []string) error {
	if len(given) == 0 {
		return nil
	}
	hint := ""
	if alike := c.SuggestionsFor(given[0]); len(alike) > 0 {
		hint = "; did you mean " + strings.Join(alike, " or ") + "?"
	}
	return Usagef("unknown verb %q%s", given[0], hint)
}

// Args wraps a cobra check so that its error is one of usage.
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if err := check(c, given); err != nil {
			return UsageError{err}
		}
		return nil
	}
}

// Path is a flag for a path that is kept whatever the working directory of a later
// call is.
type Path string

func (p *Path) String() string { return string(*p) }

// Type is how cobra calls it.
func (p *Path) Type() string { return "string" }

// Set makes a path absolute; "" stays empty.
func (p *Path) Set(s string) error {
	if s == "" {
		*p = ""
		return nil
	}
	at, err := filepath.Abs(s)
	*p = Path(at)
	return err
}
