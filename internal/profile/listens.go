package profile

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"
)

type listensOptions struct {
	Port string `yaml:"port" short:"true" jsonschema:"required"` // of this machine
	// Within is how many seconds it may take until somebody answers; a service runs
	// before it can be reached. Default 0: it is looked at once.
	Within int `yaml:"within,omitempty" jsonschema:"minimum=0,maximum=3600"`
}

// listensHolds tells whether a connection to a TCP port of this machine is taken.
func listensHolds(ctx context.Context, scope Scope, o *listensOptions) (bool, string, error) {
	if n, err := strconv.ParseUint(o.Port, 10, 16); err != nil || n == 0 {
		return false, "", fmt.Errorf("%q is no port", o.Port)
	}
	if !scope.Host.IsLocal() {
		return false, "nothing runs below another root", nil
	}
	d := net.Dialer{Timeout: 10 * time.Second}
	for end := time.Now().Add(time.Duration(o.Within) * time.Second); ; {
		for _, at := range []string{"127.0.0.1", "::1"} { // names may not be there in a sandbox
			c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(at, o.Port))
			if err == nil {
				return true, "port " + o.Port + " answers", c.Close()
			}
		}
		if ctx.Err() == nil && !time.Now().Before(end) {
			return false, "nothing answers on port " + o.Port, nil
		}
		select {
		case <-ctx.Done():
			return false, "", ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
