package smt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/profile"
)

// schemaDir is where SMT keeps a directory X-Y for every step from schema X to Y
// that it can take.
const schemaDir = "/usr/share/schemas/smt/mysql"

// step is one upgrade step.
type step struct{ from, to version }

// compareSchema applies SUSE's rule "always recover to the same version": equal is
// right; an installed SMT that upgrades the point's schema when it starts is a
// warning; anything else would leave an SMT that does not start.
func compareSchema(_ context.Context, h *host.Host, point, installed string) (product.Verdict, error) {
	was, err := parseVersion(point)
	if err != nil {
		return product.Verdict{Level: product.Refuses, Why: "the schema version of the recovery point is not known: " + err.Error()}, nil
	}
	is, err := parseVersion(installed)
	if err != nil {
		return product.Verdict{Level: product.Refuses, Why: "the schema version of the installed SMT is not known: " + err.Error(), Hint: "Install SMT first."}, nil
	}
	both := fmt.Sprintf("the recovery point has schema %s (SMT %s), the installed SMT expects %s (SMT %s)", was, lineOf(was), is, lineOf(is))
	switch {
	case was == is:
		return product.Verdict{Level: product.Agrees, Why: both}, nil
	case was > is:
		return product.Verdict{Level: product.Refuses, Why: both, Hint: "Update the installed SMT to the version of the lost server, then resume."}, nil
	}
	steps, err := installedSteps(h)
	if errors.Is(err, fs.ErrNotExist) {
		steps = knownSteps(is)
	} else if err != nil {
		return product.Verdict{}, err
	}
	way := findWay(steps, was, is)
	if way == nil {
		return product.Verdict{
			Level: product.Refuses, Why: both + "; no upgrade leads from one to the other",
			Hint: "Install the version of SMT that the lost server had, recover, and update SMT afterwards.",
		}, nil
	}
	return product.Verdict{
		Level: product.Warns, Why: both + "; it will upgrade the database when it starts: " + strings.Join(way, " → "),
		Hint: "The database cannot go back to its old schema afterwards, but the recovery point can be restored again.",
	}, nil
}

// installedSteps reads the steps that the installed SMT can take.
func installedSteps(h *host.Host) ([]step, error) {
	dir, err := h.Path(schemaDir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("upgrade steps of SMT: %w", err)
	}
	var steps []step
	for _, e := range entries {
		from, to, ok := strings.Cut(e.Name(), "-")
		if !ok || !e.IsDir() {
			continue
		}
		a, err1 := parseVersion(from)
		b, err2 := parseVersion(to)
		if err1 == nil && err2 == nil {
			steps = append(steps, step{a, b})
		}
	}
	return steps, nil
}

// knownSteps lists the steps that SMT's releases have, for an installed SMT whose
// own list is not there. One release had no step from 2.08; so it is not here.
func knownSteps(installed version) []step {
	var steps []step
	add := func(from, to version) {
		for v := from; v < to; v++ {
			steps = append(steps, step{v, v + 1})
		}
	}
	if installed >= 300 { // SMT 12
		add(203, 207)
		add(300, 309)
		for v := version(203); v <= 207; v++ {
			steps = append(steps, step{v, v + 97}) // 2.03-3.00 … 2.07-3.04
		}
		return steps
	}
	add(9, 16)
	add(200, 208)
	return append(steps, step{16, 100}, step{100, 200})
}

// findWay returns the versions on the shortest way up, or nil.
func findWay(steps []step, from, to version) []string {
	before := map[version]version{from: from}
	for next := []version{from}; len(next) > 0; next = next[1:] {
		at := next[0]
		if at == to {
			way := []string{to.String()}
			for at != from {
				at = before[at]
				way = append(way, at.String())
			}
			slices.Reverse(way)
			return way
		}
		for _, s := range steps {
			if _, seen := before[s.to]; s.from == at && s.to > at && s.to <= to && !seen {
				before[s.to] = at
				next = append(next, s.to)
			}
		}
	}
	return nil
}

// lineOf tells which product a schema version belongs to.
func lineOf(v version) string {
	switch {
	case v < 10:
		return "1.0"
	case v < 100:
		return "1.1"
	case v < 300:
		return "11 SP3"
	}
	return "12"
}

// facts are what the profile's facts of the same names would have been on the
// machine that had a database of that schema.
func facts(schema string) map[string]string {
	v, err := parseVersion(schema)
	if err != nil {
		return nil
	}
	return map[string]string{"schema": v.String(), "line": lineOf(v)}
}

func compareLine(_ context.Context, _ *host.Host, point, installed string) (product.Verdict, error) {
	if point == installed {
		return product.Verdict{Level: product.Agrees}, nil
	}
	return product.Verdict{
		Level: product.Refuses,
		Why:   fmt.Sprintf("the recovery point is of SMT %s, installed is SMT %s", point, installed),
		Hint:  "Install the SMT that the lost server had.",
	}, nil
}

// InstalledOptions are the options of the source smt_installed.
type InstalledOptions struct {
	What string `yaml:"what" short:"true" jsonschema:"required,enum=schema,enum=line"`
}

// moduleDirs are where Perl finds SMT's module: vendor directories, one for each
// version of Perl, and what older packages used.
var moduleDirs = []string{"/usr/lib/perl5/vendor_perl/*", "/usr/share/perl5", "/srv/www/perl-lib", "/usr/lib/SMT"}

var schemaLine = regexp.MustCompile(`(?m)^\s*\$(?:SMT::)?SCHEMA_VERSION\s*=\s*["']?([0-9]+\.[0-9]+)["']?\s*;`)

func readInstalled(_ context.Context, scope profile.Scope, options any) (string, bool, error) {
	o, ok := options.(*InstalledOptions)
	if !ok {
		return "", false, fmt.Errorf("source smt_installed: options are %T", options)
	}
	v, ok, err := installedSchema(scope.Host)
	if err != nil || !ok {
		return "", false, err
	}
	if o.What == "line" {
		return lineOf(v), true, nil
	}
	return v.String(), true, nil
}

// installedSchema reads the schema version out of SMT's module.
func installedSchema(h *host.Host) (version, bool, error) {
	for _, dir := range moduleDirs {
		for _, file := range modules(h, dir) {
			f, err := os.Open(file)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return 0, false, fmt.Errorf("version of the installed SMT: %w", err)
			}
			text, err := io.ReadAll(io.LimitReader(f, 1<<20))
			f.Close()
			if err != nil {
				return 0, false, fmt.Errorf("version of the installed SMT: %w", err)
			}
			if m := schemaLine.FindSubmatch(text); m != nil {
				v, err := parseVersion(string(m[1]))
				return v, err == nil, err
			}
		}
	}
	return 0, false, nil
}

// modules lists where SMT.pm may be for one directory; a last * is every entry.
func modules(h *host.Host, dir string) []string {
	parent, every := strings.CutSuffix(dir, "/*")
	p, err := h.Path(parent)
	if err != nil {
		return nil
	}
	if !every {
		return []string{path.Join(p, "SMT.pm")}
	}
	entries, err := os.ReadDir(p)
	if err != nil {
		return nil
	}
	var found []string
	for _, e := range entries {
		found = append(found, path.Join(p, e.Name(), "SMT.pm"))
	}
	slices.Reverse(found) // the newest Perl first
	return found
}
