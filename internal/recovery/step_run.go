package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
)

// RunOptions is a command of a run step.
type RunOptions struct {
	Command []string `yaml:"command,omitempty" json:"command,omitempty" short:"true"`
	User    string   `yaml:"user,omitempty" json:"user,omitempty"`
	// Any lists alternatives; the first whose program is installed runs.
	Any [][]string `yaml:"any,omitempty" json:"any,omitempty"`
	// Background lets the run go on while the command works; the system is
	// then recovered with this job pending.
	Background bool   `yaml:"background,omitempty" json:"background,omitempty"`
	Log        string `yaml:"log,omitempty" json:"log,omitempty"` // where a background command writes
	ExpectExit int    `yaml:"expect_exit,omitempty" json:"expect_exit,omitempty"`
	Accept     []int  `yaml:"accept,omitempty" json:"accept,omitempty"` // further exit codes that are no failure
	// Attempts is how often the command is run until the step's done: holds.
	Attempts int `yaml:"attempts,omitempty" json:"attempts,omitempty"`

	title string // of the step, by which a background job is known
}

// Validate refuses a step without a command.
func (o *RunOptions) Validate() error {
	if (len(o.Command) == 0) == (len(o.Any) == 0) {
		return errors.New("needs either one command or any: with several")
	}
	return nil
}

// choose returns the argument list that applies on the machine.
func (o *RunOptions) choose(h *host.Host) ([]string, error) {
	if len(o.Command) > 0 {
		return o.Command, nil
	}
	var names []string
	for _, c := range o.Any {
		if len(c) == 0 {
			continue
		}
		if _, err := h.Look(c[0]); err == nil {
			return c, nil
		}
		names = append(names, c[0])
	}
	return nil, fmt.Errorf("none of the commands %s is installed", strings.Join(names, ", "))
}

func (o *RunOptions) lists() [][]string {
	if len(o.Command) > 0 {
		return [][]string{o.Command}
	}
	return o.Any
}

