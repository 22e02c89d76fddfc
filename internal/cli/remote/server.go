package remote

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/secret"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/runbook/ending"
)

// Where the verbs find the fleet server, and the token that they act with.
const (
	serverVariable = "LIFEBOAT_FLEET_SERVER"
	tokenVariable  = "LIFEBOAT_FLEET_TOKEN_FILE"
)

// server says which fleet server a verb speaks to, and as whom.
type server struct {
	url, token, ca, directory string
}

func (s *server) register(c *cobra.Command, home Home) {
	here, token := "", ""
	if home.Look != nil {
		here, token = ", else that of this machine or of its fleet", ", else admin.token beside the fleet's keys"
	}
	flags := c.PersistentFlags()
	flags.StringVar(&s.url, "server", "", "`URL` of the fleet server (default "+serverVariable+here+")")
	flags.Var((*screen.Path)(&s.token), "token-file", "`FILE` with a token of the fleet (default "+tokenVariable+token+")")
	flags.Var((*screen.Path)(&s.ca), "ca-file", "PEM `FILE` of the authority that vouches for the fleet server")
	if home.Look != nil {
		s.directory = home.Directory
		flags.Var((*screen.Path)(&s.directory), "directory", "`DIR` with the fleet's keys, on the server itself")
	}
}

// hint is what the help of each verb says about the server.
func (d *Desk) hint() string {
	if d.Home.Look == nil {
		return `
--server and --token-file, or ` + serverVariable + ` and ` + tokenVariable + `
in the environment, say where the fleet server is and what lets in.`
	}
	return `
Called on the fleet server it uses the first administrator's token beside the
fleet's keys; elsewhere --server and --token-file, or ` + serverVariable + ` and
` + tokenVariable + ` in the environment, say where the server is and what lets in.`
}

// client speaks to the fleet server.
func (d *Desk) client(s server) (*client.Client, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	var known Place
	if d.Home.Look != nil {
		if known, err = d.Home.Look(s.directory, roots); err != nil {
			return nil, err
		}
	}
	address := cmp.Or(s.url, os.Getenv(serverVariable), known.URL)
	token := cmp.Or(s.token, os.Getenv(tokenVariable), known.TokenFile)
	if s.ca != "" {
		text, err := os.ReadFile(s.ca)
		if err != nil || !roots.AppendCertsFromPEM(text) {
			return nil, screen.Usagef("--ca-file: there is no certificate in PEM form in %s", s.ca)
		}
	}
	if address == "" {
		return nil, screen.Usagef("no fleet server is known: give --server https://NAME:%s, or set %s", wire.DefaultPort, serverVariable)
	}
	if token == "" {
		return nil, screen.Usagef("no token is known: give --token-file FILE, or set %s; an administrator makes one with lifeboat token add", tokenVariable)
	}
	text, err := secret.ReadToken(token)
	if err != nil {
		return nil, screen.Usage(err)
	}
	c, err := client.New(client.Options{URL: address, Token: text, Roots: roots})
	if err != nil {
		return nil, screen.Usage(err)
	}
	return c, nil
}

// call asks the fleet server for something. What it refuses because of who asks is a
// refusal here too, and what it finds wrong with the question a mistake of usage.
func (d *Desk) call(ctx context.Context, s server, method, path string, in, out any) error {
	c, err := d.client(s)
	if err != nil {
		return err
	}
	return Explain(c.Do(ctx, method, path, in, out))
}

// Explain makes of a fleet server's answer that is an error a refusal or a mistake of
// usage, where it is one.
func Explain(err error) error {
	var p *client.Problem
	if !errors.As(err, &p) {
		return err
	}
	switch p.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ending.Refuse("", "%s", p.Text)
	case http.StatusUnprocessableEntity, http.StatusBadRequest, http.StatusConflict:
		return screen.Usage(err)
	}
	return err
}

// parts goes through a list, part by part, from behind an item on; "" is the whole.
// The path has a query already.
func parts[T any](ctx context.Context, c *client.Client, path, after string, each func(T) error) error {
	for {
		at := path
		if after != "" {
			at += "&after=" + url.QueryEscape(after)
		}
		var l wire.List[T]
		if err := c.Do(ctx, http.MethodGet, at, nil, &l); err != nil {
			return Explain(err)
		}
		for _, item := range l.Items {
			if err := each(item); err != nil {
				return err
			}
		}
		if l.Next == "" || l.Next == after {
			return nil
		}
		after = l.Next
	}
}
