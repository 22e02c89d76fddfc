package routine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/config"
	"lifeboat/internal/host"
)

const conf = `
repositories:
  - {name: main, url: /srv/lifeboat, password: {file: /etc/lifeboat/password}}
  - {name: away, url: 'sftp:b@example.org:/x', password: {file: /etc/lifeboat/password}}
systems:
  - name: smt
    profile: smt
    repositories: [main, away]
    retention: {daily: 7}
    schedule:
      backup: daily 02:22
      backup-large: {at: Sun 03:00, components: [package-tree], random_delay: 30m, limit: {upload: 5M}}
      verify: {at: "0 5 1 * 6", read_data: 5%, persistent: false}
      prune: Sun 06:00
      drill: {at: Sun 08:00, depth: quick, nice: 10, limit: {download: 20M}}
      drill-more: {at: "*-*-01 08:00", random_subset: 2.5%}
      copy: {at: "*:0/30", limit: {upload: 6M}}
  - {name: a-b, profile: smt}
  - {name: a, profile: smt, schedule: {backup-b: 01:00}}
  - {name: none.at_all, profile: smt}
`

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("lifeboat.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tasksOf(t *testing.T, c *config.Config, system string) []Task {
	t.Helper()
	s, ok := c.System(system)
	if !ok {
		t.Fatalf("no system %s", system)
	}
	tasks, err := Tasks(c, s)
	if err != nil {
		t.Fatal(err)
	}
	return tasks
}

