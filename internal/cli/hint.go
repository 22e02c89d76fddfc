package cli

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/repository"
	"lifeboat/internal/storage/transport"
)

// lockHint is what a verb can do about a lock in its way, by the flags it has.
func lockHint(c *cobra.Command, err error) string {
	var locked *repository.LockedError
	if c == nil || !errors.As(err, &locked) {
		return ""
	}
	hint := ""
	if f := c.Flags().Lookup("retry-lock"); f != nil && locked.Lock.Damage == nil {
		hint = "With --retry-lock 30min this command waits so long until the lock is given up"
		if f.Value.String() != "0s" || f.DefValue != "0s" {
			hint = "It was waited for in vain; --retry-lock 30min waits longer"
		}
	}
	if c.Flags().Lookup("no-lock") != nil {
		if hint != "" {
			hint += ". "
		}
		hint += "--no-lock reads in spite of it"
	}
	if hint == "" {
		return ""
	}
	return hint + "."
}

// refusal is what can be done where a server does not let us in.
func (a *app) refusal(err error) string {
	var status *transport.StatusError
	if !errors.As(err, &status) || status.Code != http.StatusUnauthorized {
		return ""
	}
	return fmt.Sprintf("The server does not know this user, or the password or token is another one. They come from rest: {user, password} in %s,\nfrom -o rest.user=… and -o 'rest.password={file: …}', or from the address. On the server: lifeboat repository serve user --help", a.configFile)
}

// waiting tells that a lock of others is waited for.
func (n *notices) waiting(l *repository.LockedError, until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.json != nil {
		_ = n.json(map[string]any{"type": "lock-wait", "error": l.Error(), "until": until})
		return
	}
	text := screen.Clean(fmt.Sprintf("%v; waiting for it until %s (Ctrl-C ends that, --retry-lock says how long)", l, until.Local().Format("15:04:05")))
	if n.line != nil {
		n.line(text)
		return
	}
	fmt.Fprintln(n.err, text)
}
