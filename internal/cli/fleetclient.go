package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"lifeboat/internal/fleet/agent"
	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/secret"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/runbook"
)

// Where the verbs find the fleet server, and the token that they act with.
const (
	fleetServerVariable = "LIFEBOAT_FLEET_SERVER"
	fleetTokenVariable  = "LIFEBOAT_FLEET_TOKEN_FILE"
)

// fleetFlags say which fleet server a verb speaks to, and as whom.
type fleetFlags struct {
	server, token, ca, directory string
}

func (f *fleetFlags) register(c *cobra.Command) {
	flags := c.PersistentFlags()
	flags.StringVar(&f.server, "server", "", "`URL` of the fleet server (default "+fleetServerVariable+", else that of this machine or of its fleet)")
	flags.Var((*absolutePath)(&f.token), "token-file", "`FILE` with a token of the fleet (default "+fleetTokenVariable+", else admin.token beside the fleet's keys)")
	flags.Var((*absolutePath)(&f.ca), "ca-file", "PEM `FILE` of the authority that vouches for the fleet server")
	f.directory = defaultFleet
	flags.Var((*absolutePath)(&f.directory), "directory", "`DIR` with the fleet's keys, on the server itself")
}

const fleetHint = `
Called on the fleet server it uses the first administrator's token beside the
fleet's keys; elsewhere --server and --token-file, or ` + fleetServerVariable + ` and
` + fleetTokenVariable + ` in the environment, say where the server is and what lets in.`

// fleetClient speaks to the fleet server.
func (a *app) fleetClient(f fleetFlags) (*client.Client, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	server, token := firstOf(f.server, os.Getenv(fleetServerVariable)), firstOf(f.token, os.Getenv(fleetTokenVariable))
	if settings, authority, err := keys.OpenPublic(f.directory); err == nil {
		server = firstOf(server, settings.URL)
		roots.AddCert(authority)
		if token == "" {
			token = filepath.Join(f.directory, keys.AdministratorFile)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if member, err := agent.Open(a.agentDir()); err == nil {
		server = firstOf(server, member.URL)
		roots.AppendCertsFromPEM([]byte(member.Fleet.Authority))
	}
	if f.ca != "" {
		text, err := os.ReadFile(f.ca)
		if err != nil || !roots.AppendCertsFromPEM(text) {
			return nil, usagef("--ca-file: there is no certificate in PEM form in %s", f.ca)
		}
	}
	if server == "" {
		return nil, usagef("no fleet server is known: give --server https://NAME:%s, or set %s", keys.DefaultPort, fleetServerVariable)
	}
	if token == "" {
		return nil, usagef("no token is known: give --token-file FILE, or set %s; an administrator makes one with lifeboat token add", fleetTokenVariable)
	}
	text, err := secret.ReadToken(token)
	if err != nil {
		return nil, usageError{err}
	}
	c, err := client.New(client.Options{URL: server, Token: text, Roots: roots})
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// call asks the fleet server for something. What it refuses because of who asks is a
// refusal here too, and what it finds wrong with the question a mistake of usage.
func (a *app) call(ctx context.Context, f fleetFlags, method, path string, in, out any) error {
	c, err := a.fleetClient(f)
	if err != nil {
		return err
	}
	return fleetError(c.Do(ctx, method, path, in, out))
}

func fleetError(err error) error {
	var p *client.Problem
	if !errors.As(err, &p) {
		return err
	}
	switch p.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return runbook.Refuse("", "%s", p.Text)
	case http.StatusUnprocessableEntity, http.StatusBadRequest, http.StatusConflict:
		return usageError{err}
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
			return fleetError(err)
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

// agentDir is where this host keeps its membership in a fleet.
func (a *app) agentDir() string { return filepath.Join(filepath.Dir(a.configFile), agent.Directory) }

// emitTyped prints an answer of the fleet server as --json shows it.
func (a *app) emitTyped(kind string, value any) error {
	return a.emit(struct {
		Type string `json:"type"`
		Data any    `json:"data"`
	}{kind, value})
}
