package routine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// Standing is how a system's schedule stands on its machine.
type Standing struct {
	Form    string   `json:"form,omitempty"` // BySystemd or ByCron; "" while it is off
	Current bool     `json:"current"`        // the files are as they would be written now
	Missing []string `json:"missing,omitempty"`
	Changed []string `json:"changed,omitempty"` // by somebody
	// Left are files that are still there although the schedule needs them no longer.
	Left []string `json:"left,omitempty"`
	// Stopped are timers that are written and that systemd does not run.
	Stopped []string `json:"stopped,omitempty"`
	// Waiting says that systemd could not be told of it.
	Waiting bool `json:"waiting,omitempty"`
	// Idle are the jobs that nothing calls; all of them where it is waiting.
	Idle []string `json:"idle,omitempty"`
}

// IsOff says that the schedule was switched off, and that not all could be removed.
func (s Standing) IsOff() bool { return s.Form == "" && len(s.Left) > 0 }

// Problems tell what is not as the configuration has it, and what to do.
func (s Standing) Problems(system string) []string {
	var texts []string
	if len(s.Missing) > 0 {
		texts = append(texts, "the schedule is on, but "+several(s.Missing)+" not there, so not all of it is done; lifeboat schedule on "+system+" writes that again")
	}
	if s.Waiting {
		texts = append(texts, "the schedule is on, but systemd could not be told to begin; lifeboat schedule on "+system+" tries again and says why")
	}
	if len(s.Stopped) > 0 {
		texts = append(texts, "somebody has stopped "+strings.Join(s.Stopped, ", ")+", so not all of the schedule is done; systemctl start "+strings.Join(s.Stopped, " ")+" runs it again")
	}
	if len(s.Changed) > 0 {
		texts = append(texts, "somebody has changed "+strings.Join(s.Changed, ", ")+" since it was written, and what is done may not be what the configuration says; lifeboat schedule on "+system+" --force writes it again and keeps a copy")
	}
	if len(s.Left) > 0 {
		texts = append(texts, several(s.Left)+" still there although the schedule needs it no longer, as somebody has changed it; remove it by hand")
	}
	return texts
}

// several names files, with the verb that follows.
func several(files []string) string {
	text := strings.Join(files[:min(len(files), 3)], ", ")
	switch {
	case len(files) == 1:
		return text + " is"
	case len(files) > 3:
		return text + " and others are"
	}
	return text + " are"
}

// State looks how a system's schedule stands.
func (i Installer) State(ctx context.Context, system string, tasks []Task) (s Standing, err error) {
	known, err := i.known()
	if err != nil {
		return s, err
	}
	known = slices.DeleteFunc(known, func(e Entry) bool { return !i.of(e, system) })
	var on []Entry
	for _, e := range known {
		if !e.Off {
			on = append(on, e)
		} else if i.foundAs(e) != missing && !slices.Contains(s.Left, e.Path) {
			s.Left = append(s.Left, e.Path)
		}
	}
	if len(on) == 0 {
		return s, nil
	}
	s.Form, i.Cron = BySystemd, false
	if strings.HasPrefix(on[0].Path, cronDir) {
		s.Form, i.Cron = ByCron, true
	}
	for _, e := range on {
		s.Waiting = s.Waiting || e.Waiting
		switch state := i.foundAs(e); {
		case state == missing && !slices.Contains(s.Missing, e.Path):
			s.Missing = append(s.Missing, e.Path)
		case state == changed && !i.unchanged(e.Path, on) && !slices.Contains(s.Changed, e.Path):
			s.Changed = append(s.Changed, e.Path)
		}
	}
	if s.Stopped, err = i.stopped(ctx, s, on); err != nil {
		return s, err
	}
	files := i.files(system, tasks)
	s.Current = len(files) == len(on) && !s.Waiting && len(s.Stopped) == 0 && !slices.ContainsFunc(files, func(f Entry) bool {
		return !slices.ContainsFunc(on, f.same) || i.foundAs(f) != asWritten
	})
	for _, t := range tasks {
		idle := s.Waiting || slices.ContainsFunc(s.Missing, func(file string) bool {
			return s.Form == ByCron || strings.TrimSuffix(strings.TrimSuffix(path.Base(file), ".service"), ".timer") == i.Program.unitName(t)
		}) || slices.Contains(s.Stopped, i.Program.unitName(t)+".timer")
		if idle {
			s.Idle = append(s.Idle, t.Name)
		}
	}
	return s, nil
}

// stopped are the timers that a running systemd has and does not run.
func (i Installer) stopped(ctx context.Context, s Standing, on []Entry) (stopped []string, err error) {
	if s.Form != BySystemd || s.Waiting || !i.Host.IsLocal() || !i.Host.RunsSystemd() {
		return nil, nil
	}
	var files []string
	for _, e := range on {
		if !slices.Contains(s.Missing, e.Path) && !slices.Contains(s.Missing, wantsDir+path.Base(e.Path)) {
			files = append(files, e.Path)
		}
	}
	for _, timer := range timers(files) {
		active, err := i.Host.ServiceActive(ctx, timer)
		if err != nil {
			return nil, err
		}
		if !active {
			stopped = append(stopped, timer)
		}
	}
	return stopped, nil
}

type found int

const (
	missing found = iota
	asWritten
	changed
)

// foundAs looks whether a file is as it was written.
func (i Installer) foundAs(e Entry) found {
	at, err := i.Host.Entry(e.Path)
	if err != nil {
		return changed
	}
	info, err := os.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing
	case err != nil:
		return changed
	case e.Link != "":
		if to, err := os.Readlink(at); err != nil || to != e.Link {
			return changed
		}
		return asWritten
	case !info.Mode().IsRegular() || info.Size() > maxRecord:
		return changed
	}
	text, err := os.ReadFile(at)
	if sum := sha256.Sum256(text); err != nil || hex.EncodeToString(sum[:]) != e.Sum {
		return changed
	}
	return asWritten
}
