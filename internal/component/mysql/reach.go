package mysql

import (
	"context"
	"errors"
	"fmt"

	driver "github.com/go-sql-driver/mysql"
)

// Reach looks whether the database server answers. An answer is also that it
// refuses: who may enter can change with the configuration that is restored.
func (c *Component) Reach(ctx context.Context) error {
	s, err := c.connect(ctx, "")
	if err == nil {
		s.close()
		return nil
	}
	var said *driver.MySQLError
	if errors.As(err, &said) {
		return nil
	}
	return fmt.Errorf("the server of database %s does not answer: %w", c.opts.Database, err)
}
