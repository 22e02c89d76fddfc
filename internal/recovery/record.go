package recovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
)

// maxRecord bounds what is kept of one answer, in rows.
const maxRecord = 100_000

// Records asks the running system, at backup time, every question whose answer
// a recovery will compare: name → rows. What cannot be asked is a warning.
func Records(ctx context.Context, h *host.Host, p *profile.Profile, scope profile.Scope, database func(name string) (component.Querier, error)) (records map[string][][]string, warnings []string) {
	records = map[string][][]string{}
	for _, stage := range p.Recovery.Stages() {
		for _, step := range stage.Steps {
			o, ok := step.Options.(*CheckOptions)
			if !ok {
				continue
			}
			if ctx.Err() != nil {
				return records, warnings
			}
			if step.When != "" {
				if applies, err := profile.Expr(step.When, scope); err != nil || !applies {
					continue // a condition over the point cannot be decided yet, or it does not apply
				}
			}
			name, rows, err := recordOne(ctx, h, o, scope, database)
			switch {
			case err != nil:
				warnings = append(warnings, fmt.Sprintf("%s could not be recorded for comparison: %v", name, err))
			case name != "":
				records[name] = rows
			}
		}
	}
	return records, warnings
}

func recordOne(ctx context.Context, h *host.Host, o *CheckOptions, scope profile.Scope, database func(string) (component.Querier, error)) (string, [][]string, error) {
	expanded, err := profile.ExpandOptions(o, scope.Settings)
	if err != nil {
		return o.title(), nil, err
	}
	o = expanded.(*CheckOptions)
	switch {
	case o.Command != nil && o.Command.Records != "" && !h.IsLocal():
		return "", nil, nil // nothing runs below another root
	case o.Command != nil && o.Command.Records != "":
		rows, err := commandRows(ctx, h, o.Command)
		if errors.Is(err, errNotInstalled) {
			return "", nil, nil
		}
		return o.Command.Records, rows, err
	case o.SQL != nil && o.SQL.Records != "":
		db, err := database(o.SQL.Component)
		if errors.Is(err, ErrInapplicable) {
			return "", nil, nil
		}
		if err != nil {
			return o.SQL.Records, nil, err
		}
		rows, err := db.Query(ctx, o.SQL.Query)
		return o.SQL.Records, rows, err
	}
	return "", nil, nil
}

// ErrInapplicable says that a machine does not have a component by its condition.
var ErrInapplicable = errors.New("does not apply to this machine")

var errNotInstalled = errors.New("not installed")

// commandRows runs a reading command and returns its lines without blank ones
// and without the frame that ASCII tables have.
func commandRows(ctx context.Context, h *host.Host, o *CommandCheck) ([][]string, error) {
	args, err := o.call().choose(h)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotInstalled, err)
	}
	var out bytes.Buffer
	err = h.Run(ctx, host.Command{Args: args, User: o.User, Stdout: &out})
	if err := expectExit(err, o.ExpectExit); err != nil {
		return nil, err
	}
	var rows [][]string
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSpace(line)
		if strings.Trim(line, "+-.'|= ") == "" {
			continue
		}
		if len(rows) == maxRecord {
			return nil, fmt.Errorf("more than %d lines", maxRecord)
		}
		rows = append(rows, []string{line})
	}
	return rows, nil
}

func (r *Recovery) commandCheck(ctx context.Context, o *CheckOptions) ([]runbook.Check, error) {
	rows, err := commandRows(ctx, r.Host, o.Command)
	if ctxError(err) {
		return nil, err
	}
	if err != nil {
		return []runbook.Check{{Name: o.title(), Expected: "works", Found: err.Error()}}, nil
	}
	if o.Command.Records == "" {
		return []runbook.Check{{Name: o.title(), OK: true, Expected: "works", Found: fmt.Sprintf("works, %d lines", len(rows))}}, nil
	}
	return []runbook.Check{r.compareRows(o, o.Command.Records, rows)}, nil
}

