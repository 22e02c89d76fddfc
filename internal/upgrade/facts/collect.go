package facts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/host"
)

// Collect gathers the facts of a machine, this one or one below a root. It starts
// programs of the machine that it runs on, and reads; nothing is changed. What cannot
// be found out is named in Unknown; an error means that ctx has ended.
func Collect(ctx context.Context, h *host.Host) (*Facts, error) {
	raw := &record{by: "lifeboat", at: time.Now(), user: os.Geteuid()}
	if !h.IsLocal() {
		raw.root = h.Root()
	}
	g := gatherer{host: h, raw: raw}
	for _, s := range sources() {
		if s.live && !h.IsLocal() || len(s.when) > 0 && !slices.ContainsFunc(s.when, h.Exists) {
			continue
		}
		g.take(ctx, s)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("gather the facts of %s: %w", h.Root(), err)
		}
	}
	return raw.facts(), nil
}

// identity is what tells which release a machine is.
var identity = []string{
	"/etc/os-release", "/usr/lib/os-release", "/etc/SuSE-release", "/etc/debian_version", "/etc/products.d", "baseproduct", "/etc/products.d/baseproduct", "program",
}

// Identify gathers which release a machine says it is, and nothing else. No program is
// started.
func Identify(h *host.Host) *Facts {
	raw := &record{by: "lifeboat", at: time.Now(), user: os.Geteuid(), root: h.Root()}
	g := gatherer{host: h, raw: raw}
	for _, s := range sources() {
		if slices.Contains(identity, s.name) {
			g.take(context.Background(), s)
		}
	}
	return raw.facts()
}

// gatherer fills a record from this machine.
type gatherer struct {
	host *host.Host
	raw  *record
}

func (g gatherer) take(ctx context.Context, s source) {
	switch s.kind {
	case fromFile:
		g.file(s.name, s.keep)
	case fromOwn:
		if text, ok := read(s.name); ok {
			g.raw.add("file", s.name, keepLines(text, s.keep), 0)
		}
	case fromGlob:
		g.glob(s)
	case fromNames:
		g.raw.add("names", s.name, g.names(s.args), 0)
	case fromLinks:
		g.raw.add("links", s.name, links(s.args), 0)
	case fromRun:
		g.run(ctx, s)
	case fromHead:
		g.head(s)
	case fromProcesses:
		g.raw.add("processes", s.name, keepLines(processes(), s.keep), 0)
	case fromMaps:
		g.raw.add("maps", s.name, maps(s.keep), 0)
	}
}

func (g gatherer) file(name, keep string) {
	place, err := g.host.Path(name)
	if err != nil {
		return
	}
	if text, ok := read(place); ok {
		g.raw.add("file", name, keepLines(text, keep), 0)
	}
}

// read is the beginning of a regular file.
func read(place string) ([]byte, bool) {
	if info, err := os.Stat(place); err != nil || !info.Mode().IsRegular() {
		return nil, false
	}
	f, err := os.Open(place)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	return text, err == nil
}

func (g gatherer) glob(s source) {
	odd := false
	names, _ := g.host.Match(path.Join(s.name, s.args[0]))
	for _, name := range names {
		if !isPlain(name) {
			odd = true
			continue
		}
		g.file(name, s.keep)
	}
	if odd {
		g.raw.add("odd", s.name, nil, 0)
	}
}

func (g gatherer) names(patterns []string) []byte {
	var b bytes.Buffer
	for _, p := range patterns {
		found := []string{p}
		if strings.Contains(p, "*") {
			found, _ = g.host.Match(p)
		}
		for _, name := range found {
			place, err := g.host.Entry(name)
			if err != nil || !isPlain(name) {
				continue
			}
			if _, err := os.Lstat(place); err == nil {
				fmt.Fprintln(&b, name)
			}
		}
	}
	return b.Bytes()
}

func links(patterns []string) []byte {
	var b bytes.Buffer
	for _, p := range patterns {
		found, _ := filepath.Glob(p)
		for _, name := range found {
			if to, err := os.Readlink(name); err == nil && isPlain(name) && isPlain(to) {
				fmt.Fprintf(&b, "%s\t%s\n", name, to)
			}
		}
	}
	return b.Bytes()
}

// run starts a program of this machine; its exit code is part of what it says.
func (g gatherer) run(ctx context.Context, s source) {
	root := strings.TrimSuffix(g.host.Root(), "/")
	args := slices.Clone(s.args)
	for i := range args {
		args[i] = strings.NewReplacer("{root}", root, "{path}", root).Replace(args[i])
	}
	var out bytes.Buffer
	err := host.Local().Run(ctx, host.Command{Args: args, Env: []string{"LC_ALL=C", "LANG=C"}, Stdout: &out})
	code := 0
	var exit *host.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.Code
	case errors.Is(err, exec.ErrNotFound):
		code = notFound
	case err != nil:
		code = notRun
	}
	g.raw.add("run", s.name, out.Bytes(), code)
}

func (g gatherer) head(s source) {
	for _, name := range s.args {
		place, err := g.host.Path(name)
		if err != nil {
			continue
		}
		if text, ok := read(place); ok {
			g.raw.add("head", s.name, fmt.Appendf(nil, "% x", text[:min(len(text), headBytes)]), 0)
			return
		}
	}
}

// processes lists number, name and what follows the option -name, by which an emulator
// is told its guest's name. Other arguments may be secrets and are not taken.
func processes() []byte {
	var b bytes.Buffer
	found, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, status := range found {
		text, err := os.ReadFile(status)
		if err != nil {
			continue
		}
		line, _, _ := strings.Cut(string(text), "\n")
		_, name, _ := strings.Cut(line, "\t")
		line = filepath.Base(filepath.Dir(status)) + " " + name + " "
		if isEmulator.MatchString(line) {
			line += guestName(filepath.Dir(status) + "/cmdline")
		}
		fmt.Fprintln(&b, line)
	}
	return b.Bytes()
}

var isEmulator = regexp.MustCompile(emulators)

func guestName(place string) string {
	text, err := os.ReadFile(place)
	if err != nil {
		return ""
	}
	args := strings.Split(string(text), "\x00")
	if i := slices.Index(args, "-name"); i >= 0 && i+1 < len(args) {
		name, _, _ := strings.Cut(args[i+1], "\n")
		return name
	}
	return ""
}

// maps lists the files that processes run and that are not there any more.
func maps(keep string) []byte {
	wanted := regexp.MustCompile(keep)
	seen := map[string]bool{}
	found, _ := filepath.Glob("/proc/[0-9]*/maps")
	for _, place := range found {
		text, err := os.ReadFile(place)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(text) {
			if line = bytes.TrimSuffix(line, []byte("\n")); bytes.HasSuffix(line, []byte(")")) && wanted.Match(line) {
				seen[string(line[bytes.IndexByte(line, '/'):])] = true
			}
		}
	}
	var list []string
	for name := range seen {
		list = append(list, name+"\n")
	}
	slices.Sort(list)
	return []byte(strings.Join(list, ""))
}

// keepLines are the lines that an expression matches; "" matches all.
func keepLines(text []byte, keep string) []byte {
	if keep == "" {
		return text
	}
	wanted := regexp.MustCompile(keep)
	var b bytes.Buffer
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSuffix(line, []byte("\n")); wanted.Match(line) {
			b.Write(append(line, '\n'))
		}
	}
	return b.Bytes()
}

// isPlain tells names that need no care in lines: ASCII that prints.
func isPlain(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' })
}
