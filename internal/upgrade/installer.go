package upgrade

import (
	"context"
	"fmt"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/hook"
	"lifeboat/internal/upgrade/path"
)

// The steps of handing over.
const (
	stepEntry = "boot-entry"
	stepHand  = "installer"
)

// methodEntry is the method by which the boot loader starts the installer.
const methodEntry = "boot-entry"

// installer prepares for the vendor's installer, hands over to it, and afterwards sees
// what it has done. The hooks are those of a migration up to the first package, and of
// its end; the installer calls none.
func (u *Upgrade) installer() []runbook.Stage {
	safe := runbook.RepeatSafe
	hand := runbook.Step{
		ID: stepHand, Title: "Let the installer upgrade the host", Reboot: true, Done: u.installed, Undo: u.back,
		Hand: "Restart the machine. Where no boot entry was made, boot the medium and choose Upgrade, never Installation.",
	}
	return u.foreseeing([]runbook.Stage{
		u.examine(),
		{Name: "plan", Title: "Check what stands in the way", Steps: []runbook.Step{
			u.hooked("hooks/source", "Run the hooks before the source is chosen", hook.BeforeSelectingMigrationSource, hook.AfterSelectingMigrationSource),
			{ID: "source", Title: "Look at the installation medium", Repeat: safe, When: u.byEntry, Run: u.looksAtMedium},
			{ID: stepPreflight, Title: "Check what stands in the way", Repeat: safe, Run: u.inspect},
		}},
		{Name: "secure", Title: "Make the way back", Steps: append(u.serversStill(), []runbook.Step{
			{ID: stepSecure, Title: "Make and verify the way back", Repeat: safe, Run: u.secure, Undo: u.release},
			u.hooked("hooks/migrate", "Run the hooks before the first package changes",
				hook.BeforeSetMigrationRepo, hook.AfterSetMigrationRepo, hook.BeforePackageMigration),
			{
				ID: stepEntry, Title: "Make the boot entry that starts the installer once", Repeat: safe, When: u.byEntry, Run: u.addEntry, Undo: u.dropEntry,
				Effects: []string{"adds a section to the boot menu, and kernel and initrd of the installer to /boot"},
			},
			u.hooked("hooks/restart", "Run the hooks before the restart", hook.BeforeRestart, hook.BeforeExit),
		}...)},
		{Name: "upgrade", Title: "Upgrade", Steps: []runbook.Step{
			{ID: stepPass, Title: "Pass the point of no return", Repeat: safe, Run: u.pass},
			hand,
		}},
		{Name: "verify", Title: "Verify", Steps: append(append([]runbook.Step{
			u.hooked("hooks/restarted", "Run the hooks of the restart", hook.BeforeInit, hook.AfterRestart),
			{ID: stepVerify, Title: "See that the host is " + u.To.Name() + ", wholly", Repeat: safe, Run: u.verifyInstalled},
			{ID: "boot-entry/remove", Title: "Remove the boot entry", Repeat: safe, When: u.byEntry, Run: u.dropEntry},
		}, u.serversAgain()...), u.hooked("hooks/registration", "Run the hooks of the registration", hook.BeforeRegistration, hook.AfterRegistration))},
		{Name: "finish", Title: "Finish", Steps: []runbook.Step{
			u.hooked("hooks/finish", "Run the hooks of the end", hook.BeforeCongratulate, hook.AfterCongratulate, hook.BeforeExit),
			{ID: "tidy", Title: "Remove what was downloaded", Repeat: safe, Run: u.end},
		}},
	})
}

func (u *Upgrade) byEntry(context.Context) (bool, string, error) {
	return u.Method == methodEntry, u.Method + " needs no entry of the boot loader", nil
}

// looksAtMedium sees that the medium has the release, and that a boot entry could be
// made, while nothing has changed.
func (u *Upgrade) looksAtMedium(ctx context.Context, task runbook.Task) error {
	if err := u.tryEntry(ctx, u.Request); err != nil {
		return err
	}
	s, err := u.mediumSource(ctx, u.Request)
	if err != nil {
		return err
	}
	return u.settleSource(task, s)
}

func (u *Upgrade) tryEntry(ctx context.Context, r Request) error {
	if r.Medium == "" {
		return runbook.Refuse("", "no installation medium of %s is named (--medium DIR)", r.To.Name())
	}
	if err := u.Entry.Try(ctx, r); err != nil {
		return runbook.Refuse("", "no boot entry for the installer of %s can be made: %v", r.To.Name(), err)
	}
	return nil
}

func (u *Upgrade) addEntry(ctx context.Context, task runbook.Task) error {
	said, err := u.Entry.Add(ctx, u.Request)
	if err != nil {
		return err
	}
	task.Logf("%s", said)
	return nil
}

func (u *Upgrade) dropEntry(ctx context.Context, task runbook.Task) error {
	return u.Entry.Remove(ctx)
}

// installed sees whether the installer has done its work.
func (u *Upgrade) installed(ctx context.Context) (bool, string, error) {
	found, err := u.present(ctx)
	if err != nil {
		return false, err.Error(), nil //nolint:nilerr // half an installer's work says nothing of its release
	}
	if found.Name() != u.To.Name() {
		return false, fmt.Sprintf("the host is %s; start the installer of %s, and let it upgrade", found.Name(), u.To.Name()), nil
	}
	return true, "the host is " + found.Name(), nil
}

func (u *Upgrade) present(ctx context.Context) (path.Release, error) {
	f, err := facts.Collect(ctx, u.host)
	if err != nil {
		return path.Release{}, err
	}
	return u.Catalogue.Find(f.Release.ID, f.Release.Version, f.Release.SP, f.Arch)
}

// verifyInstalled sees that what the installer has left is the release, wholly.
func (u *Upgrade) verifyInstalled(ctx context.Context, task runbook.Task) error {
	found, err := u.present(ctx)
	if err != nil {
		return err
	}
	task.Check(runbook.Check{Name: "release", OK: found.Name() == u.To.Name(), Expected: u.To.Name(), Found: found.Name()})
	z, err := u.zypper(ctx, false)
	if err != nil {
		return err
	}
	if err := u.consistent(ctx, task, z); err != nil {
		return err
	}
	out := Outcome{Release: found.Name()}
	list, err := z.Packages(ctx)
	if err != nil {
		return err
	}
	out.Packages = len(list)
	if err := u.beside(&out); err != nil {
		return err
	}
	return u.report(task, out)
}