// machineBelow is a machine below a root, with systemd or with cron.
func machineBelow(t *testing.T, systemd bool, configFile string) (Installer, string) {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"etc/cron.d", "etc/systemd/system", "usr/lib/systemd", "state"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if systemd {
		if err := os.WriteFile(filepath.Join(root, "usr/lib/systemd/systemd"), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h, err := host.At(root)
	if err != nil {
		t.Fatal(err)
	}
	return Installer{Host: h, Program: Program{Path: "/usr/local/sbin/lifeboat", Config: configFile}, Book: NewBook(filepath.Join(root, "state"))}, root
}

func filesBelow(t *testing.T, root string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(filepath.Join(root, "etc"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, root))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

const odd = `/etc/it's "50%" $HOME/süd ost/life boat.yaml`

func TestOnAndOff(t *testing.T) {
	c := parse(t, conf)
	for name, systemd := range map[string]bool{BySystemd: true, ByCron: false} {
		t.Run(name, func(t *testing.T) {
			one, root := machineBelow(t, systemd, config.DefaultFile)
			other := one
			other.Program.Config = odd
			written := map[string]bool{}
			for _, i := range []Installer{one, other} {
				for _, system := range c.SystemNames() {
					changes, err := i.On(t.Context(), system, tasksOf(t, c, system))
					if err != nil {
						t.Fatal(err)
					}
					for _, file := range changes.Written {
						if written[file] {
							t.Errorf("%s is written for two", file)
						}
						written[file] = true
					}
					again, err := i.On(t.Context(), system, tasksOf(t, c, system))
					if err != nil || len(again.Written)+len(again.Removed)+len(again.Kept) != 0 {
						t.Errorf("again: %+v %v", again, err)
					}
					if now, err := i.State(t.Context(), system, tasksOf(t, c, system)); now.Form != name || !now.Current || err != nil {
						t.Errorf("%s: %+v, %v", system, now, err)
					}
				}
			}
			if got := filesBelow(t, root); len(got) != len(written) {
				t.Errorf("%d files, %d written:\n%s", len(got), len(written), strings.Join(got, "\n"))
			}
			if systems, err := other.Systems(); err != nil || len(systems) != 4 {
				t.Errorf("%v, %v", systems, err)
			}
			for _, system := range c.SystemNames() {
				if _, err := one.Off(t.Context(), system); err != nil {
					t.Fatal(err)
				}
			}
			if got := filesBelow(t, root); len(got) != len(written)/2 {
				t.Errorf("after off of one configuration:\n%s", strings.Join(got, "\n"))
			}
			for _, system := range c.SystemNames() {
				if _, err := other.Off(t.Context(), system); err != nil {
					t.Fatal(err)
				}
			}
			if got := filesBelow(t, root); len(got) != 0 {
				t.Errorf("left: %v", got)
			}
		})
	}
}

// A changed configuration takes the files along that it needs no longer.
func TestChanges(t *testing.T) {
	i, root := machineBelow(t, true, config.DefaultFile)
	c := parse(t, conf)
	if _, err := i.On(t.Context(), "smt", tasksOf(t, c, "smt")); err != nil {
		t.Fatal(err)
	}
	c = parse(t, strings.Replace(strings.Replace(conf, "daily 02:22", "daily 01:22", 1), "      prune: Sun 06:00\n", "", 1))
	tasks := tasksOf(t, c, "smt")
	if now, err := i.State(t.Context(), "smt", tasks); now.Form != BySystemd || now.Current || err != nil {
		t.Errorf("%+v %v", now, err)
	}
	changes, err := i.On(t.Context(), "smt", tasks)
	if err != nil || !slices.Equal(changes.Written, []string{unitDir + "lifeboat-smt.backup.timer"}) || len(changes.Removed) != 3 {
		t.Errorf("%+v, %v", changes, err)
	}
	// From systemd to cron.
	i.Cron = true
	if changes, err = i.On(t.Context(), "smt", tasks); err != nil || len(changes.Written) != 1 || len(changes.Removed) != 18 {
		t.Errorf("%+v, %v", changes, err)
	}
	if now, err := i.State(t.Context(), "smt", tasks); now.Form != ByCron || !now.Current || err != nil {
		t.Errorf("%+v %v", now, err)
	}
	// Nothing is left to do.
	if changes, err = i.On(t.Context(), "smt", nil); err != nil || len(changes.Removed) != 1 || len(filesBelow(t, root)) != 0 {
		t.Errorf("%+v, %v", changes, err)
	}
}

func TestOthersFiles(t *testing.T) {
	i, root := machineBelow(t, true, config.DefaultFile)
	tasks := tasksOf(t, parse(t, conf), "a")
	timer := filepath.Join(root, unitDir, "lifeboat-a.backup-b.timer")
	if err := os.WriteFile(timer, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := i.On(t.Context(), "a", tasks); !errors.Is(err, ErrForeign) {
		t.Errorf("over somebody's file: %v", err)
	}
	if got := filesBelow(t, root); len(got) != 1 {
		t.Errorf("written all the same: %v", got)
	}
	if err := os.Remove(timer); err != nil {
		t.Fatal(err)
	}
	if _, err := i.On(t.Context(), "a", tasks); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(timer, []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	changes, err := i.Off(t.Context(), "a")
	if err != nil || len(changes.Removed) != 2 || !slices.Equal(changes.Kept, []string{unitDir + "lifeboat-a.backup-b.timer"}) {
		t.Errorf("%+v %v", changes, err)
	}
	// It is not forgotten while it is there.
	if changes, err = i.Off(t.Context(), "a"); err != nil || len(changes.Kept) != 1 {
		t.Errorf("%+v %v", changes, err)
	}
	// A link in the place of a file is not followed.
	if err := os.Remove(timer); err != nil {
		t.Fatal(err)
	}
	if _, err := i.On(t.Context(), "a", tasks); err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(root, "etc/victim")
	if err := errors.Join(os.WriteFile(victim, []byte("whole"), 0o600), os.Remove(timer), os.Symlink("/etc/victim", timer)); err != nil {
		t.Fatal(err)
	}
	if _, err := i.On(t.Context(), "a", tasks); !errors.Is(err, ErrChanged) {
		t.Errorf("over a link in its place: %v", err)
	}
	i.Force = true
	if _, err := i.On(t.Context(), "a", tasks); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "whole" {
		t.Errorf("%q, %v", text, err)
	}
}

// What somebody has made of a file stays, or is kept beside it when that is asked for.
func TestChangedByHand(t *testing.T) {
	for form, file := range map[string]string{BySystemd: unitDir + "lifeboat-a.backup-b.service", ByCron: cronDir + "lifeboat-a"} {
		i, root := machineBelow(t, form == BySystemd, config.DefaultFile)
		tasks := tasksOf(t, parse(t, conf), "a")
		on := func() Changes {
			t.Helper()
			changes, err := i.On(t.Context(), "a", tasks)
			if err != nil {
				t.Fatal(err)
			}
			return changes
		}
		on()
		for n := 1; n <= 2; n++ {
			mine := []byte(strings.Repeat("mine\n", n))
			if err := os.WriteFile(filepath.Join(root, file), mine, 0o644); err != nil {
				t.Fatal(err)
			}
			i.Force = false
			_, err := i.On(t.Context(), "a", tasks)
			if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "systemctl edit lifeboat-a.backup-b.service") != (form == BySystemd) {
				t.Errorf("%s: %v", form, err)
			}
			if text, err := os.ReadFile(filepath.Join(root, file)); err != nil || !slices.Equal(text, mine) {
				t.Errorf("%s: %q, %v", form, text, err)
			}
			i.Force = true
			kept := fmt.Sprintf("%s.~%d~", file, n)
			if changes := on(); !slices.Equal(changes.Aside, []string{kept}) || !slices.Equal(changes.Written, []string{file}) {
				t.Errorf("%s: %+v", form, changes)
			}
			if text, err := os.ReadFile(filepath.Join(root, kept)); err != nil || !slices.Equal(text, mine) {
				t.Errorf("%s: %q, %v", form, text, err)
			}
		}
		if changes := on(); len(changes.Written)+len(changes.Aside) != 0 {
			t.Errorf("%s: again: %+v", form, changes)
		}
	}
}

func TestProgramsThatCannotBeStarted(t *testing.T) {
	for _, p := range []Program{{Path: "lifeboat", Config: "/c"}, {Path: "/l", Config: "c"}, {Path: `/a"b`, Config: "/c"}, {Path: "/a%b", Config: "/c"}, {Path: "/l", Config: "/a\nb"}, {Path: "/l", Config: `/a\b`}} {
		i, _ := machineBelow(t, true, p.Config)
		i.Program = p
		if _, err := i.On(t.Context(), "a", tasksOf(t, parse(t, conf), "a")); err == nil {
			t.Errorf("%+v is taken", p)
		}
	}
}

// TestSystemdTakesTheUnits has systemd judge the units, odd names included.
func TestSystemdTakesTheUnits(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("needs systemd-analyze (package systemd): reads units and timers")
	}
	c := parse(t, conf)
	dir := t.TempDir()
	program := filepath.Join(dir, "life boat")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var units []string
	for _, configFile := range []string{config.DefaultFile, odd} {
		for _, system := range c.SystemNames() {
			for _, task := range tasksOf(t, c, system) {
				p := Program{Path: program, Config: configFile, StateDir: "/var/lib/life boat"}
				for ending, text := range map[string]string{".service": p.service(task), ".timer": p.timer(task)} {
					unit := filepath.Join(dir, p.unitName(task)+ending)
					if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
					units = append(units, unit)
				}
			}
		}
	}
	command := exec.Command(tool, append([]string{"verify", "--man=no"}, units...)...)
	command.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL=warning")
	out, err := command.CombinedOutput()
	var ours []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "lifeboat-") || strings.Contains(line, dir) {
			ours = append(ours, line)
		}
	}
	if err != nil || len(ours) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestQuoting(t *testing.T) {
	p := Program{Path: "/usr/local/sbin/life boat", Config: odd}
	task := tasksOf(t, parse(t, conf), "a")[0]
	want := `ExecStart="/usr/local/sbin/life boat" --config "/etc/it's \"50%%\" $$HOME/süd ost/life boat.yaml" schedule run a backup-b --wait 12h` + "\n"
	if got := p.service(task); !strings.Contains(got, want) {
		t.Errorf("%s\nlacks\n%s", got, want)
	}
	// The line of cron, as cron hands it to the shell.
	lines := strings.Split(strings.TrimSpace(p.cron("a")), "\n")
	line := strings.ReplaceAll(strings.SplitN(lines[len(lines)-1], " ", 7)[6], `\%`, "%")
	out, err := exec.Command("sh", "-c", `printf '%s\n' `+line).Output()
	if err != nil || string(out) != strings.Join(p.arguments("schedule", "run", "a", "--due"), "\n")+"\n" {
		t.Errorf("%s\n%s%v", line, out, err)
	}
}