// here puts the alternative that is installed on the machine first.
func (o *RunOptions) here(h *host.Host) [][]string {
	lists := slices.Clone(o.lists())
	if first, err := o.choose(h); err == nil {
		slices.SortStableFunc(lists, func(a, b []string) int {
			return cmp.Compare(bit(!slices.Equal(a, first)), bit(!slices.Equal(b, first)))
		})
	}
	return lists
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// byHand writes the command out, and alternatives to it as comments. Exit codes
// that are well do not end a shell that stops at the first failure.
func (o *RunOptions) byHand(h *host.Host) string {
	lists := o.here(h)
	var well []string
	for _, code := range o.Accept {
		well = append(well, fmt.Sprintf("$? -eq %d", code))
	}
	if o.ExpectExit != 0 {
		well = append(well, fmt.Sprintf("$? -eq %d", o.ExpectExit))
	}
	var text strings.Builder
	if o.Attempts > 1 {
		text.WriteString("Run this again until it finds nothing more to do:\n\n")
	}
	text.WriteString("```sh\n" + commandLine(lists[0], o.User))
	if len(well) > 0 {
		text.WriteString(" || test " + strings.Join(well, " -o "))
	}
	text.WriteString("\n")
	for _, c := range lists[1:] {
		text.WriteString("# where that is not installed: " + commandLine(c, o.User) + "\n")
	}
	text.WriteString("```\n")
	return text.String()
}

func runStep() StepType {
	return StepType{
		Definition: profile.Definition{
			Summary: "runs a command, an argument list without a shell",
			Options: func() any { return &RunOptions{} },
		},
		Target: func(o any) string {
			lists := o.(*RunOptions).lists()
			return strings.Join(lists[0], " ")
		},
		Compile: func(r *Recovery, o any) (runbook.Step, error) {
			opts := o.(*RunOptions)
			lists := opts.lists()
			step := runbook.Step{Title: "Run " + strings.Join(lists[0], " ")}
			step.Hand = opts.byHand(r.Host)
			for _, c := range lists {
				step.Effects = append(step.Effects, strings.Join(c, " "))
			}
			step.Run = func(ctx context.Context, task runbook.Task) error {
				args, err := opts.choose(r.Host)
				if err != nil {
					return err
				}
				if opts.Background {
					return r.background(ctx, task, args, opts)
				}
				err = r.run(ctx, task, args, opts.User, opts.ExpectExit)
				var exit *host.ExitError
				if errors.As(err, &exit) && slices.Contains(opts.Accept, exit.Code) {
					task.Logf("exit code %d", exit.Code)
					return nil
				}
				return err
			}
			if opts.Background {
				step.Repeat = runbook.RepeatSafe // a running job is seen and not started twice
			}
			return step, nil
		},
	}
}

// run runs one command; its output goes line by line to the journal.
func (r *Recovery) run(ctx context.Context, task runbook.Task, args []string, user string, expect int) error {
	lines := &lineLogger{log: task.Logf}
	defer lines.flush()
	command := host.Command{Args: args, User: user, Stdout: lines, Stderr: lines}
	if lock := runbook.LockFile(ctx); lock != nil && !r.starts(args) {
		command.Files = []*os.File{lock}
	}
	return expectExit(r.Host.Run(ctx, command), expect)
}

// starts tells whether a command starts the system: daemons must not inherit
// the run's lock.
func (r *Recovery) starts(args []string) bool {
	commands, err := profile.Commands(r.Profile.Quiesce.Start, r.Scope(context.Background()))
	return err == nil && slices.ContainsFunc(commands, func(c []string) bool { return slices.Equal(c, args) })
}

func expectExit(err error, expect int) error {
	var exit *host.ExitError
	switch {
	case expect == 0 || ctxError(err):
		return err
	case errors.As(err, &exit) && exit.Code == expect:
		return nil
	case err == nil:
		return fmt.Errorf("exit code 0 where %d was expected", expect)
	}
	return err
}

func ctxError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func commandLine(args []string, user string) string {
	line := quoteAll(args)
	if user != "" {
		line = "runuser -u " + quote(user) + " -- " + line
	}
	return line
}

// ServiceOptions names services to stop or start, in order.
type ServiceOptions struct {
	Stop  []string `yaml:"stop,omitempty" json:"stop,omitempty"`
	Start []string `yaml:"start,omitempty" json:"start,omitempty"`
}

// Validate refuses an empty or a double step.
func (o *ServiceOptions) Validate() error {
	if (len(o.Stop) == 0) == (len(o.Start) == 0) {
		return errors.New("needs either stop or start")
	}
	return nil
}

func serviceStep() StepType {
	return StepType{
		Definition: profile.Definition{
			Summary: "stops or starts services by name",
			Options: func() any { return &ServiceOptions{} },
		},
		Target: func(o any) string {
			s := o.(*ServiceOptions)
			if len(s.Stop) > 0 {
				return "stop " + strings.Join(s.Stop, " ")
			}
			return "start " + strings.Join(s.Start, " ")
		},
		Compile: func(r *Recovery, o any) (runbook.Step, error) {
			opts := o.(*ServiceOptions)
			names, verb, act := opts.Start, "Start", r.Host.StartService
			if len(opts.Stop) > 0 {
				names, verb, act = opts.Stop, "Stop", r.Host.StopService
			}
			var hand []string
			for _, n := range names {
				hand = append(hand, "systemctl "+strings.ToLower(verb)+" "+quote(n))
			}
			return runbook.Step{
				Title:  verb + " " + strings.Join(names, ", "),
				Repeat: runbook.RepeatSafe, // stopping what is stopped and starting what runs change nothing
				Hand:   "```sh\n" + strings.Join(hand, "\n") + "\n```\n",
				Run: func(ctx context.Context, _ runbook.Task) error {
					for _, n := range names {
						if err := act(ctx, n); err != nil {
							return fmt.Errorf("%s service %s: %w", strings.ToLower(verb), n, err)
						}
					}
					return nil
				},
			}, nil
		},
	}
}

// lineLogger turns a command's output into journal lines of bounded length.
type lineLogger struct {
	log func(string, ...any)
	buf []byte
}

const maxLine = 2000

func (l *lineLogger) Write(p []byte) (int, error) {
	l.buf = append(l.buf, p...)
	for {
		i := strings.IndexByte(string(l.buf), '\n')
		if i < 0 && len(l.buf) > maxLine {
			i = maxLine
		}
		if i < 0 {
			return len(p), nil
		}
		l.log("%s", strings.TrimRight(string(l.buf[:i]), "\r"))
		l.buf = append(l.buf[:0], l.buf[min(i+1, len(l.buf)):]...)
	}
}

func (l *lineLogger) flush() {
	if len(l.buf) > 0 {
		l.log("%s", l.buf)
		l.buf = nil
	}
}
