package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/component/mysql"
	"lifeboat/internal/host"
	"lifeboat/internal/mysqld"
	"lifeboat/internal/product"
	"lifeboat/internal/runbook"
	"lifeboat/internal/scratch"
	"lifeboat/internal/vault"
)

// Import prepares a backup of what was saved elsewhere: by an administrator in a
// directory, or by a tool of the product in a file. Files are laid out in a root of their own as they stood on the
// lost machine; dumps are foreign, so they are loaded into a private server
// first and captured from there. Close ends both.
type Import struct {
	*Backup
	Found  *product.Import
	place  *scratch.Dir
	dir    string // of it
	staged []stagedDump
	// moment is when the dump was made or, without one, when the newest file
	// was changed.
	moment time.Time
	facts  map[string]string
	notes  []string // warnings from before there was a backup
}

// Saved is what is imported: a directory that somebody filled by hand, or a file
// of the product's own backup tool.
type Saved struct {
	Path string
	// Password is asked when the file is encrypted; nil has none.
	Password product.Password
	// Force names what is not refused but told: Places, Usable.
	Force []string
}

// What Saved.Force overrides: data that belong to places of which nothing says that
// they are right, and a configuration that the product could not use.
const (
	Places = "places"
	Usable = "usable"
)

func (s Saved) forces(check string) bool { return slices.Contains(s.Force, check) }

