package profile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/strict"
)

// HostFacts are the identity facts that every machine has.
var HostFacts = []string{"hostname", "fqdn", "os", "os_id", "os_version", "architecture", "addresses"}

// UnresolvedError says which settings have no value: neither the system's
// configuration nor a default gives one.
type UnresolvedError struct {
	Profile string
	Names   []string
	Hints   []string // where each was looked for
}

func (e *UnresolvedError) Error() string {
	parts := make([]string, len(e.Names))
	for i, name := range e.Names {
		parts[i] = name + " (" + e.Hints[i] + ")"
	}
	return fmt.Sprintf("profile %s: no value for the settings %s; give them under settings: of the system in lifeboat.yaml", e.Profile, strings.Join(parts, ", "))
}

// Resolve reads all settings of a profile from the system's own configuration.
// Overrides win: those of the site, or those that were recorded at backup. When
// some have no value, the map of the others is returned together with an
// *UnresolvedError.
func (r *Registry) Resolve(ctx context.Context, p *Profile, scope Scope, overrides map[string]string) (map[string]string, error) {
	values := map[string]string{}
	missing := &UnresolvedError{Profile: p.Name}
	for _, name := range sorted(keys(p.Settings), p.settingNeeds()) {
		if value, ok := overrides[name]; ok {
			values[name] = value
			continue
		}
		scope.Settings = values
		setting := p.Settings[name]
		value, ok, err := r.read(ctx, scope, setting)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s:%d: setting %s: %w", p.Source, setting.Line, name, err)
		case ok:
			values[name] = value
		default:
			missing.Names = append(missing.Names, name)
			missing.Hints = append(missing.Hints, "not found by "+setting.Source)
		}
	}
	if len(missing.Names) > 0 {
		return values, missing
	}
	return values, nil
}

// CheckSettings finds overrides that name no setting of the profile.
func (p *Profile) CheckSettings(overrides map[string]string) error {
	var errs []error
	for _, name := range keys(overrides) {
		if _, ok := p.Settings[name]; !ok {
			errs = append(errs, fmt.Errorf("profile %s has no setting %s%s", p.Name, name, strict.Suggest(name, keys(p.Settings))))
		}
	}
	return errors.Join(errs...)
}

// read asks a setting's source, takes out what matches asks for, and falls back
// to the default. A setting made of one that has no value has none either.
func (r *Registry) read(ctx context.Context, scope Scope, s Setting) (string, bool, error) {
	value, ok, err := r.ask(ctx, scope, s)
	if err != nil && !errors.Is(err, ErrNoSetting) {
		return "", false, fmt.Errorf("%s: %w", s.Source, err)
	}
	if ok && err == nil {
		if value, ok, err = pick(value, s.Matches, scope.Settings); ok || err != nil {
			return value, ok, err
		}
	}
	if s.Default == nil {
		return "", false, nil
	}
	value, err = Expand(*s.Default, scope.Settings)
	if errors.Is(err, ErrNoSetting) {
		return "", false, nil
	}
	return value, err == nil, err
}

// ask reads from a setting's source as it is.
func (r *Registry) ask(ctx context.Context, scope Scope, s Setting) (string, bool, error) {
	if list, ok := s.Options.(*firstOptions); ok {
		for _, inner := range list.First {
			if value, ok, err := r.read(ctx, scope, inner); ok || err != nil {
				return value, ok, err
			}
		}
		return "", false, nil
	}
	source, ok := r.Sources[s.Source]
	if !ok {
		return "", false, fmt.Errorf("unknown source %q", s.Source)
	}
	options, err := ExpandOptions(s.Options, scope.Settings)
	if err != nil {
		return "", false, err
	}
	return source.Read(ctx, scope, options)
}

// pick takes the first group of a pattern, or all that it matches.
func pick(value, matches string, settings map[string]string) (string, bool, error) {
	if matches == "" {
		return value, true, nil
	}
	text, err := Expand(matches, settings)
	if err != nil {
		return "", false, err
	}
	re, err := pattern(text)
	if err != nil {
		return "", false, err
	}
	found := re.FindStringSubmatch(value)
	switch len(found) {
	case 0:
		return "", false, nil
	case 1:
		return found[0], true, nil
	}
	return found[1], true, nil
}

// Facts reads what identifies the machine and the product on it: HostFacts and
// those of the profile. The scope must hold the profile's settings. A fact that
// is not known, because the product is not installed yet, is absent.
func (r *Registry) Facts(ctx context.Context, p *Profile, scope Scope) (map[string]string, error) {
	facts, err := scope.Host.Facts(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the machine's facts: %w", err)
	}
	out := hostFacts(facts)
	for _, name := range keys(p.Identity.Facts) {
		s := p.Identity.Facts[name]
		value, ok, err := r.read(ctx, scope, s)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: fact %s: %w", p.Source, s.Line, name, err)
		}
		if ok {
			out[name] = value
		}
	}
	return out, nil
}

func hostFacts(f host.Facts) map[string]string {
	addresses := f.Addresses()
	slices.Sort(addresses)
	out := map[string]string{
		"hostname": f.Hostname, "fqdn": f.FQDN,
		"os": f.OS.String(), "os_id": f.OS.ID, "os_version": f.OS.VersionID,
		"architecture": f.Arch, "addresses": strings.Join(addresses, " "),
	}
	for name, value := range out {
		if value == "" {
			delete(out, name)
		}
	}
	return out
}

// Detect tells whether the profile's product is on the machine and what was seen.
func (r *Registry) Detect(ctx context.Context, p *Profile, scope Scope) (found bool, why string, err error) {
	settings, err := r.Resolve(ctx, p, scope, nil)
	var unresolved *UnresolvedError
	if err != nil && !errors.As(err, &unresolved) {
		return false, "", err
	}
	scope.Settings = settings
	return r.Holds(ctx, *p.Detect, scope)
}

// Notices returns what is worth telling about the system as it is, each with its
// hint; with warnings set only those that are warnings. The scope must hold the
// profile's settings and facts.
func (r *Registry) Notices(ctx context.Context, p *Profile, scope Scope, warnings bool) ([]string, error) {
	return r.notices(ctx, p, scope, func(n Notice) bool { return !warnings || n.Warn })
}

// Refusals returns those notices that keep a backup from being made.
func (r *Registry) Refusals(ctx context.Context, p *Profile, scope Scope) ([]string, error) {
	return r.notices(ctx, p, scope, func(n Notice) bool { return n.Refuse })
}

func (r *Registry) notices(ctx context.Context, p *Profile, scope Scope, wanted func(Notice) bool) ([]string, error) {
	var out []string
	for _, n := range p.Notices {
		if !wanted(n) {
			continue
		}
		holds, _, err := r.Holds(ctx, *n.When, scope)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: notice: %w", p.Source, n.When.Line, err)
		}
		if !holds {
			continue
		}
		text := strings.TrimSpace(n.Say)
		if n.Hint != "" {
			text += " " + strings.TrimSpace(n.Hint)
		}
		if text, err = Expand(text, scope.Settings); err != nil {
			return nil, fmt.Errorf("%s:%d: notice: %w", p.Source, n.When.Line, err)
		}
		out = append(out, text)
	}
	return out, nil
}
