// Package hook runs the migration hooks of YaST Wagon: programs of the site, by the
// names and in the order that SUSE's upgrade manual gives them, without input or
// terminal and for a limited time; and it lists what would run. What an upgrade does
// between them must not enter here.
//
// The names, their order and what restarting and aborting call are those of the
// SUSE Linux Enterprise 12 manual, "Background: Migration Hooks for YaST Wagon"; what
// the manual leaves open was read off yast2-wagon 3.1.2.
package hook

import "slices"

// Dir is where YaST Wagon looks for hooks.
const Dir = "/var/lib/YaST2/wagon/hooks"

// The two programs that were the hooks of older Wagons, which newer ones still run:
// right before the hooks of BeforeInit, and right before those of BeforeExit.
const (
	obsoleteInit   = "/usr/lib/YaST2/bin/wagon_hook_init"
	obsoleteFinish = "/usr/lib/YaST2/bin/wagon_hook_finish"
)

// Occasion is when hooks are called: what Wagon calls a step.
type Occasion string

// The occasions. There is none after the packages were migrated but those of what
// follows it.
const (
	BeforeInit                        Occasion = "before_init"
	BeforeWelcome                     Occasion = "before_welcome"
	AfterWelcome                      Occasion = "after_welcome"
	BeforeRegistrationCheck           Occasion = "before_registration_check"
	AfterRegistrationCheck            Occasion = "after_registration_check"
	BeforeCustomURL                   Occasion = "before_custom_url"
	AfterCustomURL                    Occasion = "after_custom_url"
	BeforeSelfUpdate                  Occasion = "before_self_update"
	AfterSelfUpdate                   Occasion = "after_self_update"
	BeforeInstallingMigrationProducts Occasion = "before_installing_migration_products"
	AfterInstallingMigrationProducts  Occasion = "after_installing_migration_products"
	BeforeSelectingMigrationSource    Occasion = "before_selecting_migration_source"
	AfterSelectingMigrationSource     Occasion = "after_selecting_migration_source"
	BeforeRegistration                Occasion = "before_registration"
	AfterRegistration                 Occasion = "after_registration"
	BeforeRepoSelection               Occasion = "before_repo_selection"
	AfterRepoSelection                Occasion = "after_repo_selection"
	BeforeSetMigrationRepo            Occasion = "before_set_migration_repo"
	AfterSetMigrationRepo             Occasion = "after_set_migration_repo"
	BeforePackageMigration            Occasion = "before_package_migration"
	BeforeCongratulate                Occasion = "before_congratulate"
	AfterCongratulate                 Occasion = "after_congratulate"
	BeforeExit                        Occasion = "before_exit"
	BeforeAbort                       Occasion = "before_abort"
	BeforeAbortRollback               Occasion = "before_abort_rollback"
	AfterAbortRollback                Occasion = "after_abort_rollback"
	BeforeRestart                     Occasion = "before_restart"
	AfterRestart                      Occasion = "after_restart"
)

// Part is a part of an upgrade.
type Part string

// The parts. The point of no return lies between Prepare and Finish.
const (
	Prepare Part = "prepare"
	Restart Part = "restart"
	Finish  Part = "finish"
	Abort   Part = "abort"
)

// Call is one place in an upgrade at which hooks are called. Some occasions have more
// than one.
type Call struct {
	Occasion Occasion `json:"occasion"`
	Part     Part     `json:"part"`
	// When says what it is called around, and whether that is in every upgrade.
	When string `json:"when"`
}

// Calls are all places, in the order in which an upgrade comes to them. The part
// Restart comes whenever the upgrade goes on in another process, on the far side of a
// restart of the machine, say; Abort comes instead of what is left.
func Calls() []Call {
	return []Call{
		{BeforeInit, Prepare, "at the very beginning"},
		{BeforeWelcome, Prepare, "before the plan is shown"},
		{AfterWelcome, Prepare, "after the plan was accepted"},
		{BeforeRegistrationCheck, Prepare, "before the registration is looked at"},
		{AfterRegistrationCheck, Prepare, "after the registration was looked at"},
		{BeforeCustomURL, Prepare, "before package repositories are edited; only where that is asked for"},
		{AfterCustomURL, Prepare, "after package repositories were edited; only where that is asked for"},
		{BeforeSelfUpdate, Prepare, "before the update tools are updated"},
		{AfterSelfUpdate, Prepare, "after the update tools were updated"},
		{BeforeInstallingMigrationProducts, Prepare, "before the migration products are installed"},
		{AfterInstallingMigrationProducts, Prepare, "after the migration products were installed"},
		{BeforeSelectingMigrationSource, Prepare, "before it is settled where the packages come from"},
		{AfterSelectingMigrationSource, Prepare, "after it was settled where the packages come from"},
		{BeforeRegistration, Prepare, "before registering for the new repositories; only where they come so"},
		{AfterRegistration, Prepare, "after registering for the new repositories; only where they come so"},
		{BeforeRepoSelection, Prepare, "before repositories are chosen; only where they do not come by registering"},
		{AfterRepoSelection, Prepare, "after repositories were chosen; only where they do not come by registering"},
		{BeforeSetMigrationRepo, Prepare, "before the repositories are switched"},
		{AfterSetMigrationRepo, Prepare, "after the repositories were switched"},
		{BeforePackageMigration, Prepare, "with the recovery point made, before the first package changes"},
		{BeforeRestart, Restart, "before the upgrade goes on in another process"},
		{BeforeExit, Restart, "this process ends"},
		{BeforeInit, Restart, "the other one begins"},
		{AfterRestart, Restart, "before it goes on with the next step"},
		{BeforeRegistration, Finish, "before the updated products are registered"},
		{AfterRegistration, Finish, "after the updated products were registered"},
		{BeforeCongratulate, Finish, "before success is told"},
		{AfterCongratulate, Finish, "after success was told"},
		{BeforeExit, Finish, "at the very end, however it ended"},
		{BeforeAbort, Abort, "the upgrade is given up"},
		{BeforeAbortRollback, Abort, "before the way back; only where it is gone"},
		{AfterAbortRollback, Abort, "after the way back; only where it was gone"},
		{BeforeExit, Abort, "at the very end, however it ended"},
	}
}

// Occasions are all there are, in the order of their first calls.
func Occasions() []Occasion {
	var all []Occasion
	for _, c := range Calls() {
		if !slices.Contains(all, c.Occasion) {
			all = append(all, c.Occasion)
		}
	}
	return all
}

// obsolete is the old program that is run before the hooks of an occasion, or "".
func (o Occasion) obsolete() string {
	switch o {
	case BeforeInit:
		return obsoleteInit
	case BeforeExit:
		return obsoleteFinish
	}
	return ""
}

// Policy is what names are taken for hooks, and what a hook that fails stops.
type Policy string

// The policies.
const (
	// Strict takes the names of the manual. A hook that fails, or that cannot run, ends
	// the step of the runbook with an error: before the point of no return that stops
	// the upgrade, behind it the way back is gone.
	Strict Policy = "strict"
	// Wagon takes what Wagon takes, a number of any length among it, and the copies
	// that rpm or an editor left. To cancel skips the other hooks of the occasion, and
	// the upgrade goes on.
	Wagon Policy = "wagon"
)