// NewImport recognises what was saved and stages it. Nothing is captured yet.
func NewImport(ctx context.Context, opts Options, p *product.Product, from Saved) (*Import, error) {
	if p.Import == nil && p.Unpack == nil {
		return nil, fmt.Errorf("nothing is known about what is saved of %s", p.Name)
	}
	place, err := scratch.Make(opts.StateDir)
	if err != nil {
		return nil, fmt.Errorf("make a place for the import: %w", err)
	}
	i := &Import{place: place, dir: place.Path()}
	if i.Found, err = i.find(ctx, opts.Host, p, from); err == nil {
		err = i.usable(opts, p, from)
	}
	if err == nil {
		err = i.stage(ctx, opts, p, i.Found.Dir)
	}
	if errors.Is(err, mysqld.ErrMissing) {
		err = runbook.Refuse("", "the dump of %s's database is looked through in a private database server first, and %v. Nothing was changed", p.Name, mysqld.ErrMissing)
	}
	if err != nil {
		i.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return i, nil
}

// find recognises what was saved.
func (i *Import) find(ctx context.Context, h *host.Host, p *product.Product, from Saved) (*product.Import, error) {
	info, err := os.Stat(from.Path)
	var found *product.Import
	switch {
	case err != nil:
		return nil, err
	case info.IsDir() && p.Import == nil:
		return nil, fmt.Errorf("%s is a directory; of %s a file is imported that its own backup tool has written", from.Path, p.Title)
	case info.IsDir():
		if found, err = p.Import(ctx, from.Path); err != nil {
			return nil, fmt.Errorf("look through %s: %w", from.Path, err)
		}
		found.Dir = cmp.Or(found.Dir, from.Path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is neither a directory nor a file", from.Path)
	case p.Unpack == nil:
		return nil, fmt.Errorf("%s is a file; give the directory that holds what was saved of %s", from.Path, p.Title)
	default:
		into := filepath.Join(i.dir, "unpacked")
		if err := os.Mkdir(into, 0o700); err != nil {
			return nil, err
		}
		if from.Password == nil {
			from.Password = func(context.Context) ([]byte, error) { return nil, nil }
		}
		if found, err = p.Unpack(ctx, from.Path, into, from.Password); err != nil {
			return nil, fmt.Errorf("take in %s: %w", from.Path, err)
		}
		found.Dir = into
	}
	if len(found.Files)+len(found.Dumps) == 0 {
		return nil, fmt.Errorf("nothing of %s was recognised in %s", p.Name, from.Path)
	}
	for _, d := range found.Dumps {
		if err := mysql.CheckName(d.Database); err != nil {
			return nil, runbook.Refuse("", "what was saved names the database of its dump %s: %s. Nothing was loaded", d.From, err)
		}
	}
	if err := believe(ctx, h, p, found, from.forces(Places)); err != nil {
		return nil, err
	}
	for _, name := range found.Needs {
		at, err := h.Path(name)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(at); err != nil && from.forces(Places) {
			found.Warnings = append(found.Warnings, fmt.Sprintf("%s is not there on this machine, without which %s would not find what is brought back to the usual places", name, p.Name))
		} else if err != nil {
			return nil, runbook.Refuse(Places, "what was saved has no configuration, and on this machine %s is not there, without which %s would not find what is brought back to the usual places. Import on the machine that it is meant for, once that is set up", name, p.Name)
		}
	}
	return found, nil
}

// usable refuses a configuration with which the product would not run.
func (i *Import) usable(opts Options, p *product.Product, from Saved) error {
	maps.DeleteFunc(i.Found.Unusable, func(name string, _ []string) bool { return leftOut(opts, name) })
	for _, name := range slices.Sorted(maps.Keys(i.Found.Unusable)) {
		why := fmt.Sprintf("%s could not run with the %s that was saved: %s", p.Name, name, strings.Join(i.Found.Unusable[name], "; "))
		if !from.forces(Usable) {
			return runbook.Refuse(Usable, "%s", why)
		}
		i.Found.Warnings = append(i.Found.Warnings, why)
	}
	return nil
}

// believe refuses places that what was saved names for itself and that would put
// what is in it where it has no business to be.
func believe(ctx context.Context, h *host.Host, p *product.Product, found *product.Import, anywhere bool) error {
	if p.Admit == nil {
		return nil
	}
	var places []product.Place
	for _, f := range found.Files {
		places = append(places, product.Place{Component: f.Component, Path: f.Path})
	}
	admission, err := p.Admit(ctx, h, places)
	if err != nil {
		return err
	}
	if why := admission.Refusal(p.Name); why != "" {
		return runbook.Refuse("", "what was saved says that its data belong to %s", why)
	}
	if len(admission.Strange) == 0 {
		return nil
	}
	why := fmt.Sprintf("what was saved says that its data belong to %q, which is neither a usual place of %s nor one that it has on this machine", admission.Strange, p.Name)
	if !anywhere {
		return runbook.Refuse(Places, "%s", why)
	}
	found.Warnings = append(found.Warnings, why)
	return nil
}

func (i *Import) stage(ctx context.Context, opts Options, p *product.Product, from string) error {
	root := filepath.Join(i.dir, "root")
	if err := i.layOut(ctx, from, root); err != nil {
		return err
	}
	opts.Substitute = map[string]component.Component{}
	i.facts = map[string]string{}
	maps.Copy(i.facts, i.Found.Facts)
	for _, d := range i.Found.Dumps {
		if leftOut(opts, d.Component) {
			continue
		}
		s, err := i.load(ctx, p, from, d)
		if errors.Is(err, mysql.ErrEmptyDump) {
			return fmt.Errorf("the dump %s is empty: no table stands in it; take another dump of database %s, or move this one elsewhere to import the rest as an incomplete point", d.From, d.Database)
		}
		if err != nil {
			return fmt.Errorf("load the dump %s: %w", d.From, err)
		}
		s.Warnings = slices.Concat(d.Remarks, s.Warnings)
		i.staged = append(i.staged, stagedDump{s, d.Component})
		opts.Substitute[d.Component] = stagedDump{s, d.Component}
		i.identify(ctx, p, d, s)
	}
	i.date(i.Found.Moment)
	if i.moment.IsZero() {
		if err := i.dateFiles(root); err != nil {
			return err
		}
	}
	target, err := host.At(root)
	if err != nil {
		return err
	}
	accounts, err := i.accounts()
	if err != nil {
		return err
	}
	opts.Host, opts.Accounts, opts.Still, opts.Trigger = target, accounts, true, vault.Imported
	opts.Facts = i.facts
	settings := maps.Clone(i.Found.Settings)
	if settings == nil {
		settings = map[string]string{}
	}
	maps.Copy(settings, opts.Settings)
	opts.Settings = settings
	asked := opts
	opts.Choose, opts.Saved = i.choose(asked), map[string][]string{}
	for _, f := range i.Found.Files {
		opts.Saved[f.Component] = append(opts.Saved[f.Component], f.Path)
	}
	i.Backup, err = New(ctx, opts)
	if err != nil {
		return err
	}
	i.Backup.moment, i.Backup.unusable = i.moment, i.Found.Unusable
	for _, m := range i.Found.Missing {
		if leftOut(asked, m.Component) {
			continue
		}
		if m.Critical {
			i.partial = true
		}
		i.warn(lacking(m))
	}
	for _, w := range slices.Concat(i.Found.Warnings, i.notes) {
		i.warn(w)
	}
	return nil
}

// NotSaved stands in the warnings about parts that are missing.
const NotSaved = "not among what was saved"

// lacking tells of a part that is missing.
func lacking(m product.Missing) string {
	text := fmt.Sprintf("%s: %s. %s", NotSaved, m.What, m.Loss)
	if m.Critical {
		text = "critical: " + text + " Find it and import again."
	}
	return text
}

// identify takes what the staged dump tells: the version of the schema, what
// follows from it, and the moment the dump was made.
func (i *Import) identify(ctx context.Context, p *product.Product, d product.ImportDump, s *mysql.Staged) {
	if p.Schema.Version != nil && p.Facts != nil {
		schema, err := p.Schema.Version(ctx, s.Query)
		if err != nil {
			i.notes = append(i.notes, fmt.Sprintf("which version of %s the dump %s is of cannot be told: %v", p.Title, d.From, err))
		} else {
			maps.Copy(i.facts, p.Facts(schema))
		}
	}
	when := s.Completed
	if now := time.Now(); when.IsZero() || when.After(now) {
		if info, err := os.Stat(filepath.Join(i.Found.Dir, filepath.Clean("/"+d.From))); err == nil {
			when = info.ModTime()
		}
		if i.Found.Moment.IsZero() {
			i.notes = append(i.notes, fmt.Sprintf("the dump %s does not say when it was made; the time of the file is taken", d.From))
		}
	}
	i.date(when)
}

// date keeps the newest moment; one that is still to come is nobody's.
func (i *Import) date(when time.Time) {
	if when.After(i.moment) && !when.After(time.Now()) {
		i.moment = when
	}
}

// dateFiles takes the time of the newest file that was laid out.
func (i *Import) dateFiles(root string) error {
	return filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		i.date(info.ModTime())
		return nil
	})
}

