package opsi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/product"
	"lifeboat/internal/product/opsi/archive"
	"lifeboat/internal/product/opsi/backend"
	"lifeboat/internal/product/opsi/document"
)

// unpack takes what a tool of opsi has written into an empty directory and
// describes what is in it.
func unpack(ctx context.Context, file, dir string, password product.Password) (*product.Import, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if document.Detect(f) {
		return unpackDocument(ctx, f, dir, password)
	}
	return unpackArchive(ctx, file, dir)
}

// unpackArchive takes an archive of opsi-backup.
func unpackArchive(ctx context.Context, file, dir string) (*product.Import, error) {
	a, err := archive.Open(ctx, file, archive.DefaultLimits)
	if errors.Is(err, archive.ErrForeign) {
		return nil, fmt.Errorf("%w: %w", product.ErrUnrecognised, err)
	}
	if err != nil {
		return nil, err
	}
	defer a.Close()
	if err := a.Unpack(ctx, dir); err != nil {
		return nil, err
	}
	s := &saved{archive: a, result: &product.Import{
		Origin: origin(a), Moment: a.Moment(), Warnings: a.Verify().Remarks(), Settings: map[string]string{}, Facts: factsOf(a.Info),
	}}
	if os.Geteuid() == 0 {
		s.result.Users, s.result.Groups = a.Accounts.Users, a.Accounts.Groups
	} else {
		s.warn("the owners of the files are not kept: only root may set them")
	}
	if err := s.describe(dir); err != nil {
		return nil, err
	}
	return s.result, nil
}

func origin(a *archive.Archive) string {
	text := "archive of opsi-backup"
	if a.Info.Hostname != "" {
		text += " of " + a.Info.Hostname
	}
	if a.Info.OpsiVersion != "" {
		text += ", opsi " + a.Info.OpsiVersion
	}
	if when := a.Moment(); !when.IsZero() {
		text += ", " + when.Format(time.DateTime)
	}
	return text
}

// systems are the ids of os-release(5) for names that sysinfo has.
var systems = []struct{ name, id string }{
	{"debian", "debian"},
	{"ubuntu", "ubuntu"},
	{"univention", "univention-corporate-server"},
	{"opensuse leap", "opensuse-leap"},
	{"opensuse", "opensuse"},
	{"sles", "sles"},
	{"suse linux enterprise server", "sles"},
	{"red hat", "rhel"},
	{"rocky", "rocky"},
	{"almalinux", "almalinux"},
	{"oracle", "ol"},
	{"centos", "centos"},
}

// factsOf is what sysinfo tells of the lost machine. The version in it is that of
// the library python-opsi, whose last numbers are others than those of opsiconfd:
// only its line is taken.
func factsOf(info archive.Info) map[string]string {
	f := map[string]string{"hostname": info.Hostname, "fqdn": info.FQDN, "os_version": info.Version()}
	if v, err := parseVersion(info.OpsiVersion); err == nil {
		f["version"] = v.line()
	}
	if info.Distribution != "" {
		f["os"] = strings.TrimSpace(info.Distribution + " " + info.Version())
		if strings.HasPrefix(info.Distribution, "Debian") && info.DistributionID != "" { // as os-release(5) has it
			f["os"] += " (" + info.DistributionID + ")"
		}
		for _, s := range systems {
			if strings.HasPrefix(strings.ToLower(info.Distribution), s.name) {
				f["os_id"] = s.id
				break
			}
		}
	}
	maps.DeleteFunc(f, func(_, value string) bool { return value == "" })
	return f
}

// saved describes an unpacked archive.
type saved struct {
	archive *archive.Archive
	server  *backend.Server
	used    []backend.Conf
	result  *product.Import
}

func (s *saved) warn(format string, args ...any) {
	s.result.Warnings = append(s.result.Warnings, fmt.Sprintf(format, args...))
}

