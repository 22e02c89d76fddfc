package drill

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/component/mysql"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/sandbox"
)

// job is what the process in the sandbox is told, over a pipe: it holds the
// repository's password.
type job struct {
	ID       string
	System   string
	Point    string
	Source   string // file of the profile, for messages
	Profile  []byte
	Password []byte
	// CAPassword opens an authority's key; nil leaves that untried.
	CAPassword []byte
	Settings   map[string]string
	Force      []string
	Only       []string
	// Without are read in part instead of being restored: Share of their files.
	Without []string
	Share   float64
	// Systemd says that systemd manages the machine; Services that what stops and
	// starts services works in the sandbox.
	Systemd, Services bool
	Servers           []server
	Postgres          string   // where a PostgreSQL server has to be: its socket, or host and port
	Empty             []string // places where nothing of the live system is seen
	Hold              bool     // go on until the pipe closes
}

// server is a private database server at the place of the machine's own.
type server struct {
	Data, Socket, Port string
	Args               []string // of the machine's own server, as far as they change what it does with data
}

// outcome is what the process in the sandbox says last.
type outcome struct {
	Type     string              `json:"type"`
	Run      *runbook.Run        `json:"run,omitempty"`
	Checks   []runbook.Check     `json:"checks,omitempty"`
	Replaced []recovery.Replaced `json:"replaced,omitempty"`
	Restores map[string]string   `json:"restores,omitempty"`
	Error    string              `json:"error,omitempty"`
}

const outcomeType = "drill.outcome"

// insideName is what the process in the sandbox is called.
const insideName = "lifeboat-drill"

// Descriptors of that process.
const (
	socketFile = 3
	jobFile    = 4
)

func (d *drill) job(ctx context.Context) (job, error) {
	j := job{
		ID: d.id, System: d.System, Point: d.Point.ID(), Source: d.Profile.Source, Profile: d.Profile.Text, Password: d.Password,
		CAPassword: d.CAPassword, Settings: d.Settings, Force: d.Force, Hold: d.Visit != nil,
	}
	_, err := os.Stat("/run/systemd/system")
	j.Systemd = err == nil
	// The real systemd answers for the live machine only; another program in its
	// place works wherever it is called.
	comm, err := os.ReadFile("/proc/1/comm")
	if err != nil {
		return j, fmt.Errorf("drill: look who manages this machine: %w", err)
	}
	j.Services = strings.TrimSpace(string(comm)) != "systemd"
	for _, c := range d.Point.Manifest.Components {
		switch chosen := d.Depth.chosen(c.Importance); {
		case c.Status != component.StatusCaptured || d.Catalog.Kinds[c.Kind].Passive:
		case d.Depth == Quick && chosen:
			j.Only = append(j.Only, c.Name)
		case d.Depth == Subset && !chosen:
			j.Without, j.Share = append(j.Without, c.Name), d.Share
		}
	}
	if j.Postgres, err = d.postgres(); err != nil {
		return j, err
	}
	j.Servers, err = d.servers(ctx)
	return j, err
}

// servers finds where the machine's own database servers are, of those that the
// system's databases are kept by.
func (d *drill) servers(ctx context.Context) ([]server, error) {
	settings, err := d.settings(ctx)
	if err != nil {
		return nil, err
	}
	for name, value := range d.Point.Manifest.Settings {
		settings[name] = value
	}
	var list []server
	for _, spec := range d.Profile.Components {
		if _, err := d.Point.Manifest.Component(spec.Name); err != nil {
			continue
		}
		expanded, err := profile.ExpandOptions(spec.Options, settings)
		if err != nil {
			return nil, fmt.Errorf("drill: component %s: %w", spec.Name, err)
		}
		opts, ok := expanded.(*mysql.Options)
		if !ok {
			continue
		}
		socket, port, local := opts.Place()
		if !local {
			return nil, runbook.Refuse("", "the database of component %s is on the host %s, which a drill cannot stand in for", spec.Name, opts.Host)
		}
		if socket == "" {
			socket = d.socket()
		}
		if len(list) > 0 && list[0].Socket != socket {
			return nil, runbook.Refuse("", "the databases of %s are kept by several servers, at %s and %s; a drill runs one", d.System, list[0].Socket, socket)
		}
		if len(list) == 0 {
			list = append(list, d.ownServer(ctx))
		}
		list[0].Socket = socket
		if port != "" {
			list[0].Port = port
		}
	}
	return list, nil
}

