// Package routine is what goes on without anybody: when the jobs of a system are
// due, how the machine is told, and what became of them. It says which command
// lines a job is and starts none of them; what a backup or a verify is belongs to
// other rooms.
package routine

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/config/calendar"
)

// Task is one job of one system.
type Task struct {
	System   string
	Name     string // of the job in the schedule
	Job      config.Job
	Times    calendar.Calendar
	Commands [][]string // arguments of lifeboat, done one after the other
}

// Kind is what the task does.
func (t Task) Kind() string { return config.JobKind(t.Name) }

// order is in which tasks that are due at once are done: what a backup makes is
// copied, verified and rehearsed, and what is old goes last;
// then it is told how all stands.
var order = []string{config.JobBackup, config.JobCopy, config.JobVerify, config.JobDrill, config.JobPrune, config.JobStatus}

// Tasks lists the jobs of a system in the order in which they are done. An error
// names the jobs that the configuration leaves nothing to do for.
func Tasks(c *config.Config, s config.System) ([]Task, error) {
	var tasks []Task
	var errs []error
	jobs := c.ScheduleOf(s)
	for _, name := range slices.Sorted(maps.Keys(jobs)) {
		t := Task{System: s.Name, Name: name, Job: jobs[name]}
		var err error
		if t.Times, err = t.Job.Calendar(); err == nil {
			t.Commands, err = commands(c, s, t)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("system %s: schedule: %s: %w", s.Name, name, err))
		}
		tasks = append(tasks, t)
	}
	slices.SortStableFunc(tasks, func(a, b Task) int {
		return slices.Index(order, a.Kind()) - slices.Index(order, b.Kind())
	})
	return tasks, errors.Join(errs...)
}

// commands are the command lines of a job.
func commands(c *config.Config, s config.System, t Task) ([][]string, error) {
	var lines [][]string
	add := func(words ...string) {
		if up := t.Job.Limit.Upload; up != "" {
			words = append(words, "--limit-upload="+string(up))
		}
		if down := t.Job.Limit.Download; down != "" {
			words = append(words, "--limit-download="+string(down))
		}
		lines = append(lines, words)
	}
	list := c.RepositoriesOf(s)
	if len(list) == 0 {
		return nil, errors.New("the system has no repository")
	}
	switch t.Kind() {
	case config.JobBackup:
		words := []string{"backup", s.Name, "--trigger=scheduled"}
		choice := c.ScheduleOf(s).Choice(t.Name)
		for _, name := range slices.Sorted(maps.Keys(choice)) {
			if choice[name] {
				words = append(words, "--with="+name)
			} else {
				words = append(words, "--without="+name)
			}
		}
		add(words...)
	case config.JobCopy:
		if len(list) < 2 {
			return nil, errors.New("the system has no second repository to copy to (lifeboat init --second URL makes one)")
		}
		for _, r := range list[1:] {
			add("copy", s.Name, "--to="+r.Name)
		}
	case config.JobVerify:
		for _, r := range list {
			words := []string{"verify", s.Name, "--repository=" + r.Name}
			switch t.Job.ReadData {
			case "":
			case "all":
				words = append(words, "--read-data")
			default:
				words = append(words, "--read-data-subset="+t.Job.ReadData)
			}
			add(words...)
		}
	case config.JobDrill:
		words := []string{"drill", s.Name}
		switch {
		case t.Job.RandomSubset != 0:
			words = append(words, "--random-subset="+t.Job.RandomSubset.String())
		case t.Job.Depth != "":
			words = append(words, "--"+t.Job.Depth)
		}
		add(words...)
	case config.JobStatus:
		if len(c.Notices) == 0 {
			return nil, errors.New("nobody would be told: there are no notices in the configuration")
		}
		lines = append(lines, []string{"status", s.Name, "--notify"})
	case config.JobPrune:
		for _, r := range list {
			if !c.Retention(s, r.Name).IsZero() {
				add("forget", s.Name, "--prune", "--repository="+r.Name)
			}
		}
		if len(lines) == 0 {
			return nil, errors.New("no retention says what goes (retention: {daily: 14, weekly: 8})")
		}
	}
	return lines, nil
}

// Grid is how often cron looks whether something is due.
const Grid = 10 * time.Minute

// Due is when the task is to be done next, given its record: in the past where that
// was missed. machine makes the random delay of one machine differ from another's.
func (t Task) Due(r Record, now time.Time, machine string) time.Time {
	last := r.Since
	if r.Started.After(last) {
		last = r.Started
	}
	if last.After(now) {
		return now // the clock was put back; a run puts the record right
	}
	delay := t.delay(machine)
	due := t.Times.Next(last.In(now.Location()).Add(-delay)).Add(delay)
	if missed := now.Sub(due); missed > 2*Grid && !t.Job.CatchesUp() {
		due = t.Times.Next(now.Add(-delay - 2*Grid)).Add(delay)
	}
	return due
}

// delay is this machine's share of the random delay: always the same one, so that
// a day lies between two daily runs.
func (t Task) delay(machine string) time.Duration {
	if t.Job.RandomDelay <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(strings.Join([]string{machine, t.System, t.Name}, "\x00")))
	return time.Duration(h.Sum64() % uint64(t.Job.RandomDelay)).Truncate(time.Second)
}
