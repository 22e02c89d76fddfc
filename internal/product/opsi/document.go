package opsi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"lifeboat/internal/product"
	"lifeboat/internal/product/opsi/backend"
	"lifeboat/internal/product/opsi/document"
)

// unpackDocument takes in what opsiconfd backup has written.
func unpackDocument(ctx context.Context, f *os.File, dir string, password product.Password) (*product.Import, error) {
	opts := document.Options{Schema: schemaOf}
	c, err := unpackAgain(ctx, f, dir, opts)
	if errors.Is(err, document.ErrEncrypted) {
		if opts.Password, err = password(ctx); err != nil {
			return nil, err
		}
		defer clear(opts.Password)
		c, err = unpackAgain(ctx, f, dir, opts)
	}
	if err != nil {
		return nil, err
	}
	return describe(c, filepath.Join(dir, document.Files, backend.Dir)), nil
}

func unpackAgain(ctx context.Context, f *os.File, dir string, opts document.Options) (*document.Contents, error) {
	if _, err := f.Seek(0, 0); err != nil {
		return nil, err
	}
	if err := os.Remove(path.Join(dir, document.Dump)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return document.Unpack(ctx, f, dir, opts)
}

// schemaOf is the schema that an opsi of that version expects, of which the
// database must not be newer.
func schemaOf(opsiconfd string) int {
	v, err := parseVersion(opsiconfd)
	if err != nil {
		return document.SchemaVersion
	}
	return expected(v).least
}

// describe says what of a document belongs to which component; etc is its unpacked
// /etc/opsi.
func describe(c *document.Contents, etc string) *product.Import {
	i := &product.Import{
		Origin:   documentOrigin(c),
		Contents: contents(c),
		Dumps:    []product.ImportDump{{Database: databaseOf(etc), Component: "database", From: document.Dump, Charset: "utf8mb4"}},
		Moment:   c.Meta.Time,
		Settings: map[string]string{"opsi_version": c.Meta.Opsiconfd},
		Facts:    map[string]string{"version": c.Meta.Opsiconfd, "server_id": c.Meta.ServerID},
		Warnings: c.Warnings,
	}
	for _, r := range c.Remarks {
		i.Dumps[0].Remarks = append(i.Dumps[0].Remarks, "objects "+r.String())
	}
	name(i, c.Meta)
	access := false
	for _, f := range c.Files {
		component := componentOf(f.Path)
		switch {
		case f.Refused: // the document's own warning
		case f.Missing:
			i.Warnings = append(i.Warnings, fmt.Sprintf("%s was not on the server when the document was made", f.Path))
		case component == "":
			i.Unknown = append(i.Unknown, fmt.Sprintf("%s (%s)", f.Path, f.Name))
		default:
			access = access || f.Path == backend.Dir+"/backends/mysql.conf"
			i.Files = append(i.Files, product.ImportFile{Path: f.Path, From: document.Files + f.Path, Component: component})
		}
	}
	if !access {
		// Documents are of servers that have all in MySQL, whose file says so.
		i.Settings["backends"], i.Settings["broken"], i.Facts["backends"] = "mysql", "", "mysql"
	}
	i.Missing = documentLacks(len(i.Files) > 0)
	return i
}

// databaseOf is what the lost server called its database.
func databaseOf(etc string) string {
	usual, _ := backend.Conf{}.Database()
	root, err := os.OpenRoot(etc)
	if err != nil {
		return usual.Name // it has no configuration files
	}
	defer root.Close()
	server, err := backend.ReadFS(root.FS())
	if err != nil {
		return usual.Name
	}
	conf, _ := server.Conf("mysql")
	if at, err := conf.Database(); err == nil {
		return at.Name
	}
	return usual.Name
}

func documentOrigin(c *document.Contents) string {
	when := "at an unknown time"
	if !c.Meta.Time.IsZero() {
		when = c.Meta.Time.Local().Format("2006-01-02 15:04:05")
	}
	return fmt.Sprintf("opsiconfd backup document of %s, made %s by opsiconfd %s (%v)", c.Meta.ServerID, when, c.Meta.Opsiconfd, c.Form)
}

// name takes the lost machine's name from the document.
func name(i *product.Import, m document.Meta) {
	full := strings.ToLower(m.FQDN)
	if full == "" || full == "localhost" {
		full = strings.ToLower(m.ServerID)
	}
	short, domain, _ := strings.Cut(full, ".")
	if short == "" {
		return
	}
	i.Facts["hostname"] = short
	if domain != "" {
		i.Facts["fqdn"] = full
	}
}

// componentOf says which component of the profile a configuration file belongs to.
// What the packages bring themselves, and what no component has, is none.
func componentOf(at string) string {
	switch {
	case at == backend.Dir+"/server_commands_default.conf":
		return ""
	case strings.HasPrefix(at, backend.Dir+"/"):
		return "configuration"
	case at == "/var/lib/opsi/server_commands_custom.conf":
		return "extensions"
	}
	return ""
}

// contents lists what a document holds, for people.
func contents(c *document.Contents) []product.ImportContent {
	var list []product.ImportContent
	for _, k := range c.Classes {
		line := product.ImportContent{Kind: "objects", Name: k.Class, Count: k.Objects}
		if !k.Known {
			line.Note = "not known, left out"
		}
		list = append(list, line)
	}
	for _, f := range c.Files {
		line := product.ImportContent{Kind: "file", Name: f.Path, Bytes: f.Size}
		switch {
		case f.Missing:
			line.Note = "was not on the server"
		case f.Refused:
			line.Note = "refused"
		}
		list = append(list, line)
	}
	if c.RedisKeys > 0 {
		list = append(list, product.ImportContent{Kind: "keys", Name: "Redis", Count: int64(c.RedisKeys), Note: "left out: statistics and sessions that only suit the Redis that wrote them"})
	}
	note := "a checksum covers every byte"
	if !c.Form.Checked {
		note = "this form has no checksum; changed bytes are found only where they break the form"
	}
	return append(list, product.ImportContent{Kind: "check", Name: "rows of the database", Count: c.Rows, Note: note})
}

// documentLacks is what no document has.
func documentLacks(configuration bool) []product.Missing {
	list := []product.Missing{
		{Component: "configuration", What: "the rest of /etc/opsi (inventory classes, sources of the package updater, own extensions)", Loss: "What was changed there by hand must be changed again."},
		{Component: "dhcp", What: "the configuration of the DHCP server", Loss: "Clients get no address, and no boot file for an installation."},
		{Component: "workbench", What: "the workbench", Loss: "The sources of own packages are gone."},
		{Component: "depot", What: "the depot with the packages", Loss: "Nothing can be installed until the packages are there again."},
	}
	if !configuration {
		list[0] = product.Missing{Component: "configuration", Critical: true, What: "the configuration with keys, licences and certificates (the document was made with --no-config-files)", Loss: "No client trusts the server."}
	}
	return list
}