func (r *Recovery) sqlCheck(ctx context.Context, task runbook.Task, o *CheckOptions) ([]runbook.Check, error) {
	db, err := r.database(ctx, task, o.SQL.Component)
	if err != nil {
		return nil, err
	}
	rows, err := db.Query(ctx, o.SQL.Query)
	if err != nil {
		return nil, err
	}
	if o.SQL.Records != "" {
		return []runbook.Check{r.compareRows(o, o.SQL.Records, rows)}, nil
	}
	found := ""
	if len(rows) > 0 && len(rows[0]) > 0 {
		found = rows[0][0]
	}
	return []runbook.Check{{Name: o.title(), OK: o.SQL.Equals == "" || found == o.SQL.Equals, Expected: o.SQL.Equals, Found: found}}, nil
}

// compareRows compares an answer with the one kept at backup, whatever the order
// of the rows. A difference is a warning: data moves on between the two, unless the
// system stood still.
func (r *Recovery) compareRows(o *CheckOptions, name string, rows [][]string) runbook.Check {
	check := runbook.Check{Name: o.title()}
	then, ok := r.Manifest.Records[name]
	unit := o.unit()
	check.Found = fmt.Sprintf("%d %s", len(rows), unit)
	if !ok {
		check.OK, check.Expected = true, "not recorded at backup"
		return check
	}
	check.Expected = fmt.Sprintf("%d %s as at backup", len(then), unit)
	if name := r.Given[NewName]; name != "" {
		then = renamedRows(then, r.Manifest.Identity["server_id"], name)
		check.Expected += ", the new name in place of the old"
	}
	missing, added := difference(then, rows)
	check.OK = len(missing) == 0 && len(added) == 0
	if !check.OK {
		check.Warning = !r.Still || len(missing) == 0
		check.Found = fmt.Sprintf("%d %s, %d of the backup's missing, %d new%s", len(rows), unit, len(missing), len(added), example(missing, added))
	}
	return check
}

// unit is what an answer is counted in. An answer that counts itself has a row for
// each group, and a table has more than those.
func (o *CheckOptions) unit() string {
	if o.SQL != nil && strings.Contains(strings.ToUpper(o.SQL.Query), "GROUP BY") {
		return "groups"
	}
	return "rows"
}

// renamedRows puts the new name of a system wherever the old one is a whole cell.
func renamedRows(rows [][]string, old, now string) [][]string {
	out := make([][]string, len(rows))
	for i, row := range rows {
		out[i] = slices.Clone(row)
		for j, cell := range row {
			if cell == old {
				out[i][j] = now
			}
		}
	}
	return out
}

func difference(then, now [][]string) (missing, added []string) {
	count := map[string]int{}
	for _, row := range then {
		count[strings.Join(row, "\t")]++
	}
	for _, row := range now {
		count[strings.Join(row, "\t")]--
	}
	for row, n := range count {
		switch {
		case n > 0:
			missing = append(missing, row)
		case n < 0:
			added = append(added, row)
		}
	}
	slices.Sort(missing)
	slices.Sort(added)
	return missing, added
}

func example(missing, added []string) string {
	if len(missing) > 0 {
		return ", for example missing: " + missing[0]
	}
	if len(added) > 0 {
		return ", for example new: " + added[0]
	}
	return ""
}

// SQLOptions is a changing statement of a sql step.
type SQLOptions struct {
	Component string `yaml:"component" json:"component"`
	Statement string `yaml:"statement" json:"statement"`
}

func sqlStep() StepType {
	return StepType{
		Definition: profile.Definition{
			Summary:    "runs one statement in a database component",
			Options:    func() any { return &SQLOptions{} },
			Components: func(o any) []string { return []string{o.(*SQLOptions).Component} },
		},
		Target: func(o any) string { return o.(*SQLOptions).Component },
		Compile: func(r *Recovery, o any) (runbook.Step, error) {
			opts := o.(*SQLOptions)
			return runbook.Step{
				Title: "Run in " + opts.Component + ": " + opts.Statement,
				Hand:  "```sql\n" + opts.Statement + ";\n```\n",
				Run: func(ctx context.Context, task runbook.Task) error {
					db, err := r.database(ctx, task, opts.Component)
					if err != nil {
						return err
					}
					return db.Exec(ctx, opts.Statement)
				},
			}, nil
		},
	}
}
