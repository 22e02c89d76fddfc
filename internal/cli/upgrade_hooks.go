package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/hook"
)

func (a *app) upgradeHooksCommand() *cobra.Command {
	root, dir := screen.Path("/"), ""
	policy := policyFlag(hook.Strict)
	c := &cobra.Command{
		Use:   "hooks",
		Short: "List the migration hooks of YaST Wagon that an upgrade would run",
		Long: `Lists the hooks in the order in which an upgrade calls them, and what in their
directory would not run, and why. Nothing is run.

A hook is named step_NN_prefix_name, belongs to root, is executable, and nobody else
can write it or a directory above it. With --hooks wagon the names are those that Wagon
itself takes: a number of any length, and nothing asked of what follows it.`,
		Example: `  lifeboat upgrade hooks
  lifeboat upgrade hooks --hooks wagon
  lifeboat upgrade hooks --root /mnt --json`,
		Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := hostBelow(root)
			if err != nil {
				return err
			}
			l, err := hook.Look(c.Context(), h, dir, hook.Policy(policy))
			if err != nil {
				return err
			}
			return a.showHooks(l)
		},
	}
	c.Flags().Var(&root, "root", "look at the machine whose root file system is mounted at `DIR`")
	c.Flags().StringVar(&dir, "dir", hook.Dir, "`DIR` on that machine that holds the hooks")
	c.Flags().Var(&policy, "hooks", "`strict` takes the names of the manual, wagon those that Wagon takes")
	return c
}

// hostBelow is this machine, or the one whose root is mounted somewhere. A root that is
// not mounted has no hooks and no entries either: that is no answer.
func hostBelow(root screen.Path) (*host.Host, error) {
	if root == "" || root == "/" {
		return host.Local(), nil
	}
	if info, err := os.Stat(filepath.Join(string(root), "etc")); err != nil || !info.IsDir() {
		return nil, screen.Usagef("--root: %s holds no root file system, as there is no directory etc in it; is it mounted there?", root)
	}
	return host.At(string(root))
}

// policyFlag is --hooks.
type policyFlag hook.Policy

func (p *policyFlag) String() string { return string(*p) }
func (p *policyFlag) Type() string   { return "string" }

func (p *policyFlag) Set(s string) error {
	switch hook.Policy(s) {
	case hook.Strict, hook.Wagon:
		*p = policyFlag(s)
		return nil
	}
	return fmt.Errorf("it is %s or %s", hook.Strict, hook.Wagon)
}

var partTitles = map[hook.Part]string{
	hook.Prepare: "Before the point of no return",
	hook.Restart: "Whenever the upgrade goes on in another process",
	hook.Finish:  "Behind the point of no return",
	hook.Abort:   "When it is given up, instead of what is left",
}

// showHooks prints what would run. Hooks that would fail are exit code 3.
func (a *app) showHooks(l *hook.List) error {
	problems := l.Problems()
	if len(problems) > 0 {
		a.Code = runbook.ExitWarnings
	}
	if a.JSON {
		return a.Emit(struct {
			Type string `json:"type"`
			*hook.List
		}{"upgrade-hooks", l})
	}
	paint := screen.PainterFor(a.Out)
	part, found := hook.Part(""), map[string]bool{}
	for _, c := range l.Calls {
		if len(c.Hooks) == 0 {
			continue
		}
		if c.Part != part {
			part = c.Part
			a.Printf("%s\n", paint.Bold(partTitles[part]))
		}
		a.Printf("  %s  %s\n", c.Occasion, paint.Faint("("+c.When+")"))
		for _, h := range c.Hooks {
			found[h.Path] = true
			if h.Runs() {
				a.Printf("    %s\n", screen.Clean(h.Path))
			} else {
				a.Printf("    %s\n      %s %s\n", screen.Clean(h.Path), paint.Red("fails:"), a.paragraph(screen.Clean(h.Why), 6))
			}
		}
	}
	if len(l.Others) > 0 {
		a.Printf("%s\n", paint.Bold("Not run"))
		for _, h := range l.Others {
			a.Printf("  %s\n      %s\n", screen.Clean(h.Path), a.paragraph(screen.Clean(h.Why), 6))
		}
	}
	switch {
	case len(found) == 0:
		a.Printf("There are no hooks in %s.\n", l.Dir)
	case len(problems) == 0:
		a.Printf("%s; all of them can run.\n", screen.Count(len(found), "hook", "hooks"))
	default:
		a.Printf("%s of %s would fail.\n", paint.Red(fmt.Sprint(len(problems))), screen.Count(len(found), "hook", "hooks"))
	}
	return nil
}

// askHook asks what becomes of a hook that failed, while what shows the run holds its
// lines back. Nobody is asked with --yes and where others than people read.
func (a *app) askHook(ctx context.Context, q hook.Question) (hook.Answer, error) {
	p := theTerminal()
	if p == nil || a.JSON || a.yes {
		return "", runbook.ErrNoTerminal
	}
	if t := a.terminal; t != nil {
		t.hold()
		defer func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.release()
		}()
	}
	return p.hook(ctx, q)
}

func (p *prompter) hook(ctx context.Context, q hook.Question) (hook.Answer, error) {
	fmt.Fprintf(p.Out, "\n  The hook %s failed: %s\n", screen.Clean(q.Hook.Path), indent(screen.Clean(q.Err.Error())))
	others := ""
	if n := len(q.Left); n > 0 {
		others = " it and the " + screen.Count(n, "hook", "hooks") + " after it"
	}
	for {
		fmt.Fprintf(p.Out, "  [r] run it again, [i] ignore that and go on, [c] cancel%s: ", others)
		select {
		case <-ctx.Done():
			fmt.Fprintln(p.Out)
			return "", ctx.Err()
		case line, ok := <-p.Lines:
			switch line = screen.Answer(line); {
			case !ok:
				return "", runbook.ErrNoTerminal
			case line == "r" || line == "retry":
				return hook.Retry, nil
			case line == "i" || line == "ignore":
				return hook.Ignore, nil
			case line == "c" || line == "cancel":
				return hook.Cancel, nil
			}
		}
	}
}
