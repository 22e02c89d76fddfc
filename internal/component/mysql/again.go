package mysql

import (
	"context"

	"lifeboat/internal/component"
)

// startOver takes back a restore of this run whose tables are not any more what
// was captured: somebody else wrote to them before they were compared. To compare
// them again would never end well.
func (c *Component) startOver(ctx context.Context, d *Detail, warn func(string)) error {
	j, err := c.existingJournal()
	if err != nil || j == nil {
		return err
	}
	defer j.close()
	if !j.restored || j.rolledBack || j.discarded || j.rolling && !j.again {
		return nil
	}
	if !j.again {
		wrong, err := c.spoiled(ctx, d)
		if err != nil || !wrong {
			return err
		}
		if warn != nil {
			warn("the tables of database " + c.opts.Database + " were written to by somebody else since they were restored; they are loaded anew")
		}
		if err := j.add(ctx, record{Do: doAgain}); err != nil {
			return err
		}
	}
	return c.rollback(ctx)
}

// spoiled tells whether the tables in place differ from what was captured.
func (c *Component) spoiled(ctx context.Context, d *Detail) (bool, error) {
	s, err := c.connect(ctx, "")
	if err != nil {
		return false, err
	}
	defer s.close()
	if there, err := s.exists(ctx, d.Database); err != nil || !there {
		return !there, err
	}
	conn, err := s.session(ctx, d.Database)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	checks, err := c.compare(ctx, conn, s, d, d.Database)
	return differ(checks), err
}

func differ(checks []component.Check) bool {
	for _, k := range checks {
		if !k.OK && !k.Warning {
			return true
		}
	}
	return false
}

// disturbed explains a difference of tables that this run has loaded and found
// equal before it put them in place.
func (c *Component) disturbed(checks []component.Check) ([]component.Check, error) {
	j, err := c.existingJournal()
	if err != nil || j == nil {
		return nil, err
	}
	defer j.close()
	if !j.restored || j.rolling || !differ(checks) {
		return nil, nil
	}
	return []component.Check{{
		Name: "nobody else writes to the database", Expected: "as it was loaded",
		Found: "somebody else has written to it since; find out who and end that, then resume: the tables are loaded anew, without what was written to them",
	}}, nil
}
