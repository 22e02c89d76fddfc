package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"lifeboat/internal/component"
)

// restore is one restore or its reverse.
type restore struct {
	c     *Component
	a     *address
	admin *session
	j     *journal
	d     Detail
	warn  func(string)
}

// Restore loads the dump into a database beside, as the role that owns it, checks it,
// and exchanges the names. What is connected to the present one is cut off.
func (c *Component) Restore(ctx context.Context, source component.Source, opts component.RestoreOptions) error {
	return c.wrap(ctx, "restore", c.restore(ctx, source, opts))
}

func (c *Component) restore(ctx context.Context, source component.Source, opts component.RestoreOptions) error {
	r := &restore{c: c, warn: opts.Warn}
	if r.warn == nil {
		r.warn = func(string) {}
	}
	var err error
	if r.d, err = readDetail(opts.Record); err != nil {
		return err
	}
	if r.j, err = c.openJournal(true); err != nil {
		return err
	}
	defer r.j.close()
	switch {
	case r.j.rolling && !r.j.rolledBack:
		return errors.New("its rollback has begun and has to end first")
	case r.j.restored && !r.j.rolledBack:
		return nil
	}
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer r.admin.close()
	if r.j.begun == nil || r.j.rolledBack {
		if err := r.begin(ctx); err != nil {
			return err
		}
	}
	if r.j.loaded == nil {
		if err := r.load(ctx, source, opts.Progress); err != nil {
			return err
		}
	}
	return r.swap(ctx)
}

// enter finds the way in. The database's name and role are those of its address.
func (r *restore) enter(ctx context.Context) (err error) {
	if r.a, err = r.c.readAddress(r.c.opts.URLFile); err != nil {
		return err
	}
	if r.d.Role != "" && r.d.Role != r.a.config.User {
		return fmt.Errorf("what was captured belongs to role %s, and %s names role %s; put the other role into it", r.d.Role, r.c.opts.URLFile, r.a.config.User)
	}
	r.admin, err = r.c.maintain(ctx, r.a)
	return err
}

func (r *restore) begin(ctx context.Context) (err error) {
	name := r.a.config.Database
	b := record{Do: doBegin, Database: name, New: sideName(name, "new", r.c.env.Run), Aside: sideName(name, "aside", r.c.env.Run)}
	for _, side := range []string{b.New, b.Aside} {
		if taken, err := r.admin.exists(ctx, side); err != nil {
			return err
		} else if taken {
			return fmt.Errorf("database %s is there already and not from this run; look at it, then rename or drop it", side)
		}
	}
	if b.Existed, err = r.admin.exists(ctx, name); err != nil {
		return err
	}
	return r.j.add(ctx, b)
}

// sideName is the name of a database beside: NAME_new_RUN, cut to what a server allows.
func sideName(database, what, run string) string {
	sum := sha256.Sum256([]byte(run))
	tail := "_" + what + "_" + hex.EncodeToString(sum[:6])
	return database[:min(len(database), 63-len(tail))] + tail
}

