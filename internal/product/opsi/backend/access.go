package backend

import (
	"fmt"
	"path"
	"strings"
)

// Kind is what a backend's data technically are.
type Kind string

// The kinds that opsi-backup knows by name, and those that nobody can save.
const (
	File        Kind = "file"
	MySQL       Kind = "mysql"
	DHCP        Kind = "dhcp"
	Unsupported Kind = "unsupported" // holds data that must be converted first
	None        Kind = ""            // holds no data: opsipxeconfd, hostcontrol, jsonrpc …
)

// Kind tells what a backend holds, by its module.
func (c Conf) Kind() Kind {
	switch strings.ToLower(c.Module) {
	case "file":
		return File
	case "mysql":
		return MySQL
	case "dhcpd":
		return DHCP
	case "ldap", "sqlite", "univention":
		return Unsupported
	}
	return None
}

// text is a key's value. What Python alone could tell is an error.
func (c Conf) text(key, otherwise string) (string, error) {
	v, there := c.Config[key]
	if !there || v == nil {
		return otherwise, nil
	}
	text, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("%s/backends/%s: the value of %s is not written out; write the text itself", Dir, c.File, key)
	}
	if strings.ContainsAny(text, "\x00\n\r") {
		return "", fmt.Errorf("%s/backends/%s: the value of %s has more than one line", Dir, c.File, key)
	}
	return text, nil
}

// file is a key's value that is an absolute path.
func (c Conf) file(key, otherwise string) (string, error) {
	text, err := c.text(key, otherwise)
	if err != nil {
		return "", err
	}
	if !path.IsAbs(text) || path.Clean(text) == "/" {
		return "", fmt.Errorf("%s/backends/%s: %s is %q and no absolute path", Dir, c.File, key, text)
	}
	return path.Clean(text), nil
}

// FileBackend is where the file backend keeps its data.
type FileBackend struct {
	BaseDir     string
	HostKeyFile string
}

// FileBackend reads the keys of a backend of kind File.
func (c Conf) FileBackend() (b FileBackend, err error) {
	if b.BaseDir, err = c.file("baseDir", "/var/lib/opsi/config"); err != nil {
		return b, err
	}
	b.HostKeyFile, err = c.file("hostKeyFile", Dir+"/pckeys")
	return b, err
}

// Database is how opsi reaches its database. There is no key for a port.
type Database struct {
	Host     string // name or address; localhost when Socket is set
	Socket   string // a path, when the address begins with a slash
	Name     string
	User     string
	Password string
}

// Database reads the keys of a backend of kind MySQL.
func (c Conf) Database() (d Database, err error) {
	for _, key := range []struct {
		name, otherwise string
		to              *string
	}{
		{"address", "127.0.0.1", &d.Host},
		{"database", "opsi", &d.Name},
		{"username", "opsi", &d.User},
		{"password", "opsi", &d.Password},
	} {
		if *key.to, err = c.text(key.name, key.otherwise); err != nil {
			return Database{}, err
		}
	}
	if strings.HasPrefix(d.Host, "/") {
		d.Host, d.Socket = "localhost", path.Clean(d.Host)
	}
	return d, nil
}

// DHCPConfigFile is where the configuration of the DHCP server is, of a backend of
// kind DHCP; "" when the file does not say.
func (c Conf) DHCPConfigFile() (string, error) {
	if _, there := c.Config["dhcpdConfigFile"]; !there {
		return "", nil
	}
	return c.file("dhcpdConfigFile", "")
}
