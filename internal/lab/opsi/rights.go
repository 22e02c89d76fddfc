package opsi

import (
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/internal/lab/machine"
)

// rights are the owners and modes that opsi gives to what it needs.
func (s Spec) rights() []rule {
	return []rule{
		{confDir, adminOwner, 0o660, 0o770},
		{baseDir, fileOwner, 0o660, 0o770},
		{depotDir, fileOwner, 0o660, 0o2770},
		{repositoryDir, fileOwner, 0o660, 0o2770},
		{s.workbench(), fileOwner, 0o660, 0o2770},
		{tftpDir, fileOwner, 0o660, 0o770},
		{logDir, fileOwner, 0o660, 0o770},
		{"/var/lib/opsi/ntfs-images", fileOwner, 0o660, 0o2770},
	}
}

type rule struct {
	dir, owner  string
	files, dirs fs.FileMode
}

// exceptions are files whose mode is not that of their neighbours.
var exceptions = map[string]fs.FileMode{
	confDir: 0o755, caCert: 0o644, caKey: 0o600, serverCert: 0o600, serverKey: 0o600, confDir + "/ssl": 0o750,
}

// setRightsCommand is a double for opsi-set-rights [PATH] and opsi-setup --set-rights.
func setRightsCommand(m *machine.Machine, c *machine.Call) int {
	only := ""
	if len(c.Args) > 0 {
		only = filepath.Clean(c.Args[len(c.Args)-1])
	}
	if err := machine.MustPart[Spec](m).setRights(only); err != nil {
		return c.Fail(1, "%s: %v", c.Name, err)
	}
	return 0
}

// setRights sets all rights, or those of a part.
func (s Spec) setRights(only string) error {
	for _, r := range s.rights() {
		if err := r.apply(only); err != nil {
			return err
		}
	}
	return nil
}

func (r rule) apply(only string) error {
	if !machine.Exists(r.dir) {
		return nil
	}
	return filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if only != "" && path != only && !below(only, path) {
			return nil
		}
		if err := machine.Own(r.owner, path); err != nil {
			return err
		}
		mode := r.files
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			return nil
		case d.IsDir():
			mode = r.dirs
		}
		if m, ok := exceptions[path]; ok {
			mode = m
		}
		return chmod(path, mode)
	})
}

func below(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// chmod takes the numbers of chmod(1): 2770 is the group's bit and 770.
func chmod(path string, mode fs.FileMode) error {
	m := mode.Perm()
	if mode&0o2000 != 0 {
		m |= os.ModeSetgid
	}
	return os.Chmod(path, m)
}
