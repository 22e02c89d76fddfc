package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"lifeboat/internal/component"
	"lifeboat/internal/repository"
)

// Check compares the database with what was captured.
func (c *Component) Check(ctx context.Context, record component.Record) ([]component.Check, error) {
	detail, err := readDetail(record)
	if err != nil {
		return nil, c.wrap("check", err)
	}
	whole := component.Check{Name: c.name + ": whole", Expected: "a whole database", Hint: "lifeboat restore brings back " + c.file}
	real, err := c.env.Host.Path(c.file)
	if err != nil {
		return nil, c.wrap("check", err)
	}
	found, err := look(ctx, real)
	switch {
	case ctx.Err() != nil:
		return nil, c.wrap("check", ctx.Err())
	case err != nil:
		whole.Found = err.Error()
		return []component.Check{whole}, nil
	}
	whole.OK, whole.Found = true, "a whole database"
	rows := func(tables map[string]Table) (n int64) {
		for _, t := range tables {
			n += t.Rows
		}
		return n
	}
	differing := component.Unlike(detail.Tables, found)
	return []component.Check{whole, {
		Name: c.name + ": tables", OK: len(found) == len(detail.Tables),
		Expected: strconv.Itoa(len(detail.Tables)), Found: strconv.Itoa(len(found)),
	}, {
		Name: c.name + ": rows", OK: rows(found) == rows(detail.Tables), Warning: true,
		Expected: strconv.FormatInt(rows(detail.Tables), 10), Found: strconv.FormatInt(rows(found), 10),
		Hint: "other than captured: " + fmt.Sprint(differing),
	}, {
		Name: c.name + ": content", OK: len(differing) == 0, Warning: true,
		Expected: "as captured", Found: fmt.Sprintf("%d tables differ", len(differing)),
	}}, nil
}

// Compare compares every table's rows with those captured. Which rows differ is not
// told: they may be secret.
func (c *Component) Compare(ctx context.Context, _ component.Source, opts component.CompareOptions) (component.Comparison, error) {
	var none component.Comparison
	detail, err := readDetail(opts.Record)
	if err != nil {
		return none, c.wrap("compare", err)
	}
	real, err := c.env.Host.Path(c.file)
	if err != nil {
		return none, c.wrap("compare", err)
	}
	found, err := look(ctx, real)
	if errors.Is(err, fs.ErrNotExist) {
		opts.Report(component.Difference{Path: c.file, Kind: repository.Missing})
		return component.Comparison{What: []string{"whether " + c.file + " is there"}}, nil
	}
	if err != nil {
		return none, c.wrap("compare", err)
	}
	component.ReportTables(detail.Tables, found, c.file, func(t Table) int64 { return t.Rows }, opts.Report)
	return component.Comparison{
		Items: int64(len(found)), Bytes: detail.Pages * detail.PageSize,
		What: []string{"the rows of every table of " + c.file}, Not: []string{"indices, triggers and views"},
	}, nil
}
