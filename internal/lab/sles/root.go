package sles

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// root returns a root installed from a release's repositories. Its repositories
// point into the cache; see move.
func (w workshop) root(r release) (string, error) {
	keys, err := w.keys()
	if err != nil {
		return "", err
	}
	urls := map[string]string{}
	aliases := []string{"acme"}
	for _, c := range r.channels() {
		aliases = append(aliases, c.name)
	}
	for _, alias := range aliases {
		if urls[alias], err = w.repository(r, alias); err != nil {
			return "", err
		}
	}
	parent, err := w.cache.get("root-"+r.product+"-"+r.version, func(dir string) error {
		l := &Lab{Dir: dir, Root: filepath.Join(dir, "root"), Home: filepath.Join(dir, "home")}
		if err := l.furnish(); err != nil {
			return err
		}
		return w.install(l, r, keys, aliases, urls)
	})
	return filepath.Join(parent, "root"), err
}

// install puts the release into an empty root.
func (w workshop) install(l *Lab, r release, keys keyring, aliases []string, urls map[string]string) error {
	if err := devices(filepath.Join(l.Root, "dev")); err != nil {
		return err
	}
	if _, err := l.RPM(w.ctx, "--import", keys.public()); err != nil {
		return err
	}
	for _, alias := range aliases {
		args := []string{"addrepo", "--refresh", "--name", alias}
		if alias == "acme" {
			args = append(args, "--no-gpgcheck")
		}
		if _, err := l.Zypper(w.ctx, append(args, "file://"+urls[alias], alias)...); err != nil {
			return err
		}
	}
	if _, err := l.Zypper(w.ctx, "refresh"); err != nil {
		return err
	}
	install := []string{"install", "--no-recommends", "--download", "in-advance"}
	for _, p := range append(r.first(), r.foreign()...) {
		name := p.name
		if name == "openssh" { // whose update is still to come
			name += "=" + p.version + "-" + p.release
		}
		install = append(install, name)
	}
	if _, err := l.Zypper(w.ctx, install...); err != nil {
		return err
	}
	return r.use(w.ctx, l.Root)
}

// devices are the few that scriptlets open.
func devices(dir string) error {
	if err := makeDirs(dir); err != nil {
		return err
	}
	for name, minor := range map[string]uint32{"null": 3, "zero": 5, "random": 8, "urandom": 9} {
		node := filepath.Join(dir, name)
		if err := unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor))); err != nil {
			return fmt.Errorf("make %s: %w", node, err)
		}
		if err := os.Chmod(node, 0o666); err != nil { // whatever the umask is
			return err
		}
	}
	return nil
}

// move lets the repositories of a copied root point to the lab's.
func move(root, cache, repositories string) error {
	dir := filepath.Join(root, "etc/zypp/repos.d")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var b strings.Builder
		for line := range strings.Lines(string(raw)) {
			// Some zypper write file:///, some file:/.
			if _, alias, ok := strings.Cut(line, cache+"/repository-"); ok && strings.HasPrefix(line, "baseurl=file:") {
				alias = strings.TrimSpace(alias)
				if strings.HasPrefix(alias, "acme-") {
					alias = "acme"
				}
				line = "baseurl=file://" + filepath.Join(repositories, alias) + "\n"
			}
			b.WriteString(line)
		}
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func deviceOf(name string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return st.Dev, nil
}
