package postgres

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
	d, err := readDetail(record)
	if err != nil {
		return nil, c.wrap(ctx, "check", err)
	}
	entered := component.Check{
		Name: c.name + ": login", Expected: "the role gets into its database", Hint: "the address in " + c.opts.URLFile + " is what the application uses",
	}
	s, err := c.enter(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, c.wrap(ctx, "check", ctx.Err())
	case err != nil:
		entered.Found = err.Error()
		return []component.Check{entered}, nil
	}
	defer s.close()
	entered.OK, entered.Found = true, entered.Expected
	found, err := s.tables(ctx)
	if err != nil {
		return nil, c.wrap(ctx, "check", err)
	}
	objects, err := s.objects(ctx)
	if err != nil {
		return nil, c.wrap(ctx, "check", err)
	}
	different := component.Unlike(d.Tables, found)
	was, is := Detail{Tables: d.Tables}, Detail{Tables: found}
	return []component.Check{entered, {
		Name: c.name + ": tables", OK: len(found) == len(d.Tables),
		Expected: strconv.Itoa(len(d.Tables)), Found: strconv.Itoa(len(found)),
	}, {
		Name: c.name + ": rows", OK: was.rows() == is.rows(), Warning: true,
		Expected: strconv.FormatInt(was.rows(), 10), Found: strconv.FormatInt(is.rows(), 10),
		Hint: "other than captured: " + fmt.Sprint(different),
	}, {
		Name: c.name + ": content", OK: len(different) == 0, Warning: true,
		Expected: "as captured", Found: fmt.Sprintf("%d tables differ", len(different)),
	}, {
		Name: c.name + ": objects", OK: fmt.Sprint(d.Objects) == fmt.Sprint(objects), Warning: true,
		Expected: fmt.Sprint(d.Objects), Found: fmt.Sprint(objects),
	}}, nil
}

// Compare compares every table's rows with those captured. Which rows differ is not
// told: they may be secret.
func (c *Component) Compare(ctx context.Context, _ component.Source, opts component.CompareOptions) (component.Comparison, error) {
	var none component.Comparison
	d, err := readDetail(opts.Record)
	if err != nil {
		return none, c.wrap(ctx, "compare", err)
	}
	s, err := c.enter(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		opts.Report(component.Difference{Path: "database " + d.Database, Kind: repository.Missing})
		return component.Comparison{What: []string{"whether database " + d.Database + " is there"}}, nil
	}
	if err != nil {
		return none, c.wrap(ctx, "compare", err)
	}
	defer s.close()
	found, err := s.tables(ctx)
	if err != nil {
		return none, c.wrap(ctx, "compare", err)
	}
	component.ReportTables(d.Tables, found, "database "+d.Database, func(t Table) int64 { return t.Rows }, opts.Report)
	return component.Comparison{
		Items: int64(len(found)), Bytes: d.Bytes,
		What: []string{"the rows of every table of database " + d.Database}, Not: []string{"indexes, views, functions and rights"},
	}, nil
}
