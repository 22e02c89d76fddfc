package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/host"
)

// dumpTool is the server's own dump program, with what it knows.
type dumpTool struct {
	path    string
	version string
	options []string // long option names, without dashes
}

var longOption = regexp.MustCompile(`(?m)^\s+(?:-., )?--([a-z0-9-]+)`)

// findDumpTool looks for the dump program and asks which options it has: they
// came and went between MySQL 5.0 and MariaDB 12.
func findDumpTool(ctx context.Context, h *host.Host, v version) (*dumpTool, error) {
	names := []string{"mysqldump", "mariadb-dump"}
	if v.maria {
		names = []string{"mariadb-dump", "mysqldump"}
	}
	path, err := h.Look(names...)
	if err != nil {
		return nil, fmt.Errorf("dump database: %w; install the client programs of the database server", err)
	}
	said, err := h.Output(ctx, path, "--no-defaults", "--version")
	if err != nil {
		return nil, fmt.Errorf("dump database: %w", err)
	}
	help, err := h.Output(ctx, path, "--no-defaults", "--help")
	if err != nil {
		return nil, fmt.Errorf("dump database: %w", err)
	}
	t := &dumpTool{path: path, version: strings.TrimSpace(string(said))}
	for _, m := range longOption.FindAllSubmatch(help, -1) {
		t.options = append(t.options, string(m[1]))
	}
	return t, nil
}

// name is what the tool is called in the manifest.
func (t *dumpTool) name() string { return filepath.Base(t.path) }

// args lists the options of a dump of these tables. The password is not among
// them: descriptor 3 is the only option file that is read.
func (t *dumpTool) args(database, charset string, snapshot bool, tables []string) []string {
	args := []string{
		t.path, "--defaults-file=/proc/self/fd/3",
		"--hex-blob", "--tz-utc", "--quick", "--skip-triggers", "--skip-lock-tables",
		"--add-drop-table", "--create-options", "--extended-insert", "--disable-keys",
		"--set-charset", "--quote-names", "--comments", "--max-allowed-packet=1G",
		"--default-character-set=" + charset,
	}
	if snapshot {
		args = append(args, "--single-transaction")
	}
	for _, o := range []struct{ name, arg string }{
		{"dump-date", "--skip-dump-date"}, // equal content makes equal bytes
		{"no-tablespaces", "--no-tablespaces"},
		{"column-statistics", "--column-statistics=0"},
		{"set-gtid-purged", "--set-gtid-purged=OFF"},
		{"max-statement-time", "--max-statement-time=0"},
		{"network-timeout", "--network-timeout"},
	} {
		if slices.Contains(t.options, o.name) {
			args = append(args, o.arg)
		}
	}
	args = append(args, "--", database)
	return append(args, tables...)
}

// run writes the dump to w. Nil means that the tool itself found everything
// right, which is necessary and not sufficient.
func (t *dumpTool) run(ctx context.Context, s *server, dir string, args []string, w io.Writer) error {
	secret, err := s.login.secretFile(dir)
	if err != nil {
		return err
	}
	defer secret.Close()
	return s.host.Run(ctx, host.Command{Args: args, Stdout: w, Files: []*os.File{secret}})
}

// dumpCheck follows a dump as it flows and says at the end whether it is whole:
// all tables, all rows, and the line that the tool writes last.
type dumpCheck struct {
	split   *splitter
	tables  []string
	rows    map[string]int64
	largest int    // bytes of the longest statement
	started func() // called at the first table
}

// trailer is how the last line of every dump begins.
const trailer = "-- Dump completed"

func newDumpCheck(started func()) *dumpCheck {
	c := &dumpCheck{rows: map[string]int64{}, started: started}
	c.split = newSplitter(c.statement)
	return c
}

func (c *dumpCheck) statement(s statement) error {
	k := classify(s.text)
	c.largest = max(c.largest, len(s.text))
	switch k.verb {
	case verbCreateTable:
		if len(c.tables) == 0 && c.started != nil {
			c.started()
		}
		c.tables = append(c.tables, k.name)
	case verbInsert:
		c.rows[k.name] += k.rows(s)
	}
	return nil
}

// finish compares with what the server counted at the same moment.
func (c *dumpCheck) finish(tables []Table) error {
	if err := c.split.Close(); err != nil {
		return fmt.Errorf("the dump is cut off: %w", err)
	}
	if len(c.tables) == 0 {
		return errors.New("the dump is empty: no table stands in it")
	}
	if !strings.HasPrefix(c.split.lastComment(), trailer) {
		return fmt.Errorf("the dump is cut off: its last line is not %q", trailer)
	}
	return compareTables("dump", tables, c.tables, c.rows)
}

// compareTables says which tables or rows are missing or too many in what.
func compareTables(what string, want []Table, tables []string, rows map[string]int64) error {
	var wrong []string
	for _, t := range want {
		switch {
		case !slices.Contains(tables, t.Name):
			wrong = append(wrong, fmt.Sprintf("table %s is missing", t.Name))
		case t.Rows != rows[t.Name]:
			wrong = append(wrong, fmt.Sprintf("table %s has %d rows instead of %d", t.Name, rows[t.Name], t.Rows))
		}
	}
	for _, name := range tables {
		if !slices.ContainsFunc(want, func(t Table) bool { return t.Name == name }) {
			wrong = append(wrong, fmt.Sprintf("table %s is too many", name))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("the %s does not hold what the server counted: %s", what, strings.Join(wrong, "; "))
	}
	return nil
}

// dumpReader is a dump as a stream: reading ends with io.EOF only when the tool
// ended well and the check found everything.
type dumpReader struct {
	pipe   *io.PipeReader
	check  *dumpCheck
	cancel context.CancelFunc
	ended  <-chan struct{}
	verify func() error
	err    error
}

// startDump starts the tool. Close must be called.
func startDump(ctx context.Context, run func(context.Context, io.Writer) error, check *dumpCheck, verify func() error) *dumpReader {
	ctx, cancel := context.WithCancel(ctx)
	in, out := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buffered := &pipeWriter{w: out}
		err := run(ctx, buffered)
		if err == nil {
			err = buffered.flush()
		}
		out.CloseWithError(err) // nil is io.EOF
	}()
	return &dumpReader{pipe: in, check: check, cancel: cancel, ended: ended, verify: verify}
}

func (r *dumpReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.pipe.Read(p)
	if n > 0 {
		if _, bad := r.check.split.Write(p[:n]); bad != nil {
			err = fmt.Errorf("the dump cannot be read: %w", bad)
		}
	}
	if err == io.EOF {
		<-r.ended
		if bad := r.verify(); bad != nil {
			err = bad
		}
	}
	r.err = err
	return n, err
}

// Close ends the tool, if it still runs, and waits for its end.
func (r *dumpReader) Close() error {
	_ = r.pipe.CloseWithError(io.ErrClosedPipe)
	r.cancel()
	<-r.ended
	return nil
}

// pipeWriter hands on fewer, larger pieces: tools write 4 KiB at a time.
type pipeWriter struct {
	w   io.Writer
	buf bytes.Buffer
}

func (p *pipeWriter) Write(b []byte) (int, error) {
	p.buf.Write(b)
	if p.buf.Len() < 256<<10 {
		return len(b), nil
	}
	return len(b), p.flush()
}

func (p *pipeWriter) flush() error {
	_, err := p.w.Write(p.buf.Bytes())
	p.buf.Reset()
	return err
}