// socket is where clients of this machine look for the server.
func (d *drill) socket() string {
	known := mysql.Sockets()
	for _, s := range known {
		if info, err := os.Stat(s); err == nil && info.Mode()&os.ModeSocket != 0 {
			return s
		}
	}
	// The server is down; its directory tells.
	for _, s := range known {
		if _, err := os.Stat(filepath.Dir(s)); err == nil && filepath.Dir(s) != "/tmp" && !strings.HasPrefix(s, defaultData) {
			return s
		}
	}
	return known[0]
}

const defaultData = "/var/lib/mysql"

// sameOptions are options of a server that decide what it takes and what clients see.
var sameOptions = []string{
	"skip-name-resolve", "lower-case-table-names", "sql-mode", "default-storage-engine", "character-set-server", "collation-server",
	"explicit-defaults-for-timestamp", "innodb-strict-mode",
}

// ownServer is how the option files of the machine set up its own server.
func (d *drill) ownServer(ctx context.Context) server {
	own := server{Data: defaultData, Args: []string{"--skip-name-resolve=0"}}
	out, err := d.host.Output(ctx, "my_print_defaults", "--mysqld")
	if err != nil {
		return own // that program is not everywhere
	}
	own.read(string(out))
	return own
}

// read takes over what my_print_defaults(1) prints, an option on each line.
func (s *server) read(text string) {
	for line := range strings.Lines(text) {
		option, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "--")
		if !ok {
			continue
		}
		name, value, given := strings.Cut(option, "=")
		name = strings.ReplaceAll(name, "_", "-")
		switch {
		case name == "datadir" && filepath.IsAbs(value) && filepath.Clean(value) != "/":
			s.Data = filepath.Clean(value)
		case slices.Contains(sameOptions, name) && given:
			s.Args = append(s.Args, "--"+name+"="+value)
		case slices.Contains(sameOptions, name):
			s.Args = append(s.Args, "--"+name)
		}
	}
}

// talk runs the process in the sandbox, passes its events on and returns its last word.
func (d *drill) talk(ctx context.Context, j job, socket *os.File) (*outcome, error) {
	defer socket.Close()
	orders, to, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("drill: %w", err)
	}
	defer to.Close()
	from, events, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("drill: %w", err), orders.Close())
	}
	defer from.Close()
	said := &tail{}
	process, err := d.box.Spawn(ctx, sandbox.Command{
		Args: []string{"/proc/1/exe"}, Name: insideName, Files: []*os.File{socket, orders}, Stdout: events, Stderr: said,
	})
	err = errors.Join(err, orders.Close(), events.Close(), socket.Close())
	if err != nil {
		return nil, fmt.Errorf("drill: %w", err)
	}
	// It begins with what it is told, so the limit holds from the beginning.
	if err = d.group.add(process.Pid()); err != nil {
		return nil, errors.Join(err, to.Close(), process.Wait())
	}
	if err = json.NewEncoder(to).Encode(j); err != nil {
		err = fmt.Errorf("drill: tell the sandbox what to do: %w", err)
	}
	last, readErr := d.listen(from)
	var visit error
	if last != nil && ctx.Err() == nil && d.Visit != nil {
		visit = d.Visit(ctx, d.box)
	}
	to.Close()
	waitErr := process.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("drill: %w", runbook.ErrInterrupted)
	case last == nil:
		return nil, fmt.Errorf("drill: the process in the sandbox ended without a result: %w: %s", errors.Join(err, readErr, waitErr), said)
	}
	return last, visit
}

// maxLine bounds one line of the process in the sandbox, in bytes.
const maxLine = 64 << 20

// listen reads events until the outcome.
func (d *drill) listen(r io.Reader) (*outcome, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		if bytes.HasPrefix(lines.Bytes(), []byte(`{"type":"`+outcomeType+`"`)) {
			var o outcome
			if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
				return nil, err
			}
			return &o, nil
		}
		var e runbook.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("an event of the sandbox: %w", err)
		}
		for _, observer := range d.Observers {
			observer.Observe(e)
		}
	}
	return nil, lines.Err()
}

// tail keeps the end of what a process says.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-4096):]
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.text)) }
