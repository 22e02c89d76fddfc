// Package backend reads where an opsi server keeps its data: the files of
// /etc/opsi/backends, which are written in Python, and dispatch.conf. It runs
// nothing and changes nothing, and looks at a machine, a mounted one or an
// unpacked archive alike. Databases, services and archives must not enter here.
package backend

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/host"
)

// Dir is where opsi's configuration is.
const Dir = "/etc/opsi"

// maxConfs bounds how many backends are read.
const maxConfs = 200

// Server is how one server is put together.
type Server struct {
	Confs []Conf // by file name
	// Dispatch is nil when there is no dispatch.conf.
	Dispatch *Dispatch
	// DispatchErr says why it could not be read.
	DispatchErr error
	// Role is what opsi.conf says since 4.3, configserver or depotserver; "" when
	// it says nothing.
	Role string
	// ID is the server's own id as opsi.conf or global.conf have it, or "".
	ID string
}

// Read looks at the configuration of a machine. A machine without opsi has no
// backends.
func Read(h *host.Host) (*Server, error) {
	return ReadFS(machine{h})
}

// ReadFS looks at the content of a directory /etc/opsi. Files that cannot be read
// are told in Conf.Err; an error is one of the directory.
func ReadFS(etc fs.FS) (*Server, error) {
	s := &Server{}
	entries, err := fs.ReadDir(etc, "backends")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list opsi's backends: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".conf") || e.IsDir() {
			continue
		}
		if len(s.Confs) == maxConfs {
			return nil, fmt.Errorf("opsi has more than %d backends", maxConfs)
		}
		s.Confs = append(s.Confs, readConf(etc, e.Name()))
	}
	for i, c := range s.Confs {
		if slices.ContainsFunc(s.Confs[:i], func(o Conf) bool { return o.Name == c.Name }) {
			s.Confs[i].Err = fmt.Errorf("is a second file for the backend %s", c.Name)
		}
	}
	text, err := read(etc, "backendManager/dispatch.conf")
	if err == nil {
		s.Dispatch, err = parseDispatch(text)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.DispatchErr = fmt.Errorf("dispatch.conf %w", err)
	}
	s.self(etc)
	return s, nil
}

func readConf(etc fs.FS, name string) Conf {
	stem, _, _ := strings.Cut(name, ".")
	c := Conf{Name: strings.ToLower(stem), File: name}
	text, err := read(etc, path.Join("backends", name))
	if err == nil {
		c.Module, c.Config, err = parseConf(text)
	}
	if err != nil {
		c.Err = fmt.Errorf("%s/backends/%s: %w", Dir, name, err)
	}
	return c
}

// read reads a file that is no larger than a configuration may be.
func read(etc fs.FS, name string) ([]byte, error) {
	f, err := etc.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("is no regular file"))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxConf+1))
	if err == nil && len(text) > maxConf {
		err = fmt.Errorf("is larger than %d bytes", maxConf)
	}
	return text, err
}

// Keys of opsi.conf (TOML since 4.3, INI before) and of the older global.conf.
var (
	roleLine = regexp.MustCompile(`(?m)^\s*server-role\s*=\s*["']?([a-z]+)["']?\s*(#.*)?$`)
	idLine   = regexp.MustCompile(`(?m)^\s*id\s*=\s*["']?([A-Za-z0-9][A-Za-z0-9.-]*)["']?\s*(#.*)?$`)
	nameLine = regexp.MustCompile(`(?m)^\s*hostname\s*=\s*["']?([A-Za-z0-9][A-Za-z0-9.-]*)["']?\s*(#.*)?$`)
)

// self reads what the server says about itself.
func (s *Server) self(etc fs.FS) {
	if text, err := read(etc, "opsi.conf"); err == nil {
		if m := roleLine.FindSubmatch(text); m != nil {
			s.Role = string(m[1])
		}
		if m := idLine.FindSubmatch(text); m != nil {
			s.ID = strings.ToLower(string(m[1]))
		}
	}
	if text, err := read(etc, "global.conf"); err == nil && s.ID == "" {
		if m := nameLine.FindSubmatch(text); m != nil {
			s.ID = strings.ToLower(string(m[1]))
		}
	}
}

// Conf finds a backend by name.
func (s *Server) Conf(name string) (Conf, bool) {
	for _, c := range s.Confs {
		if c.Name == name {
			return c, true
		}
	}
	return Conf{}, false
}

// Since43 tells whether a version of opsi keeps its data in MySQL alone. A version
// that is not known does when there is no dispatch.conf.
func (s *Server) Since43(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return s.Dispatch == nil && s.DispatchErr == nil
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (major > 4 || major == 4 && minor >= 3)
}

// Used lists the backends that opsi of a version uses, in the order of
// dispatch.conf; Lacking are those without a file. opsi 4.3 knows no dispatch.conf
// any more: there it is MySQL, and what a file left over still names. A depot
// server has no data of its own.
func (s *Server) Used(version string) (used []Conf, lacking []string) {
	var names []string
	if s.Dispatch != nil {
		names = s.Dispatch.Used()
	}
	if s.Since43(version) && s.Role != "depotserver" && len(s.Confs) > 0 && !slices.Contains(names, "mysql") {
		names = append([]string{"mysql"}, names...)
	}
	for _, name := range names {
		if c, ok := s.Conf(name); ok {
			used = append(used, c)
		} else {
			lacking = append(lacking, name)
		}
	}
	return used, lacking
}

// machine shows a machine's /etc/opsi as a file system. Links are resolved below
// the machine's root.
type machine struct{ host *host.Host }

func (m machine) Open(name string) (fs.File, error) {
	p, err := m.host.Path(path.Join(Dir, name))
	if err != nil {
		return nil, err
	}
	// A pipe must not hold the reader up.
	if info, err := os.Stat(p); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, fmt.Errorf("%s is no regular file", path.Join(Dir, name))
	}
	return os.Open(p)
}
