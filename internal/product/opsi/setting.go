package opsi

import (
	"context"
	"fmt"
	"os"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/product/opsi/backend"
	"lifeboat/internal/profile"
)

// Options are the options of the source opsi.
type Options struct {
	// What is asked for. Lists are one entry a line.
	What string `yaml:"what" short:"true" jsonschema:"required,enum=version,enum=library,enum=schema,enum=server_id,enum=backends,enum=broken,enum=absent,enum=ignored,enum=file_base,enum=host_keys,enum=host_keys_inside,enum=db_host,enum=db_socket,enum=db_name,enum=db_user,enum=db_password,enum=dhcpd_conf,enum=dhcpd_files,enum=dhcp_service,enum=tls_files,enum=updater_files,enum=depot_dir,enum=workbench_dir,enum=repository_dir,enum=depot_changes"`
	// Version of opsi, on which it depends whether dispatch.conf counts. Without
	// it that of the installed opsi counts.
	Version string `yaml:"version,omitempty"`
	// Dir is the depot, for depot_changes.
	Dir string `yaml:"dir,omitempty"`
}

// view is one look at a server's configuration.
type view struct {
	scope   profile.Scope
	version string
	server  *backend.Server
	used    []backend.Conf
	lacking []string
}

// lookAt looks at a machine with the opsi that is installed there.
func lookAt(ctx context.Context, h *host.Host) (*view, error) {
	version, err := installedVersion(ctx, h)
	if err != nil {
		return nil, err
	}
	return look(scopeOf(h), version)
}

func look(scope profile.Scope, version string) (*view, error) {
	server, err := backend.Read(scope.Host)
	if err != nil {
		return nil, err
	}
	v := &view{scope: scope, version: version, server: server}
	used, lacking := server.Used(version)
	for _, c := range used {
		if c.Kind() == backend.File && server.Since43(version) && !v.there(baseDir(c)) {
			continue // left over from before an update
		}
		v.used = append(v.used, c)
	}
	v.lacking = lacking
	return v, nil
}

func baseDir(c backend.Conf) string {
	b, err := c.FileBackend()
	if err != nil {
		return ""
	}
	return b.BaseDir
}

// there tells whether something is at a path of the machine.
func (v *view) there(name string) bool {
	p, err := v.scope.Host.Path(name)
	if err != nil || name == "" {
		return false
	}
	_, err = os.Stat(p)
	return err == nil
}

// first is the used backend of a kind.
func (v *view) first(kind backend.Kind) (backend.Conf, bool) {
	for _, c := range v.used {
		if c.Kind() == kind && c.Err == nil {
			return c, true
		}
	}
	return backend.Conf{}, false
}

// read answers the source opsi. What concerns a backend that is not used has no
// value.
func read(ctx context.Context, scope profile.Scope, options any) (string, bool, error) {
	o, ok := options.(*Options)
	if !ok {
		return "", false, fmt.Errorf("source opsi: options are %T", options)
	}
	switch o.What {
	case "version":
		return valued(installedVersion(ctx, scope.Host))
	case "library":
		return valued(libraryVersion(ctx, scope.Host))
	case "schema":
		return installedSchema(ctx, scope)
	case "depot_changes":
		return valued(depotChanges(ctx, scope.Host, o.Dir))
	case "dhcp_service":
		return valued(dhcpService(ctx, scope.Host))
	}
	version := o.Version
	if version == "" {
		var err error
		if version, err = installedVersion(ctx, scope.Host); err != nil {
			return "", false, err
		}
	}
	v, err := look(scope, version)
	if err != nil {
		return "", false, err
	}
	switch o.What {
	case "server_id":
		return valued(v.serverID(ctx))
	case "backends":
		return valued(strings.Join(v.kinds(), " "), nil)
	case "broken":
		return valued(strings.Join(v.broken(), "; "), nil)
	case "absent":
		return valued(strings.Join(v.absent(), "; "), nil)
	case "ignored":
		return valued(strings.Join(v.ignored(), "; "), nil)
	case "file_base", "host_keys", "host_keys_inside":
		return v.fileBackend(o.What)
	case "db_host", "db_socket", "db_name", "db_user", "db_password":
		return v.database(o.What)
	case "dhcpd_conf":
		return valued(v.dhcpdConf(), nil)
	case "dhcpd_files":
		return valued(strings.Join(v.dhcpdFiles(), "\n"), nil)
	case "tls_files":
		return valued(strings.Join(v.tlsFiles(), "\n"), nil)
	case "updater_files":
		return valued(strings.Join(v.updaterFiles(), "\n"), nil)
	case "depot_dir", "workbench_dir", "repository_dir":
		return valued(v.share(ctx, o.What), nil)
	}
	return "", false, fmt.Errorf("source opsi: nothing is called %q", o.What)
}

// valued is an answer of which an empty one is none.
func valued(text string, err error) (string, bool, error) {
	return text, text != "" && err == nil, err
}

func installedSchema(ctx context.Context, scope profile.Scope) (string, bool, error) {
	text, err := installedVersion(ctx, scope.Host)
	if err != nil || text == "" {
		return "", false, err
	}
	v, err := parseVersion(text)
	if err != nil {
		return "", false, nil
	}
	return expected(v).String(), true, nil
}

// serverID is the id of the server's own object: what opsi.conf says, else the
// machine's full name.
func (v *view) serverID(ctx context.Context) (string, error) {
	if v.server.ID != "" {
		return v.server.ID, nil
	}
	facts, err := v.scope.Host.Facts(ctx)
	if err != nil {
		return "", err
	}
	return strings.ToLower(facts.FQDN), nil
}

// kinds lists what holds data: file, mysql, dhcp.
func (v *view) kinds() []string {
	var kinds []string
	for _, kind := range []backend.Kind{backend.File, backend.MySQL, backend.DHCP} {
		if _, ok := v.first(kind); ok {
			kinds = append(kinds, string(kind))
		}
	}
	return kinds
}

func (v *view) fileBackend(what string) (string, bool, error) {
	c, ok := v.first(backend.File)
	if !ok {
		return "", false, nil
	}
	b, err := c.FileBackend()
	switch {
	case err != nil:
		return "", false, nil // told as broken
	case what == "file_base":
		return b.BaseDir, true, nil
	case what == "host_keys":
		return b.HostKeyFile, true, nil
	case within(b.HostKeyFile, backend.Dir) && v.there(b.HostKeyFile): // else absent tells, or somebody said that it is right
		return b.HostKeyFile, true, nil
	}
	return "", false, nil
}

func (v *view) database(what string) (string, bool, error) {
	c, ok := v.first(backend.MySQL)
	if !ok {
		return "", false, nil
	}
	d, err := c.Database()
	if err != nil {
		return "", false, nil // told as broken
	}
	return valued(map[string]string{
		"db_host": d.Host, "db_socket": d.Socket, "db_name": d.Name, "db_user": d.User, "db_password": d.Password,
	}[what], nil)
}

// within tells whether a path is at or below a directory.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}