func (s *saved) describe(dir string) error {
	s.server = &backend.Server{}
	if s.archive.Configuration {
		root, err := os.OpenRoot(filepath.Join(dir, configurationDir))
		if err != nil {
			return err
		}
		defer root.Close()
		if s.server, err = backend.ReadFS(root.FS()); err != nil { // links out of it are not followed
			return err
		}
		s.take("configuration", backend.Dir, configurationDir, true)
	} else {
		s.usualPlaces()
		s.miss("configuration", "opsi's configuration, left out with --no-configuration", "No client trusts the server and the server knows no client; database access, licences and everything set by hand are gone.", true)
	}
	var lacking []string
	s.used, lacking = s.server.Used(s.archive.Info.OpsiVersion)
	if s.archive.Configuration {
		if why := s.unusable(lacking); len(why) > 0 {
			s.result.Unusable = map[string][]string{Configuration: why}
		}
	}
	s.set("opsi_version", s.archive.Info.OpsiVersion)
	s.result.Settings["absent"] = "" // what the archive lacks is missed below
	if s.server.ID == "" {
		s.set("server_id", strings.ToLower(s.archive.Info.FQDN))
		s.result.Facts["server_id"] = strings.ToLower(s.archive.Info.FQDN)
	}
	var kinds []string
	for _, part := range []struct {
		kind backend.Kind
		take func() bool
	}{{backend.File, s.files}, {backend.MySQL, s.database}, {backend.DHCP, s.dhcp}} {
		used := slices.ContainsFunc(s.used, func(c backend.Conf) bool { return c.Kind() == part.kind })
		if part.take() || used && part.kind != backend.DHCP {
			kinds = append(kinds, string(part.kind))
		}
	}
	// What the archive holds counts, as it would for opsi-backup, and what it
	// should hold: without that the point is incomplete.
	s.set("backends", strings.Join(kinds, " "))
	s.result.Facts["backends"] = strings.Join(kinds, " ")
	s.contents()
	for _, m := range []struct{ what, loss string }{
		{"the depot, the workbench and the packages", "Packages must be fetched again; own ones, and what was changed in the depot by hand, are gone."},
		{"the menus of the network boot, and files that dhcpd.conf includes", "Menus that were changed by hand must be changed again."},
		{"the network as Lifeboat records it", "Addresses and routes are known only from notes."},
	} {
		s.miss("", m.what, m.loss, false)
	}
	return nil
}

// usualPlaces tells that nothing in the archive says where its data were. The same
// configuration is wanted on the machine that they come back to: without a
// dispatch.conf an opsi before 4.3 does not look for them anywhere.
func (s *saved) usualPlaces() {
	var places []string
	part := func(p archive.Part, text string) {
		if slices.ContainsFunc(s.archive.Backends, func(b archive.Backend) bool { return b.Part == p }) {
			places = append(places, text)
		}
	}
	at, _ := backend.Conf{}.FileBackend()
	db, _ := backend.Conf{}.Database()
	part(archive.Files, fmt.Sprintf("the file backend to %s with its host keys in %s", at.BaseDir, at.HostKeyFile))
	part(archive.Database, "the database to "+db.Name)
	part(archive.DHCP, "the DHCP server's configuration to "+usualDHCP)
	if len(places) == 0 {
		return
	}
	s.warn("%s: %s", noPlaces, strings.Join(places, ", "))
	if v, err := parseVersion(s.archive.Info.OpsiVersion); err != nil || v.less(version{4, 3}) {
		s.result.Needs = []string{backend.Dir + "/backendManager/dispatch.conf"}
	}
}

// noPlaces begins what is told of an archive that does not say where its data were.
const noPlaces = "the archive has no configuration, which would say where its data were; they are taken to belong to the usual places"

// unusable tells why opsi would not start, or have no data, with the configuration
// of the archive.
func (s *saved) unusable(lacking []string) []string {
	var list []string
	switch {
	case s.server.DispatchErr != nil:
		list = append(list, s.server.DispatchErr.Error())
	case s.server.Dispatch == nil && len(s.server.Confs) == 0:
		list = append(list, "it has no file of a backend")
	case s.server.Dispatch == nil && !s.server.Since43(s.archive.Info.OpsiVersion):
		list = append(list, fmt.Sprintf("it has no dispatch.conf, and opsi %s needs one", s.archive.Info.OpsiVersion))
	}
	for _, name := range lacking {
		if !slices.Contains(dataless, name) {
			list = append(list, fmt.Sprintf("it has no file for the backend %s, which opsi used", name))
		}
	}
	for _, c := range s.used {
		if c.Err != nil {
			list = append(list, fmt.Sprintf("the file of the backend %s, which opsi used, cannot be read: %v", c.Name, c.Err))
		}
	}
	return list
}

// usualDHCP is where the DHCP server's configuration is when nothing says so.
const usualDHCP = "/etc/dhcp/dhcpd.conf"

// configurationDir is where an archive has /etc/opsi.
var configurationDir = path.Join("CONTENT", string(archive.Configuration))

func (s *saved) set(name, value string) {
	if value != "" {
		s.result.Settings[name] = value
	}
}

func (s *saved) take(component, to, from string, dir bool) {
	s.result.Files = append(s.result.Files, product.ImportFile{Path: to, From: from, Component: component, Dir: dir})
}

func (s *saved) miss(component, what, loss string, critical bool) {
	s.result.Missing = append(s.result.Missing, product.Missing{Component: component, What: what, Loss: loss, Critical: critical})
}

