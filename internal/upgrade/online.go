package upgrade

import (
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/hook"
)

// The steps that others look for.
const (
	stepSecure  = "recovery-point"
	stepSwitch  = "repositories"
	stepPass    = "point-of-no-return"
	stepUpgrade = "upgrade"
	stepVerify  = "verify"
)

// online upgrades a root with zypper. Hooks are called at the places that YaST Wagon
// calls them.
func (u *Upgrade) online() []runbook.Stage {
	safe := runbook.RepeatSafe
	secure := []runbook.Step{{ID: "unchanged", Title: "See that the packages are still those of the plan", EachTime: true, Run: u.unchanged}}
	secure = append(secure, u.serversStill()...)
	verify := []runbook.Step{{ID: stepVerify, Title: "See that the host is " + u.To.Name() + ", wholly", Repeat: safe, Run: u.verify}}
	verify = append(verify, u.serversAgain()...)
	return u.foreseeing([]runbook.Stage{
		u.examine(),
		{Name: "plan", Title: "Plan, and try everything that can be tried", Steps: []runbook.Step{
			u.hooked("hooks/source", "Run the hooks before the package repositories are chosen",
				hook.BeforeSelectingMigrationSource, hook.AfterSelectingMigrationSource, hook.BeforeRepoSelection),
			{ID: "offer", Title: "Read the package repositories of " + u.To.Name(), Repeat: safe, Run: u.offer},
			u.hooked("hooks/chosen", "Run the hooks after the package repositories were chosen", hook.AfterRepoSelection),
			{ID: "plan", Title: "Ask the solver which packages change", Repeat: safe, Run: u.plan},
			{ID: stepPreflight, Title: "Check what stands in the way", Repeat: safe, Run: u.inspect},
			{ID: "fetch", Title: "Download the packages and look for conflicts", Repeat: safe, Run: u.fetch},
			{ID: "rehearse", Title: "Rehearse the transaction in a sandbox", Repeat: safe, When: u.wanted, Run: u.rehearse},
		}},
		{Name: "secure", Title: "Make the way back", Steps: append(secure, []runbook.Step{
			{ID: stepSecure, Title: "Make and verify the way back", Repeat: safe, Run: u.secure, Undo: u.release},
			u.hooked("hooks/switch", "Run the hooks before the package repositories are switched", hook.BeforeSetMigrationRepo),
			{
				ID: stepSwitch, Title: "Switch to the package repositories of " + u.To.Name(), Repeat: safe, Run: u.switchOver, Undo: u.switchBack,
				Effects: u.switchEffects(),
			},
			u.hooked("hooks/switched", "Run the hooks after the package repositories were switched", hook.AfterSetMigrationRepo),
			u.hooked("hooks/migrate", "Run the hooks before the first package changes", hook.BeforePackageMigration),
		}...)},
		{Name: "upgrade", Title: "Upgrade", Steps: []runbook.Step{
			{ID: stepPass, Title: "Pass the point of no return", Repeat: safe, Run: u.pass},
			{ID: stepUpgrade, Title: "Upgrade the packages", Repeat: safe, Run: u.upgrade, Undo: u.back},
		}},
		{Name: "verify", Title: "Verify", Steps: append(verify,
			u.hooked("hooks/registration", "Run the hooks of the registration", hook.BeforeRegistration, hook.AfterRegistration))},
		{Name: "finish", Title: "Finish", Steps: []runbook.Step{
			u.hooked("hooks/finish", "Run the hooks of the end", hook.BeforeCongratulate, hook.AfterCongratulate, hook.BeforeExit),
			{ID: "tidy", Title: "Remove what was downloaded", Repeat: safe, Run: u.end},
		}},
	})
}