// leftOut tells whether somebody wants an import to do without a component.
func leftOut(opts Options, component string) bool {
	chosen, said := opts.Choose[component]
	return said && !chosen
}

// choose takes what was found and leaves out what was not: a person saved what
// a person saved, and the point says what is missing.
func (i *Import) choose(opts Options) map[string]bool {
	has := map[string]bool{}
	for _, f := range i.Found.Files {
		has[f.Component] = true
	}
	for _, d := range i.Found.Dumps {
		has[d.Component] = true
	}
	choose := map[string]bool{}
	for _, c := range opts.Profile.Components {
		choose[c.Name] = has[c.Name] && !leftOut(opts, c.Name)
	}
	return choose
}

func (i *Import) load(ctx context.Context, p *product.Product, from string, d product.ImportDump) (*mysql.Staged, error) {
	f, err := os.Open(filepath.Join(from, filepath.Clean("/"+d.From)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mysql.Stage(ctx, f, mysql.StageOptions{
		Database: d.Database, Product: p, State: i.dir, Charset: d.Charset,
	})
}

// stagedDump is a foreign dump in its private server, as a component that can
// only be captured.
type stagedDump struct {
	*mysql.Staged
	of string // the component
}

var errOnlyCaptured = errors.New("an imported dump can only be captured")

func (s stagedDump) Inspect(context.Context) (component.Inspection, error) {
	return component.Inspection{Present: true, Items: int64(s.Tables), Detail: map[string]string{"rows": strconv.FormatInt(s.Rows, 10)}}, nil // its capture warns
}

func (stagedDump) Restore(context.Context, component.Source, component.RestoreOptions) error {
	return errOnlyCaptured
}

func (stagedDump) Check(context.Context, component.Record) ([]component.Check, error) {
	return nil, errOnlyCaptured
}
func (stagedDump) Exec(context.Context, string) error { return errOnlyCaptured }
func (stagedDump) Login(context.Context) error        { return errOnlyCaptured }
func (stagedDump) Rollback(context.Context) error     { return nil }
func (stagedDump) Discard(context.Context) error      { return nil }

// Warnings lists what the import warns of already, and what its point will tell
// of the dumps.
func (i *Import) Warnings() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := slices.Clone(i.warnings)
	for _, s := range i.staged {
		for _, w := range s.Warnings {
			all = append(all, s.of+": "+w)
		}
	}
	return all
}

// Components lists the components that were found, in the profile's order.
func (i *Import) Components() []string {
	var names []string
	for _, p := range i.parts {
		if p.chosen {
			names = append(names, p.spec.Name)
		}
	}
	return slices.Clip(names)
}

// Close ends the private servers and removes the staged copy.
func (i *Import) Close(ctx context.Context) error {
	var first error
	if i.Backup != nil {
		first = i.Backup.Close(ctx)
	}
	for _, s := range i.staged {
		if err := s.Close(ctx); err != nil && first == nil {
			first = err
		}
	}
	if err := i.place.Remove(); err != nil && first == nil {
		first = err
	}
	return first
}
