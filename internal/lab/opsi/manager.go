package opsi

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/lab/machine"
)

// manager is a double for opsi-package-manager: -i FILE... and -l [ID]. Like the
// real one it asks opsiconfd, so that has to run.
func manager(m *machine.Machine, c *machine.Call) int {
	var verb string
	var names []string
	for i := 0; i < len(c.Args); i++ {
		switch a := c.Args[i]; {
		case slices.Contains([]string{"-p", "--properties", "-d", "--depots", "--log-file", "-w", "--work-dir"}, a):
			i++ // its value
		case a == "-i" || a == "--install" || a == "-l" || a == "--list":
			verb = strings.TrimLeft(a, "-")[:1]
		case !strings.HasPrefix(a, "-"):
			names = append(names, a)
		}
	}
	err := errors.New("say --install FILE... or --list")
	switch {
	case !opsiconfdUnit().IsActive():
		return c.Fail(1, "ERROR: Failed to connect to https://localhost:4447/rpc: Connection refused")
	case verb == "i" && len(names) > 0:
		for _, name := range names {
			if err = installPackage(m, name); err != nil {
				break
			}
			c.Printf("Package %s installed on depot %s\n", filepath.Base(name), serverID(m))
		}
	case verb == "l":
		err = listProducts(m, c, names)
	}
	if err != nil {
		return c.Fail(1, "ERROR: %v", err)
	}
	return 0
}

// serverID is who this server takes itself for: opsi.conf, before 4.3 global.conf.
func serverID(m *machine.Machine) string {
	for path, form := range map[string]string{confDir + "/opsi.conf": `(?m)^id = "([^"]+)"`, confDir + "/global.conf": `(?m)^hostname = (\S+)`} {
		raw, _ := os.ReadFile(path)
		if found := regexp.MustCompile(form).FindSubmatch(raw); found != nil {
			return string(found[1])
		}
	}
	return m.Spec.Hostname
}

func installPackage(m *machine.Machine, name string) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	p, content, err := readPackage(name, raw)
	if err != nil {
		return err
	}
	if filepath.Dir(name) != repositoryDir { // the real one uploads it there first
		if err := p.store(raw); err != nil {
			return err
		}
	}
	if err := p.unpack(content); err != nil {
		return err
	}
	b, err := openBackends()
	if err != nil {
		return err
	}
	return b.record(serverID(m), p)
}

// record notes in all backends that the depot has the product.
func (b *backends) record(depot string, p product) error {
	if b.file {
		suffix := strings.ToLower(strings.TrimSuffix(p.kind, "Product"))
		old, err := filepath.Glob(filepath.Join(baseDir, "products", p.id+"_*"))
		if err != nil {
			return err
		}
		for _, path := range old {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
		if err := put(filepath.Join(baseDir, "products", p.id+"_"+p.version+"-"+p.release+"."+suffix), p.control(), 0o660, fileOwner); err != nil {
			return err
		}
		path := filepath.Join(baseDir, "depots", depot+".ini")
		raw, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("depot %s is unknown: %w", depot, err)
		}
		if !strings.Contains(string(raw), "["+p.id+"-state]\n") {
			if err := put(path, string(raw)+p.stateIni(), 0o660, fileOwner); err != nil {
				return err
			}
		}
		if err := errors.Join(replaceOption(path, p.id+"-state", "productversion", p.version), replaceOption(path, p.id+"-state", "packageversion", p.release)); err != nil {
			return err
		}
	}
	if b.db == nil {
		return nil
	}
	if _, err := b.db.Exec("INSERT IGNORE INTO PRODUCT (productId, productVersion, packageVersion, type, name, licenseRequired, setupScript, priority, description) VALUES (?, ?, ?, ?, ?, 0, 'setup.opsiscript', 0, '')",
		p.id, p.version, p.release, p.kind, p.name); err != nil {
		return err
	}
	_, err := b.db.Exec("INSERT INTO PRODUCT_ON_DEPOT (productId, productVersion, packageVersion, depotId, productType, locked) VALUES (?, ?, ?, ?, ?, 0) ON DUPLICATE KEY UPDATE productVersion = VALUES(productVersion), packageVersion = VALUES(packageVersion)",
		p.id, p.version, p.release, depot, p.kind)
	return err
}

// installed is what the depot has by the backends: version by product.
func (b *backends) installed(depot string) (map[string]string, error) {
	has := map[string]string{}
	if b.db == nil {
		raw, err := os.ReadFile(filepath.Join(baseDir, "depots", depot+".ini"))
		for _, found := range regexp.MustCompile(`(?m)^\[(\S+)-state\]\nproducttype = \S+\nproductversion = (\S+)\npackageversion = (\S+)$`).FindAllStringSubmatch(string(raw), -1) {
			has[found[1]] = found[2] + "-" + found[3]
		}
		return has, err
	}
	rows, err := b.db.Query("SELECT productId, productVersion, packageVersion FROM PRODUCT_ON_DEPOT WHERE depotId = ?", depot)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, version, release string
		if err := rows.Scan(&id, &version, &release); err != nil {
			return nil, err
		}
		has[id] = version + "-" + release
	}
	return has, rows.Err()
}

func listProducts(m *machine.Machine, c *machine.Call, only []string) error {
	b, err := openBackends()
	if err != nil {
		return err
	}
	depot := serverID(m)
	has, err := b.installed(depot)
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(has))
	for id := range has {
		if len(only) == 0 || slices.Contains(only, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	c.Printf("%s\n%s\n   %-24s %s\n   %s\n", depot, strings.Repeat("=", len(depot)), "Product ID", "Version", strings.Repeat("-", 40))
	for _, id := range ids {
		c.Printf("   %-24s %s\n", id, has[id])
	}
	return nil
}
