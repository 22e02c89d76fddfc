package cli

import (
	"context"
	"fmt"
	"os"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/host"
	"lifeboat/internal/rescue"
	"lifeboat/internal/rescue/identity"
)

// A rescue system is called "rescue", and recovery points want the machine to be called
// as the lost one was. The signed recovery configuration says that better than such a
// name; the machine's own is changed only when somebody says so.

// nameless tells whether this machine has a name that every rescue system may have.
func nameless() (current string, generic bool) {
	current, err := os.Hostname()
	if err != nil {
		return "", true
	}
	_, err = identity.Hostname(current)
	return current, err != nil
}

// nameMachine gives this machine the name of the lost one, if that is wanted.
func (a *app) nameMachine(ctx context.Context, name rescue.Name, set bool) error {
	current, generic := nameless()
	if name.Hostname == "" || host.SameName(current, name.Hostname) {
		if set && name.Hostname == "" {
			a.notices.warn("the recovery configuration does not say what the lost host was called; this machine keeps its name")
		}
		return nil
	}
	if !set && !generic {
		a.notices.warn(fmt.Sprintf("this machine is called %s and the lost host was called %s, which a recovery refuses; --set-hostname gives it that name", screen.Clean(current), name.Hostname))
		return nil
	}
	if p := theTerminal(); !set && p != nil && !a.JSON && !a.yes {
		fmt.Fprintf(p.Out, "\nThis machine is called %q, as rescue systems are; the lost host was called %s.\nGive this machine that name now? [Y/n] ", screen.Clean(current), name.Hostname)
		select {
		case <-ctx.Done():
			fmt.Fprintln(p.Out)
			return ctx.Err()
		case line, ok := <-p.Lines:
			line = screen.Answer(line)
			set = ok && (line == "" || line == "y" || line == "yes")
		}
	}
	if !set {
		return nil
	}
	if err := host.Local().SetHostname(name.Hostname); err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(map[string]any{"type": "hostname", "was": current, "is": name.Hostname})
	}
	a.Printf("This machine is called %s now; it was called %s.\n", name.Hostname, screen.Clean(current))
	return nil
}

// namedFacts are what the recovery configuration says of this machine's name, where
// its own says nothing.
func (a *app) namedFacts() map[string]string {
	if _, generic := nameless(); !generic || a.name.Hostname == "" {
		return nil
	}
	facts := map[string]string{"hostname": a.name.Hostname}
	if a.name.FQDN != "" {
		facts["fqdn"] = a.name.FQDN
	}
	return facts
}

// tellName says, after a recovery, what is left to be done about the name.
func (a *app) tellName() error {
	current, generic := nameless()
	if !generic || a.name.Hostname == "" {
		return nil
	}
	if a.JSON {
		return a.Emit(map[string]any{"type": "hostname", "is": current, "to_be": a.name.Hostname})
	}
	a.Printf("%s This machine is still called %q. Give it the name of the recovered host, and restart:\n  echo %s > /etc/hostname && hostname %[3]s\n",
		screen.PainterFor(a.Out).Yellow("To be done"), screen.Clean(current), a.name.Hostname)
	return nil
}
