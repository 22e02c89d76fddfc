package rescue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/rescue/identity"
)

// Name is what the lost host called itself; empty is unknown.
type Name struct {
	Hostname string `json:"hostname,omitempty"` // as its kernel said
	FQDN     string `json:"fqdn,omitempty"`
}

// nameFile keeps the name until everything is recovered.
const nameFile = ownDir + "/host.json"

// proper leaves out what is no name that a machine of its own has.
func (n Name) proper() Name {
	if _, err := identity.Hostname(n.Hostname); err != nil {
		return Name{}
	}
	if _, err := identity.Hostname(n.FQDN); err != nil {
		n.FQDN = ""
	}
	return n
}

// Name is what the host of the configuration called itself.
func (f *Fetched) Name() Name {
	var n Name
	if json.Unmarshal(f.Config.Network, &n) != nil || n.Hostname == "" {
		n = Name{Hostname: f.Config.Identity.Hostname}
	}
	return n.proper()
}

// file keeps the name for a recovery that comes later, or is resumed.
func (n Name) file() (configuration.File, error) {
	text, err := json.Marshal(n)
	return configuration.File{Path: nameFile, Mode: 0o600, Content: text}, err
}

// KeptName is the name that a fetch below root has kept; empty without one.
func KeptName(root string) (Name, error) {
	file := filepath.Join(root, nameFile)
	info, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Name{}, nil
	}
	if err == nil && (!info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || info.Size() > 4096) {
		err = errors.New("it is not as it was written")
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(file)
	}
	var n Name
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil {
		return Name{}, fmt.Errorf("read %s: %w", file, err)
	}
	return n.proper(), nil
}
