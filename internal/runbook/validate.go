package runbook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// name is what a system may be called: it becomes part of file names.
var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$`)

// idForm is what a run may be called: its id is the name of a directory.
var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,240}$`)

// Validate checks the runbook's own consistency: ids that are unique, needs
// that exist, stand in no later stage and close no circle. Errors wrap
// ErrInvalid and name what is wrong.
func (rb Runbook) Validate() error {
	if !name.MatchString(rb.System) {
		return fmt.Errorf("%w: system name %q: letters, digits and ._@+- only", ErrInvalid, rb.System)
	}
	if !name.MatchString(rb.Kind) {
		return fmt.Errorf("%w: kind %q", ErrInvalid, rb.Kind)
	}
	stageOf := map[string]int{}
	needs := map[string][]string{}
	var order []string
	for i, st := range rb.Stages {
		for _, s := range st.Steps {
			if s.ID == "" {
				return fmt.Errorf("%w: a step of stage %s has no id (title %q)", ErrInvalid, st.Name, s.Title)
			}
			if first, twice := stageOf[s.ID]; twice {
				return fmt.Errorf("%w: step %s stands twice, in stages %s and %s", ErrInvalid, s.ID, rb.Stages[first].Name, st.Name)
			}
			stageOf[s.ID] = i
			needs[s.ID] = slices.Concat(s.Needs, s.After)
			order = append(order, s.ID)
		}
	}
	if circle := findCircle(order, needs); circle != nil {
		return fmt.Errorf("%w: steps need each other: %s", ErrInvalid, strings.Join(circle, " → "))
	}
	for _, id := range order {
		for _, need := range needs[id] {
			at, known := stageOf[need]
			if !known {
				return fmt.Errorf("%w: step %s needs %s, which does not exist", ErrInvalid, id, need)
			}
			if at > stageOf[id] {
				return fmt.Errorf("%w: step %s of stage %s needs %s of the later stage %s", ErrInvalid,
					id, rb.Stages[stageOf[id]].Name, need, rb.Stages[at].Name)
			}
		}
	}
	return nil
}

// findCircle returns the ids of one circle of needs, its first id repeated at
// the end, or nil.
func findCircle(order []string, needs map[string][]string) []string {
	const (
		onPath = 1
		clear  = 2
	)
	mark := map[string]int{}
	var path []string
	var visit func(id string) []string
	visit = func(id string) []string {
		switch mark[id] {
		case clear:
			return nil
		case onPath:
			return append(slices.Clone(path[slices.Index(path, id):]), id)
		}
		mark[id] = onPath
		path = append(path, id)
		for _, need := range needs[id] {
			if circle := visit(need); circle != nil {
				return circle
			}
		}
		path = path[:len(path)-1]
		mark[id] = clear
		return nil
	}
	for _, id := range order {
		if circle := visit(id); circle != nil {
			return circle
		}
	}
	return nil
}

// Digest identifies the runbook's structure: kind, system, stages, step ids,
// order and what kind of step each is. Titles and texts do not count.
func (rb Runbook) Digest() string {
	type step struct {
		ID                             string
		Needs, After                   []string
		Manual, Reboot, Each, Undo, Do bool
	}
	type stage struct {
		Name   string
		Always bool
		Steps  []step
	}
	stages := make([]stage, 0, len(rb.Stages))
	for _, st := range rb.Stages {
		out := stage{Name: st.Name, Always: st.Always}
		for _, s := range st.Steps {
			out.Steps = append(out.Steps, step{
				ID: s.ID, Needs: s.Needs, After: s.After, Manual: s.Confirm != "", Reboot: s.Reboot,
				Each: s.EachTime, Undo: s.Undo != nil, Do: s.Run != nil,
			})
		}
		stages = append(stages, out)
	}
	data, err := json.Marshal([]any{rb.Kind, rb.System, stages})
	if err != nil {
		panic(err) // plain strings and booleans always encode
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
