package opsi

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/lab/machine"
)

// upstream is what the configured package repositories offer: all that was not made
// here. A newer one of firefox is there when the lab was built so.
func upstream(m *machine.Machine) []product {
	s := machine.MustPart[Spec](m)
	var offer []product
	for _, p := range newModel(s, m.Spec.Hostname).products {
		if p.id == siteProduct {
			continue
		}
		if p.id == "firefox" && s.Update != "" {
			p.version = s.Update
		}
		offer = append(offer, p)
	}
	return offer
}

type repo struct {
	name, url string
	active    bool
}

var option = regexp.MustCompile(`(?m)^(\w+)\s*=\s*(.*)$`)

// repositories reads the configured ones.
func repositories() ([]repo, error) {
	files, err := filepath.Glob(confDir + "/package-updater.repos.d/*.repo")
	if err != nil {
		return nil, err
	}
	var repos []repo
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		r := repo{name: strings.TrimSuffix(filepath.Base(path), ".repo")}
		for _, found := range option.FindAllStringSubmatch(string(raw), -1) {
			switch found[1] {
			case "active":
				r.active = strings.EqualFold(strings.TrimSpace(found[2]), "true")
			case "baseUrl":
				r.url = strings.TrimSpace(found[2])
			}
		}
		repos = append(repos, r)
	}
	return repos, nil
}

// updater is a double for opsi-package-updater: list, download, install and update,
// all with names of products to choose. Like the real one it takes packages that
// the depot has in an older version; --force takes all that are chosen.
func updater(m *machine.Machine, c *machine.Call) int {
	var verb, what string
	var only []string
	force := false
	for _, a := range c.Args {
		switch {
		case a == "--force":
			force = true
		case strings.HasPrefix(a, "--"):
			what = a
		case strings.HasPrefix(a, "-"):
		case verb == "":
			verb = a
		default:
			only = append(only, a)
		}
	}
	repos, err := repositories()
	if err == nil && !slices.ContainsFunc(repos, func(r repo) bool { return r.active }) {
		err = fmt.Errorf("no active repository in %s/package-updater.repos.d", confDir)
	}
	var b *backends
	if err == nil {
		b, err = openBackends()
	}
	if err != nil {
		return c.Fail(1, "ERROR: %v", err)
	}
	has, err := b.installed(serverID(m))
	if err != nil {
		return c.Fail(1, "ERROR: %v", err)
	}
	if verb == "list" {
		list(m, c, what, repos, has)
		return 0
	}
	if !slices.Contains([]string{"download", "install", "update"}, verb) {
		return c.Fail(2, "opsi-package-updater: say list, download, install or update")
	}
	for _, p := range upstream(m) {
		version, there := has[p.id]
		chosen := slices.Contains(only, p.id) || len(only) == 0 && there
		newer := version != p.version+"-"+p.release
		// What install is told by name needs no older one.
		if !chosen || !force && !newer || verb == "update" && !there {
			continue
		}
		if err := fetch(c, p, force); err != nil {
			return c.Fail(1, "ERROR: %v", err)
		}
		if verb == "download" {
			continue
		}
		if code := manager(m, &machine.Call{Name: "opsi-package-manager", Args: []string{"-i", filepath.Join(repositoryDir, p.fileName())}, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr}); code != 0 {
			return code
		}
	}
	return 0
}

// fetch brings a package into the repository in place of its older ones.
func fetch(c *machine.Call, p product, force bool) error {
	if p.kept() && !force {
		return nil
	}
	old, err := filepath.Glob(filepath.Join(repositoryDir, p.id+"_*.opsi*"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	if err := p.keep(); err != nil {
		return err
	}
	c.Printf("Downloaded %s\n", p.fileName())
	return nil
}

func list(m *machine.Machine, c *machine.Call, what string, repos []repo, has map[string]string) {
	if what == "--repos" || what == "--active-repos" {
		for _, r := range repos {
			if r.active || what == "--repos" {
				c.Printf("%s: %s (active: %t)\n", r.name, r.url, r.active)
			}
		}
		return
	}
	for _, p := range upstream(m) {
		now, there := has[p.id]
		version := p.version + "-" + p.release
		if what == "--updatable-packages" && (!there || now == version) {
			continue
		}
		if !there {
			now = "not installed"
		}
		if what == "--packages-and-installed" || what == "--updatable-packages" {
			c.Printf("%s (Version %s): %s\n", p.id, version, now)
		} else {
			c.Printf("%s (Version %s)\n", p.id, version)
		}
	}
}
