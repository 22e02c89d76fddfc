package opsi

import (
	"context"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/component/mysql"
	"lifeboat/internal/host"
	"lifeboat/internal/product/opsi/backend"
)

// maxText bounds a configuration file, in bytes.
const maxText = 16 << 20

// text is a file of the machine; "" when it is not there or not readable.
func (v *view) text(name string) string {
	p, err := v.scope.Host.Path(name)
	if err != nil {
		return ""
	}
	if info, err := os.Stat(p); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	f, err := os.Open(p)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxText))
	if err != nil {
		return ""
	}
	return string(b)
}

// outside keeps the existing files and directories that are not in /etc/opsi,
// which is saved whole.
func (v *view) outside(files []string) []string {
	var kept []string
	for _, f := range files {
		f = path.Clean(f)
		if path.IsAbs(f) && f != "/" && !within(f, backend.Dir) && !slices.Contains(kept, f) && v.there(f) {
			kept = append(kept, f)
		}
	}
	return kept
}

func groups(re *regexp.Regexp, text string) []string {
	var found []string
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// Keys of opsiconfd.conf; before 4.2 with blanks in place of hyphens.
var tlsLine = regexp.MustCompile(`(?m)^\s*ssl[- ](?:ca|server)[- ](?:cert|key)\s*=\s*["']?(/[^\s"']+)`)

// tlsFiles lists certificates and keys outside of /etc/opsi.
func (v *view) tlsFiles() []string {
	return v.outside(groups(tlsLine, v.text(backend.Dir+"/opsiconfd.conf")))
}

var reposLine = regexp.MustCompile(`(?mi)^\s*repositoryConfigDir\s*=\s*(/.*?)\s*$`)

// updaterFiles lists what opsi-package-updater reads outside of /etc/opsi.
func (v *view) updaterFiles() []string {
	return v.outside(groups(reposLine, v.text(backend.Dir+"/opsi-package-updater.conf")))
}

// dhcpdPlaces are where opsi looks for the DHCP server's configuration.
var dhcpdPlaces = []string{"/etc/dhcpd.conf", "/etc/dhcp/dhcpd.conf", "/etc/dhcp3/dhcpd.conf"}

// dhcpdConf is the configuration of the DHCP server: the one that the backend
// names, used or not, else one that is there.
func (v *view) dhcpdConf() string {
	for _, c := range v.server.Confs {
		if c.Err != nil || c.Kind() != backend.DHCP {
			continue
		}
		if f, err := c.DHCPConfigFile(); err == nil && f != "" {
			return f
		}
	}
	for _, f := range dhcpdPlaces {
		if v.there(f) {
			return f
		}
	}
	return ""
}

// dhcpdFiles lists the DHCP server's configuration and what it includes.
func (v *view) dhcpdFiles() []string {
	return v.outside(backend.DHCPFiles(v.dhcpdConf(), v.text))
}

// dhcpServices are the names of the DHCP server's service.
var dhcpServices = []string{"isc-dhcp-server", "dhcpd", "dhcp3-server"}

// dhcpService names the DHCP server that runs.
func dhcpService(ctx context.Context, h *host.Host) (string, error) {
	for _, name := range dhcpServices {
		active, err := h.ServiceActive(ctx, name)
		if err != nil {
			return "", err
		}
		if active {
			return name, nil
		}
	}
	return "", nil
}

// shares are the directories that the server's own object names.
var shares = map[string]struct {
	column, section string
	places          []string // where they are when nothing says so, newest first
}{
	"depot_dir":      {"depotLocalUrl", "depotshare", []string{"/var/lib/opsi/depot", "/opt/pcbin/install"}},
	"workbench_dir":  {"workbenchLocalUrl", "workbench", []string{"/var/lib/opsi/workbench", "/home/opsiproducts"}},
	"repository_dir": {"repositoryLocalUrl", "repository", []string{"/var/lib/opsi/repository", "/var/lib/opsi/products"}},
}

// share finds a directory of the depot that this server is.
func (v *view) share(ctx context.Context, what string) string {
	s := shares[what]
	id, err := v.serverID(ctx)
	if err != nil {
		id = ""
	}
	if c, ok := v.first(backend.File); ok && id != "" && !strings.Contains(id, "/") {
		if dir := localURL(iniValue(v.text(path.Join(baseDir(c), "depots", id+".ini")), s.section, "localurl")); dir != "" {
			return dir
		}
	}
	if dir := localURL(v.column(ctx, s.column, id)); dir != "" {
		return dir
	}
	for _, dir := range s.places {
		if v.there(dir) {
			return dir
		}
	}
	return s.places[0]
}

// column asks the database for a column of the server's own row. A database that
// does not answer is no mistake here: the backup itself says so.
func (v *view) column(ctx context.Context, name, id string) string {
	c, ok := v.first(backend.MySQL)
	if !ok || !v.scope.Host.IsLocal() {
		return "" // of other machines only files are there
	}
	d, err := c.Database()
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	access := mysql.Access{Host: d.Host, Socket: d.Socket, User: d.User, Password: d.Password}
	rows, err := mysql.Query(ctx, v.scope.Host, access, d.Name, "SELECT hostId, COALESCE("+name+", '') FROM HOST WHERE type IN ('OpsiConfigserver', 'OpsiDepotserver')")
	if err != nil {
		return ""
	}
	for _, row := range rows {
		if len(row) == 2 && (strings.EqualFold(row[0], id) || len(rows) == 1) {
			return row[1]
		}
	}
	return ""
}

// localURL is the directory of a URL file:///DIRECTORY.
func localURL(url string) string {
	dir, ok := strings.CutPrefix(strings.TrimSpace(url), "file://")
	if !ok || !path.IsAbs(dir) || path.Clean(dir) == "/" || strings.ContainsAny(dir, "\n\x00") {
		return ""
	}
	return path.Clean(dir)
}

// iniValue reads a key of a file of the file backend; names are without case.
func iniValue(text, section, key string) string {
	in := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			in = strings.TrimSpace(line[1 : len(line)-1])
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if ok && strings.EqualFold(in, section) && strings.EqualFold(strings.TrimSpace(name), key) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
