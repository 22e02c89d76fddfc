package cli

import (
	"time"

	"github.com/spf13/pflag"

	"lifeboat/internal/strict"
)

// duration is a flag that reads times as the configuration does.
type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Set(text string) error {
	v, err := strict.ParseDuration(text)
	*d = duration(v)
	return err
}

func (*duration) Type() string { return "duration" }

// durationVar makes a variable a flag; what it holds is the default.
func durationVar(flags *pflag.FlagSet, v *time.Duration, name, usage string) {
	flags.Var((*duration)(v), name, usage)
}
