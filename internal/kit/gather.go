package kit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/kit/sheet"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/storage/redact"
	"lifeboat/internal/vault"
)

// sheet gathers what stands on the paper, but for the key and its password.
func (o Options) sheet(ctx context.Context, made *Made) (*sheet.Sheet, error) {
	facts, err := o.Host.Facts(ctx)
	if err != nil {
		return nil, fmt.Errorf("read this machine's facts: %w", err)
	}
	way, err := accessTo(o.Repository)
	if err != nil {
		return nil, err
	}
	s := &sheet.Sheet{
		Kit: made.ID, Created: made.Created, Host: firstOf(facts.FQDN, facts.Hostname), Version: o.Version,
		Total: o.Total, Threshold: o.Threshold, Proofs: way.proofs,
	}
	s.Repository = []sheet.Line{{Name: "Address", Value: redact.URL(o.Repository.URL)}}
	if scheme, _, ok := strings.Cut(o.Repository.URL, ":"); !ok || !slices.Contains([]string{"s3", "sftp", "rest"}, scheme) {
		s.Repository = append(s.Repository, sheet.Line{Name: "which is", Value: "a directory of " + s.Host + " (where is its disk on the day?)"})
	}
	s.Repository = append(s.Repository, sheet.Line{Name: "Repository id", Value: made.RepositoryID})
	for _, other := range o.Others {
		s.Repository = append(s.Repository, sheet.Line{Name: "Copies, own password", Value: redact.URL(other.URL)})
	}
	s.RecoverWithShares = recovery.Shell(append([]string{"lifeboat", "kit", "recover"}, way.arguments...)...)
	s.Command = s.RecoverWithShares
	s.Lifeboat = append(s.Lifeboat, s.RecoverWithShares)
	for _, system := range o.Systems {
		s.Lifeboat = append(s.Lifeboat, recovery.Shell(append([]string{"lifeboat", "recover", system.Name, "--password-file", "/etc/lifeboat/kit.key"}, way.arguments...)...))
	}
	s.Restic = o.restic(way)
	for _, system := range o.Systems {
		outline, err := o.outline(ctx, system, facts)
		if errors.Is(err, vault.ErrNoPoint) {
			made.Pointless = append(made.Pointless, system.Name)
		} else if err != nil {
			return nil, fmt.Errorf("outline of the recovery of %s: %w", system.Name, err)
		}
		s.Systems = append(s.Systems, outline)
	}
	s.Elsewhere = o.elsewhere(way.needed)
	for _, e := range s.Elsewhere {
		if e.Who == "" {
			made.Unassigned = append(made.Unassigned, e.What)
		}
	}
	return s, nil
}

// restic is how a person gets in who has nothing of ours.
func (o Options) restic(way access) []string {
	var lines []string
	if o.Total == 0 {
		lines = append(lines, "# Put the password of this kit into a file:",
			"(umask 077; cat >"+keyFile+")   # type it as it is printed, Enter, Ctrl-D")
	} else {
		lines = append(lines, "# Put the shares together on any machine, with Lifeboat or with the Python script in its docs/kit.md:",
			"lifeboat kit recover --output "+keyFile)
	}
	lines = append(lines, way.before...)
	if way.address == "" {
		lines = append(lines, "export RESTIC_REPOSITORY_FILE=/root/repository")
	} else {
		lines = append(lines, "export RESTIC_REPOSITORY="+recovery.Shell(way.address))
	}
	lines = append(lines, "export RESTIC_PASSWORD_FILE="+keyFile)
	restic := append([]string{"restic"}, way.flags...)
	for _, system := range o.Systems {
		lines = append(lines, recovery.Shell(append(restic, "snapshots", "--tag", "system:"+system.Name)...))
	}
	return append(lines,
		recovery.Shell(append(restic, "restore", "POINT", "--target", "/", "--include", "/.lifeboat")...),
		"# POINT is the id of the snapshot that is wanted. Then follow /.lifeboat/RUNBOOK.md.")
}

// outline is what the recovery of a system does, as its newest recovery point says.
// Without one it is what the profile says, and the error is vault.ErrNoPoint.
func (o Options) outline(ctx context.Context, system System, facts host.Facts) (sheet.System, error) {
	out := sheet.System{Name: system.Name, Title: system.Profile.Title}
	options := recovery.Options{System: system.Name, Profile: system.Profile, Catalog: o.Catalog, Host: o.Host, Settings: system.Settings}
	lock, err := o.Vault.Repository().ReadLock(ctx)
	if err != nil {
		return out, err
	}
	latest, none := o.Vault.Latest(ctx, vault.Filter{System: system.Name}, facts)
	if err := lock.Release(); err != nil {
		return out, err
	}
	var machines *vault.MachinesError
	switch {
	case none == nil:
		options.Point = latest.Point
		out.Note = "As of the recovery point of " + latest.Point.Time().Local().Format("2006-01-02 15:04") + "."
	case errors.Is(none, vault.ErrNoPoint), errors.As(none, &machines):
		none = vault.ErrNoPoint
		out.Note = "There was no recovery point of it when this kit was made, so what it restores is not listed: make another kit after the first backup."
		settings, err := o.Catalog.Profile.Resolve(ctx, system.Profile, profile.Scope{Host: o.Host}, system.Settings)
		if err != nil {
			return out, err
		}
		options.Manifest = &vault.Manifest{System: system.Name, Profile: system.Profile.Name, Settings: maps.Clone(settings)}
	default:
		return out, none
	}
	if system.Site {
		out.Note += fmt.Sprintf(" Its profile %s is not among Lifeboat's: fetch /.lifeboat/profile.yaml from the recovery point, with restic, and put it into /etc/lifeboat/profiles/%s.yaml first.", system.Profile.Name, system.Profile.Name)
	}
	r, err := recovery.New(options)
	if err != nil {
		return out, err
	}
	chapters, err := r.Chapters(ctx)
	if err != nil {
		return out, err
	}
	for _, c := range chapters {
		stage := sheet.Stage{Number: c.Number, Title: c.Title}
		for _, step := range c.Steps {
			stage.Steps = append(stage.Steps, step.Title)
		}
		out.Stages = append(out.Stages, stage)
	}
	return out, none
}

// elsewhere lists what is needed to reach the store, what the profiles know of, and
// what the site adds. Who has it is said by the site.
func (o Options) elsewhere(needed []sheet.Secret) []sheet.Secret {
	list := slices.Clone(needed)
	find := func(what string) int {
		return slices.IndexFunc(list, func(s sheet.Secret) bool { return strings.EqualFold(s.What, what) })
	}
	for _, system := range o.Systems {
		for _, e := range system.Profile.Elsewhere {
			if i := find(e.What); i < 0 {
				list = append(list, sheet.Secret{What: e.What, For: e.For})
			} else if !strings.Contains(list[i].For, e.For) {
				list[i].For += " " + e.For
			}
		}
	}
	for _, e := range o.Elsewhere {
		switch i := find(e.What); {
		case i < 0:
			list = append(list, sheet.Secret{What: e.What, Who: e.Who})
		case list[i].Who == "":
			list[i].Who = e.Who
		default:
			list[i].Who += "; " + e.Who
		}
	}
	return list
}

func firstOf(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}