// roles makes those that there are not. Only the database's own may log in.
func (r *restore) roles(ctx context.Context) error {
	for _, role := range append([]string{r.a.config.User}, r.d.Roles...) {
		there, err := r.admin.roleExists(ctx, role)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		if err := r.admin.may(ctx, "rolsuper"); err != nil {
			return fmt.Errorf("role %s is not there and cannot be made: %w", role, err)
		}
		if err := r.j.add(ctx, record{Do: doRole, Role: role}); err != nil {
			return err
		}
		statement := "CREATE ROLE " + ident(role)
		switch {
		case role != r.a.config.User:
			r.warn(fmt.Sprintf("role %s, which has rights in database %s, was not there: it was made, and cannot log in", role, r.a.config.Database))
		case r.a.config.Password == "":
			statement += " LOGIN"
		default: // as a verifier, which is no password for who reads the server's log
			verifier, err := scram(r.a.config.Password)
			if err != nil {
				return err
			}
			statement += " LOGIN PASSWORD " + literal(verifier)
		}
		if err := r.admin.exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func (r *restore) load(ctx context.Context, source component.Source, progress func(done, total int64)) error {
	if err := r.roles(ctx); err != nil {
		return err
	}
	beside := r.j.begun.New
	if err := r.admin.drop(ctx, beside); err != nil { // of a killed restore
		return err
	}
	if err := r.create(ctx, beside); err != nil {
		return err
	}
	in, err := source.OpenStream(ctx, r.c.stream())
	if err != nil {
		return err
	}
	defer in.Close()
	s, err := r.c.connect(ctx, r.a, beside)
	if err != nil {
		return fmt.Errorf("log in as the role of the database: %w", err)
	}
	defer s.close()
	if err := s.exec(ctx, "BEGIN"); err != nil {
		return err
	}
	text := &meter{r: io.LimitReader(in, r.d.Bytes+1), total: r.d.Bytes, tell: progress}
	found, err := scan(text, &loader{ctx, s})
	if err != nil {
		return err
	}
	if text.done != r.d.Bytes {
		return fmt.Errorf("%s has not the %d bytes that the manifest says", r.c.stream(), r.d.Bytes)
	}
	if err := found.compare(r.d.Tables); err != nil {
		return err
	}
	if err := s.exec(ctx, "COMMIT"); err != nil {
		return err
	}
	return r.verify(ctx, beside)
}

// create makes the empty database; a locale that this machine does not have becomes C.
func (r *restore) create(ctx context.Context, name string) error {
	head := "CREATE DATABASE " + ident(name) + " OWNER " + ident(r.a.config.User) + " TEMPLATE template0 ENCODING " + literal(r.d.Encoding)
	locale := " LC_COLLATE " + literal(r.d.Collate) + " LC_CTYPE " + literal(r.d.Ctype)
	if r.d.ICU != "" {
		locale += " LOCALE_PROVIDER icu ICU_LOCALE " + literal(r.d.ICU)
	}
	err := r.admin.exec(ctx, head+locale)
	if isState(err, stateNoLocale, stateBadValue) {
		r.warn(fmt.Sprintf("this server does not know the locale %s of database %s (%v); what it sorts is sorted by C now", r.d.Collate, r.d.Database, err))
		err = r.admin.exec(ctx, head+" LC_COLLATE 'C' LC_CTYPE 'C'")
	}
	if err != nil || len(r.d.Grants) == 0 {
		return err
	}
	// PostgreSQL's default lets everybody connect.
	statements := "REVOKE ALL ON DATABASE " + ident(name) + " FROM PUBLIC"
	for _, g := range r.d.Grants {
		to := "PUBLIC"
		if g.Role == r.d.Role {
			continue // the owner has them all
		}
		if g.Role != "" {
			to = ident(g.Role)
		}
		statements += "; GRANT " + g.Right + " ON DATABASE " + ident(name) + " TO " + to
		if g.Option {
			statements += " WITH GRANT OPTION"
		}
	}
	return r.admin.exec(ctx, statements)
}

// verify compares the loaded database with the manifest.
func (r *restore) verify(ctx context.Context, name string) error {
	s, err := r.c.connect(ctx, r.a, name)
	if err != nil {
		return err
	}
	defer s.close()
	tables, err := s.tables(ctx)
	if err != nil {
		return err
	}
	objects, err := s.objects(ctx)
	if err != nil {
		return err
	}
	if wrong := component.Unlike(r.d.Tables, tables); len(wrong) > 0 {
		return fmt.Errorf("what was loaded is not what was captured (the present database is untouched): %s", strings.Join(wrong[:min(10, len(wrong))], ", "))
	}
	if was, is := fmt.Sprint(r.d.Objects), fmt.Sprint(objects); was != is {
		r.warn(fmt.Sprintf("database %s had other objects when it was captured (%s) than now (%s)", r.d.Database, was, is))
	}
	if err := s.exec(ctx, "ANALYZE"); err != nil {
		return err
	}
	return r.j.add(ctx, record{Do: doLoaded, Tables: tables})
}

// loader executes what is scanned.
type loader struct {
	ctx context.Context //nolint:containedctx // of one load
	s   *session
}

func (l *loader) sql(text string) error { return l.s.exec(l.ctx, text) }

func (l *loader) rows(statement string, text io.Reader) error {
	_, err := l.s.conn.PgConn().CopyFrom(l.ctx, text, statement)
	return err
}

// meter tells how far the reading is.
type meter struct {
	r           io.Reader
	done, total int64
	tell        func(done, total int64)
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.done += int64(n)
	if m.tell != nil {
		m.tell(m.done, m.total)
	}
	return n, err
}
