package mysql

import (
	"context"
	"errors"
	"fmt"

	driver "github.com/go-sql-driver/mysql"
	"golang.org/x/sys/unix"
)

// littleRoom is the room, in bytes, below which a failure of the server is most
// likely one of the disk: InnoDB grows its files by 4 MiB and more at a time.
const littleRoom = 16 << 20

// explainRoom adds to an error of the server that its disk is full. Servers give
// many errors for that, also "Operation not permitted" at a COMMIT.
func (c *Component) explainRoom(ctx context.Context, failed error) error {
	var said *driver.MySQLError
	if !errors.As(failed, &said) || ctx.Err() != nil {
		return failed
	}
	s, err := c.connect(ctx, "")
	if err != nil {
		return failed
	}
	defer s.close()
	dir, err := column(ctx, s.db, "SELECT @@datadir")
	if err != nil || len(dir) != 1 {
		return failed
	}
	real, err := c.env.Host.Path(dir[0])
	if err != nil {
		return failed
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(real, &fs); err != nil { // a server on another machine
		return failed
	}
	free := int64(fs.Bavail) * fs.Bsize
	if free >= littleRoom {
		return failed
	}
	return fmt.Errorf("no space left for the database server: %d KiB are free in %s; make room and restore again: %w", free>>10, dir[0], failed)
}
