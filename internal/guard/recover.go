package guard

import (
	"context"
	"errors"
	"fmt"
)

// Recover starts the services of records whose guard is dead: after a power
// loss, at boot, and at the beginning of every command. Records with a living
// guard are left alone. held, which may be nil, names the reason why a system
// must stay stopped, say an unfinished recovery, or ""; its record then stays
// for later. It returns the systems whose services were started, and the joined
// errors of the others.
func Recover(ctx context.Context, dir string, held func(system string) string) ([]string, error) {
	records, err := List(dir)
	failed := []error{err}
	var started []string
	for _, r := range records {
		if r.Guarded || held != nil && held(r.System) != "" {
			continue
		}
		g := &Guard{dir: dir, system: r.System}
		conn, err := g.spawn(ctx, request{Do: "recover"})
		switch {
		case errors.Is(err, ErrGuarded): // somebody else is at it
		case err != nil:
			failed = append(failed, fmt.Errorf("start the services of %s, which an interrupted backup stopped: %w", r.System, err))
		default:
			conn.Close()
			started = append(started, r.System)
		}
	}
	return started, errors.Join(failed...)
}
