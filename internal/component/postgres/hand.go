package postgres

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"lifeboat/internal/component"
)

// Extract writes the dump as a file into dir.
func (c *Component) Extract(ctx context.Context, source component.Source, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return c.wrap(ctx, "extract", err)
	}
	defer root.Close()
	in, err := source.OpenStream(ctx, c.stream())
	if err != nil {
		return c.wrap(ctx, "extract", err)
	}
	defer in.Close()
	out, err := root.OpenFile(path.Base(c.stream()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return c.wrap(ctx, "extract", err)
	}
	_, err = io.Copy(out, in)
	return c.wrap(ctx, "extract", errors.Join(err, out.Sync(), out.Close()))
}

// Plan lists what Restore would change.
func (c *Component) Plan(ctx context.Context, _ component.Source, rec component.Record) ([]string, error) {
	d, err := readDetail(rec)
	if err != nil {
		return nil, c.wrap(ctx, "plan", err)
	}
	a, err := c.readAddress(c.opts.URLFile)
	if err != nil {
		return nil, c.wrap(ctx, "plan", err)
	}
	s, err := c.maintain(ctx, a)
	if err != nil {
		return nil, c.wrap(ctx, "plan", err)
	}
	defer s.close()
	name := a.config.Database
	lines := []string{fmt.Sprintf("load %d tables with %d rows beside database %s at %s and check them", len(d.Tables), d.rows(), name, a.place())}
	if there, err := s.roleExists(ctx, a.config.User); err != nil {
		return nil, c.wrap(ctx, "plan", err)
	} else if !there {
		lines = append(lines, "make role "+a.config.User)
	}
	if there, err := s.exists(ctx, name); err != nil {
		return nil, c.wrap(ctx, "plan", err)
	} else if there {
		lines = append(lines, fmt.Sprintf("cut off what is connected to database %s, and set it aside as %s", name, sideName(name, "aside", c.env.Run)))
	}
	return append(lines, "give the loaded database the name "+name), nil
}

// byHand tells how to restore the database with PostgreSQL's own programs.
func byHand(rec component.Record) string {
	d, err := readDetail(rec)
	if err != nil || len(rec.Streams) != 1 {
		return ""
	}
	return fmt.Sprintf("Database `%[1]s` (%[2]d tables, %[3]d rows, from PostgreSQL %[4]s). Stop whatever uses it. As account postgres on the database server:\n\n"+
		"```sh\n"+
		"createuser %[5]s                                   # if it is not there; \\password %[5]s in psql sets its password\n"+
		"psql -c 'ALTER DATABASE \"%[1]s\" RENAME TO \"%[1]s_before\"'    # keep what is there now\n"+
		"createdb --owner=%[5]s --template=template0 --encoding=%[6]s --lc-collate=%[7]s --lc-ctype=%[8]s %[1]s &&\n"+
		"tail -n 8 /.lifeboat/%[9]s | grep 'dump complete' &&    # else the dump is cut off\n"+
		"psql -d %[1]s --single-transaction -v ON_ERROR_STOP=1 < /.lifeboat/%[9]s\n"+
		"```\n",
		d.Database, len(d.Tables), d.rows(), d.Server, d.Role, d.Encoding, d.Collate, d.Ctype, rec.Streams[0])
}

// scram is what PostgreSQL keeps of a password: the keys of RFC 5802 with SHA-256, as
// it writes them (postgresql.org/docs/current/catalog-pg-authid.html).
func scram(password string) (string, error) {
	const rounds = 4096
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	keyed := func(name string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(name))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(keyed("Client Key"))
	text := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, text(salt), text(stored[:]), text(keyed("Server Key"))), nil
}
