package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
)

// Inspect looks at the live database.
func (c *Component) Inspect(ctx context.Context) (component.Inspection, error) {
	var in component.Inspection
	s, err := c.enter(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return in, nil
	}
	if err != nil {
		return in, c.wrap(ctx, "inspect", err)
	}
	defer s.close()
	var server string
	err = s.conn.QueryRow(ctx, `SELECT pg_catalog.pg_database_size(current_database()), current_setting('server_version'),
		(SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND `+foreign+`)`).
		Scan(&in.Bytes, &server, &in.Items)
	if err != nil {
		return in, c.wrap(ctx, "inspect", err)
	}
	in.Present = true
	in.Detail = map[string]string{"server": "PostgreSQL " + server, "role": s.conn.Config().User}
	lost, err := s.unsupported(ctx, s.conn.Config().User)
	if len(lost) > 0 {
		in.Warnings = append(in.Warnings, cannot(lost))
	}
	return in, c.wrap(ctx, "inspect", err)
}

func cannot(lost []string) string {
	return "the database has what this kind of component cannot bring back: " + strings.Join(lost, ", ")
}

// Capture streams a dump of one moment. Others may write meanwhile, but tables must
// not be made or changed.
func (c *Component) Capture(ctx context.Context, sink component.Sink) (component.Captured, error) {
	captured, err := c.capture(ctx, sink)
	return captured, c.wrap(ctx, "capture", err)
}

func (c *Component) capture(ctx context.Context, sink component.Sink) (component.Captured, error) {
	var none component.Captured
	a, err := c.readAddress(c.opts.URLFile)
	if err != nil {
		return none, err
	}
	s, err := c.enter(ctx)
	if err != nil {
		return none, err
	}
	defer s.close()
	if err := s.exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return none, err
	}
	var snapshot string
	if err := s.conn.QueryRow(ctx, `SELECT pg_catalog.pg_export_snapshot()`).Scan(&snapshot); err != nil {
		return none, err
	}
	d := Detail{Database: a.config.Database, Role: a.config.User, Place: a.place()}
	warnings, err := s.describe(ctx, &d)
	if err != nil {
		return none, err
	}
	if lost, err := s.unsupported(ctx, d.Role); err != nil {
		return none, err
	} else if len(lost) > 0 {
		return none, errors.New(cannot(lost))
	}
	if d.Tables, err = s.tables(ctx); err != nil {
		return none, err
	}
	if len(d.Tables) == 0 {
		return none, fmt.Errorf("database %s has no tables", d.Database)
	}
	if d.Objects, err = s.objects(ctx); err != nil {
		return none, err
	}
	tool, err := c.env.Host.Look("pg_dump")
	if err != nil {
		return none, fmt.Errorf("%w; install PostgreSQL's client programs", err)
	}
	version, err := c.env.Host.Output(ctx, tool, "--version")
	if err != nil {
		return none, err
	}
	r := &dumpReader{tables: d.Tables}
	r.start(ctx, func(ctx context.Context, w io.Writer) error { return c.dump(ctx, a, tool, snapshot, w) })
	defer r.close()
	if _, err := sink.AddStream(ctx, c.stream(), r); err != nil {
		return none, err
	}
	if !errors.Is(r.err, io.EOF) {
		return none, errors.New("the repository stopped reading before the end of the dump")
	}
	d.Bytes = r.given
	return component.Captured{
		Bytes: d.Bytes, Items: int64(len(d.Tables)), Streams: []string{c.stream()}, Warnings: warnings, Detail: d,
		Tools: map[string]string{"pg_dump": strings.TrimSpace(string(version)), "PostgreSQL": d.Server},
	}, nil
}

// dump runs the tool in the exported snapshot. The password is in a file that has no
// name and that its account alone can read.
func (c *Component) dump(ctx context.Context, a *address, tool, snapshot string, w io.Writer) error {
	account := c.account(a)
	secret, err := c.secretFile(a, account)
	if err != nil {
		return err
	}
	defer secret.Close()
	return c.env.Host.Run(ctx, host.Command{
		Args: []string{
			tool, "--format=plain", "--encoding=UTF8", "--quote-all-identifiers", "--no-tablespaces", "--no-subscriptions",
			"--no-password", "--snapshot=" + snapshot, "--dbname=" + a.tool(a.config.Database),
		},
		Env: []string{"PGPASSFILE=/proc/self/fd/3"}, Stdout: w, Files: []*os.File{secret}, User: account,
	})
}

// dumpReader is a dump as a stream: reading ends with io.EOF only when the tool ended
// well and what it wrote is what the server counted.
type dumpReader struct {
	tables  map[string]Table
	pipe    *io.PipeReader
	cancel  context.CancelFunc
	look    *io.PipeWriter
	tool    chan struct{}
	scanned chan error
	found   *dump
	given   int64
	err     error
}

func (r *dumpReader) start(ctx context.Context, run func(context.Context, io.Writer) error) {
	ctx, r.cancel = context.WithCancel(ctx)
	in, out := io.Pipe()
	look, into := io.Pipe()
	r.pipe, r.look, r.tool, r.scanned = in, into, make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(r.tool)
		out.CloseWithError(run(ctx, out)) // nil is io.EOF
	}()
	go func() {
		var err error
		r.found, err = scan(look, counter{})
		_ = look.CloseWithError(err)
		r.scanned <- err
	}()
}

func (r *dumpReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.pipe.Read(p)
	r.given += int64(n)
	if _, bad := r.look.Write(p[:n]); bad != nil && n > 0 {
		err = fmt.Errorf("the dump cannot be read: %w", bad)
	}
	if err == io.EOF {
		_ = r.look.Close()
		if bad := <-r.scanned; bad != nil {
			err = fmt.Errorf("the dump cannot be read: %w", bad)
		} else if bad := r.found.compare(r.tables); bad != nil {
			err = bad
		}
	}
	r.err = err
	return n, err
}

// close ends the tool, if it still runs, and waits for its end.
func (r *dumpReader) close() {
	_ = r.pipe.CloseWithError(io.ErrClosedPipe)
	_ = r.look.CloseWithError(io.ErrClosedPipe)
	r.cancel()
	<-r.tool
}
