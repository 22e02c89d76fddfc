package routine

import (
	"fmt"
	"hash/fnv"
	"path/filepath"
	"strconv"
	"strings"

	"lifeboat/internal/config"
)

// Program is how this program is called by others than a person.
type Program struct {
	Path     string // absolute
	Config   string // absolute
	StateDir string // "" is that of the configuration
}

// Validate refuses a path of the program that systemd or cron cannot start.
func (p Program) Validate() error {
	for _, path := range []string{p.Path, p.Config} {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("%q is not an absolute path", path)
		}
	}
	// systemd takes no quotes and no references in the path of a program.
	if strings.ContainsAny(p.Path, "\"'\\$%") || unprintable(p.Path) {
		return fmt.Errorf("systemd and cron start no program at %q; install lifeboat at another place", p.Path)
	}
	for _, path := range []string{p.Config, p.StateDir} {
		if strings.Contains(path, "\\") || unprintable(path) {
			return fmt.Errorf("cron takes no backslashes and control characters, as in %q; put the file at another place", path)
		}
	}
	return nil
}

func unprintable(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) })
}

// arguments of a call with a verb.
func (p Program) arguments(verb ...string) []string {
	args := []string{p.Path, "--config", p.Config}
	if p.StateDir != "" {
		args = append(args, "--state-dir", p.StateDir)
	}
	return append(args, verb...)
}

// mark tells the units of one configuration from those of another: nothing for the
// usual one.
func (p Program) mark(between string) string {
	if p.Config == config.DefaultFile {
		return ""
	}
	h := fnv.New32a()
	h.Write([]byte(p.Config))
	return fmt.Sprintf("%s%08x", between, h.Sum32())
}

// header says where a file comes from.
func (p Program) header() string {
	return fmt.Sprintf("# Written by `lifeboat schedule on` from %s, and removed by `lifeboat schedule off`.\n", p.Config)
}

// unitName is the name of a task's units without an ending. A job's name has no
// dot and begins with a word that no mark is, so no two tasks have the same.
func (p Program) unitName(t Task) string { return "lifeboat-" + t.System + "." + t.Name + p.mark(".") }

// BusyPatience is how long a timer's run waits for another one of its system.
const BusyPatience = "12h"

// service is the unit that a timer starts, systemd.service(5).
func (p Program) service(t Task) string {
	text := p.header() + `[Unit]
Description=Lifeboat: ` + t.Name + ` of ` + t.System + `
Documentation=man:lifeboat-schedule(8)
Wants=network-online.target
After=local-fs.target remote-fs.target network-online.target time-sync.target

[Service]
Type=oneshot
ExecStart=` + quoteUnit(p.arguments("schedule", "run", t.System, t.Name, "--wait", BusyPatience)) + `
# Done with warnings: ` + "`lifeboat status`" + ` tells of them.
SuccessExitStatus=3
UMask=0077
TimeoutStopSec=15min
`
	switch t.Kind() {
	case config.JobBackup:
		// Whatever is denied here would be denied to the services that a backup
		// starts again, and the guard that starts them must outlive it.
		return text + "KillMode=process\n"
	case config.JobDrill:
		// It mounts, makes namespaces and runs the product, whose programs may change
		// users. Stopped, it takes its sandbox down before the rest is killed.
		return text + "KillMode=mixed\n"
	}
	return text + `NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
ProtectHostname=yes
ProtectClock=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
`
}

// timer is the unit that starts the service, systemd.timer(5).
func (p Program) timer(t Task) string {
	var b strings.Builder
	b.WriteString(p.header() + `[Unit]
Description=Lifeboat: ` + t.Name + ` of ` + t.System + `
Documentation=man:lifeboat-schedule(8)

[Timer]
`)
	for _, event := range t.Times.Events() {
		b.WriteString("OnCalendar=" + event + "\n")
	}
	if t.Job.CatchesUp() {
		b.WriteString("Persistent=true\n")
	}
	if t.Job.RandomDelay > 0 {
		fmt.Fprintf(&b, "RandomizedDelaySec=%d\n", int64(t.Job.RandomDelay.Seconds()))
	}
	b.WriteString("\n[Install]\nWantedBy=timers.target\n")
	return b.String()
}

// quoteUnit writes arguments as ExecStart takes them, systemd.service(5). The
// program's path, where references are not replaced, has none of these characters.
func quoteUnit(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		arg = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(arg)
		if arg == "" || strings.Trim(arg, safe) != "" {
			arg = `"` + arg + `"`
		}
		words[i] = arg
	}
	return strings.Join(words, " ")
}

// safe are the characters that need no quotes anywhere.
const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:=,+@"

// cronName is the file of a system. cron of Debian reads only files whose names have
// letters, digits, hyphens and underscores.
func (p Program) cronName(system string) string {
	return "lifeboat-" + strings.NewReplacer("_", "__", ".", "_d").Replace(system) + p.mark("_c")
}

// cron is the file of a system for cron, crontab(5). It looks again and again what
// is due, and so finds what was missed.
func (p Program) cron(system string) string {
	words := p.arguments("schedule", "run", system, "--due")
	for i, word := range words {
		if strings.Trim(word, safe) != "" {
			words[i] = "'" + strings.ReplaceAll(word, "'", `'"'"'`) + "'"
		}
	}
	command := strings.ReplaceAll(strings.Join(words, " "), "%", `\%`) // else it ends the line
	return p.header() + `SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
` + fmt.Sprintf("*/%d * * * * root %s\n", int(Grid.Minutes()), command)
}