// choose is the backend of a part that is taken: the one that opsi used, else the
// first. A server uses one of each; an archive may have more.
func (s *saved) choose(part archive.Part, kind backend.Kind, component string) (name string, conf backend.Conf, found bool) {
	var names []string
	for _, b := range s.archive.Backends {
		if b.Part == part {
			names = append(names, b.Name)
		}
	}
	used := slices.IndexFunc(s.used, func(c backend.Conf) bool { return c.Kind() == kind })
	if len(names) == 0 {
		if used >= 0 {
			s.miss(component, fmt.Sprintf("what the backend %s holds", s.used[used].Name), "It was left out when the archive was made.", kind != backend.DHCP)
		}
		return "", backend.Conf{}, false
	}
	name = names[0]
	if used >= 0 && slices.Contains(names, s.used[used].Name) {
		name = s.used[used].Name
	} else if len(s.server.Confs) > 0 {
		s.warn("opsi did not use the backend %s when the archive was made; it is taken all the same", name)
	}
	for _, other := range names {
		if other != name {
			s.warn("the archive holds another backend of that kind, %s; %s is taken", other, name)
			s.result.Unknown = append(s.result.Unknown, path.Join("CONTENT", string(part), other))
		}
	}
	conf, _ = s.server.Conf(name)
	return name, conf, true
}

func (s *saved) files() bool {
	name, conf, found := s.choose(archive.Files, backend.File, "file-backend")
	if !found {
		return false
	}
	at, err := conf.FileBackend()
	if err != nil {
		s.warn("%v; the usual places are taken", err)
		at, _ = backend.Conf{}.FileBackend()
	}
	s.take("file-backend", at.BaseDir, path.Join("CONTENT", string(archive.Files), name), true)
	s.set("file_base", at.BaseDir)
	s.set("host_keys", at.HostKeyFile)
	s.hostKeys(name, at.HostKeyFile)
	return true
}

// hostKeys takes the keys for the file backend: as the configuration has them, of
// which they are a part too, else the copy beside the file backend.
func (s *saved) hostKeys(name, to string) {
	if within(to, backend.Dir) {
		s.set("host_keys_inside", to)
	}
	for _, which := range []func(*archive.Member) bool{
		func(m *archive.Member) bool {
			return m.Part == archive.Configuration && path.Join(backend.Dir, m.Path) == to && (m.Type == archive.Regular || m.Type == archive.Hardlink)
		},
		func(m *archive.Member) bool { return m.Part == archive.HostKeys && m.Backend == name },
	} {
		if i := slices.IndexFunc(s.archive.Members, which); i >= 0 {
			s.take("file-backend", to, s.archive.Members[i].Name, false)
			return
		}
	}
	if base := s.result.Settings["file_base"]; !within(to, base) {
		s.miss("file-backend", "the host keys of the file backend (archives of opsi-backup before 2018 lack them)", "Each client must get a new key.", true)
	}
}

func (s *saved) database() bool {
	name, conf, found := s.choose(archive.Database, backend.MySQL, "database")
	if !found {
		return false
	}
	at, err := conf.Database()
	if err != nil {
		s.warn("%v; the usual values are taken", err)
		at, _ = backend.Conf{}.Database()
	}
	s.result.Dumps = []product.ImportDump{{
		Database: at.Name, Component: "database", From: path.Join("CONTENT", string(archive.Database), name, "database.sql"),
		Charset: "utf8mb4", // the tables say theirs; that of the database is not in a dump
	}}
	s.set("db_name", at.Name)
	return true
}

func (s *saved) dhcp() bool {
	name, conf, found := s.choose(archive.DHCP, backend.DHCP, "dhcp")
	if !found {
		return false
	}
	to, err := conf.DHCPConfigFile()
	if err != nil || to == "" {
		to = usualDHCP
	}
	for _, m := range s.archive.Members {
		if m.Part == archive.DHCP && m.Backend == name {
			s.take("dhcp", to, m.Name, false)
			s.set("dhcpd_conf", to)
			s.set("dhcpd_files", to)
			return true
		}
	}
	return false
}

func members(n int64) string {
	if n == 1 {
		return "1 member"
	}
	return fmt.Sprintf("%d members", n)
}

// contents lists what is in the archive, for people.
func (s *saved) contents() {
	var files, bytes int64
	for _, m := range s.archive.Members {
		if m.Part == archive.Configuration && m.Type == archive.Regular {
			files, bytes = files+1, bytes+m.Size
		}
	}
	add := func(name string, n, bytes int64) {
		s.result.Contents = append(s.result.Contents, product.ImportContent{Kind: "part", Name: name, Bytes: bytes, Note: members(n)})
	}
	if s.archive.Configuration {
		add("configuration", files, bytes)
	}
	for _, b := range s.archive.Backends {
		add(strings.TrimPrefix(string(b.Part), "BACKENDS/")+" "+b.Name, int64(b.Members), b.Bytes)
	}
}
