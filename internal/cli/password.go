package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/storage/redact"
)

// passwordFlags are the two ways to give a password on the command line. The
// password itself is never an argument: everybody on the machine could read it.
type passwordFlags struct {
	file    string
	command string
	dir     string // where the command was given, if that was in an earlier run
}

// register adds the flags; prefix is "", "new-" or "archive-".
func (p *passwordFlags) register(c *cobra.Command, prefix, what string) {
	c.Flags().Var((*screen.Path)(&p.file), prefix+"password-file", "`FILE` with "+what)
	c.Flags().StringVar(&p.command, prefix+"password-command", "", "`COMMAND` that prints "+what+": words, or a list [program, argument]; no shell")
}

// given is what the flags say, or a zero Password.
func (p *passwordFlags) given() (config.Password, error) {
	switch {
	case p.command == "":
		return config.Password{File: p.file}, nil
	case p.file != "":
		return config.Password{}, screen.Usagef("a password comes from a file or from a command, not from both")
	}
	words, err := config.ParseCommand(p.command)
	if err != nil {
		return config.Password{}, screen.Usagef("--password-command: %w", err)
	}
	return commandIn(p.dir, words), nil
}

// from is where the command was given, "" for no command.
func (p *passwordFlags) from() string {
	given, _ := p.given()
	return given.Dir
}

// commandIn is a command that runs where it was given: here, unless an earlier
// run says otherwise. That is as with restic; words like etc/key are meant from
// there.
func commandIn(dir string, words []string) config.Password {
	if dir == "" {
		dir, _ = os.Getwd() // from a directory that is gone, the root must do
	}
	return config.Password{Command: words, Dir: dir}
}

// The environment variables that hold a password, or with an ending say where
// it is. Restic's own are taken too.
var (
	passwordVariables    = []string{"LIFEBOAT_PASSWORD", "RESTIC_PASSWORD"}
	newPasswordVariables = []string{"LIFEBOAT_NEW_PASSWORD"}

	archivePasswordVariables = []string{"LIFEBOAT_ARCHIVE_PASSWORD"}
)

// fromEnvironment is what the environment says, or a zero Password.
func fromEnvironment(names []string) (config.Password, error) {
	for _, name := range names {
		if file := os.Getenv(name + "_FILE"); file != "" {
			at, err := filepath.Abs(file)
			return config.Password{File: at}, err
		}
		if os.Getenv(name) != "" {
			return config.Password{Env: name}, nil
		}
		if command := os.Getenv(name + "_COMMAND"); command != "" {
			words, err := config.ParseCommand(command)
			if err != nil {
				return config.Password{}, screen.Usagef("%s_COMMAND: %w", name, err)
			}
			return commandIn("", words), nil
		}
		if credential := os.Getenv(name + "_CREDENTIAL"); credential != "" {
			return config.Password{Credential: credential}, nil
		}
	}
	return config.Password{}, nil
}

// passwordOf gets the password of a repository: what the command line says,
// else the configuration, else the environment, else the person at the terminal.
func (a *app) passwordOf(ctx context.Context, r config.Repository, flags passwordFlags) ([]byte, error) {
	from, err := passwordFrom(r, flags)
	if err != nil {
		return nil, err
	}
	if a.rescued && from.File != "" && onTerminal() {
		if _, err := os.Stat(from.File); errors.Is(err, fs.ErrNotExist) {
			from = config.Password{} // it has not come: a person may know it
		}
	}
	if a.completing && (from.IsZero() || len(from.Command) > 0) {
		return nil, errAsks // commands may ask as well
	}
	if a.unattended && from.IsZero() {
		return nil, errAsks
	}
	if !from.IsZero() {
		return a.readPassword(ctx, from, "password of repository "+firstOf(r.Name, redact.URL(r.URL)))
	}
	if !onTerminal() {
		return nil, screen.Usagef("repository %s needs a password: give --password-file or --password-command, LIFEBOAT_PASSWORD_FILE (or _COMMAND, _CREDENTIAL) in the environment, or password: in %s", redact.URL(r.URL), a.configFile)
	}
	return a.promptPassword(ctx, "Password of repository "+redact.URL(r.URL))
}

// passwordFrom is where the password of a repository comes from; zero where a person
// must be asked.
func passwordFrom(r config.Repository, flags passwordFlags) (config.Password, error) {
	from, err := flags.given()
	if err == nil && from.IsZero() {
		from = rescuedPassword(r, r.Password)
	}
	if err == nil && from.IsZero() {
		from, err = fromEnvironment(passwordVariables)
	}
	return from, err
}

// newPassword gets a password that is to open a repository from now on. At a
// terminal it is asked for twice.
func (a *app) newPassword(ctx context.Context, flags *passwordFlags) ([]byte, error) {
	from, err := flags.given()
	if err == nil && from.IsZero() {
		from, err = fromEnvironment(newPasswordVariables)
	}
	if err != nil {
		return nil, err
	}
	if !from.IsZero() {
		return a.readPassword(ctx, from, "new password")
	}
	if !onTerminal() {
		return nil, screen.Usagef("a new password is needed: give --new-password-file or --new-password-command, or LIFEBOAT_NEW_PASSWORD_FILE in the environment")
	}
	first, err := a.promptPassword(ctx, "New password")
	if err != nil {
		return nil, err
	}
	second, err := a.promptPassword(ctx, "New password again")
	if err != nil {
		return nil, err
	}
	defer clear(second)
	switch {
	case len(first) == 0:
		return nil, screen.Usagef("the new password is empty: nothing was changed")
	case !bytes.Equal(first, second):
		return nil, screen.Usagef("the two are not the same: nothing was changed")
	}
	return first, nil
}

func (a *app) readPassword(ctx context.Context, from config.Password, what string) ([]byte, error) {
	password, err := from.Read(ctx)
	if err != nil {
		return nil, screen.Usage(fmt.Errorf("%s: %w", what, err))
	}
	if warning := from.Warning(); warning != "" {
		a.notices.warn(warning) // several may be read at once
	}
	return password, nil
}

func onTerminal() bool { return term.IsTerminal(int(os.Stdin.Fd())) }

// promptPassword asks without showing what is typed. An interrupt leaves the
// terminal as it was.
func (a *app) promptPassword(ctx context.Context, question string) ([]byte, error) {
	if screen.TerminalRead() {
		return theTerminal().password(ctx, question)
	}
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("ask for the password: %w", err)
	}
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	fmt.Fprintf(a.Err, "%s: ", question)
	go func() {
		text, err := term.ReadPassword(fd)
		answers <- answer{text, err}
	}()
	select {
	case got := <-answers:
		fmt.Fprintln(a.Err)
		if got.err != nil {
			return nil, fmt.Errorf("ask for the password: %w", got.err)
		}
		return got.text, nil
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), term.Restore(fd, before))
	}
}
