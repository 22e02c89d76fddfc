package preflight

import "slices"

// acceptance is how a finding is accepted.
type acceptance string

const (
	never   acceptance = "never"
	plainly acceptance = "plainly" // by its id
	byItem  acceptance = "by item" // each item has to be named
	byWord  acceptance = "by word" // a word says what exactly was accepted
)

// seen is what a check sees when there is something.
type seen struct {
	detail   string
	items    []string
	remedy   string
	word     string
	severity Severity   // where it differs from the rule's
	accept   acceptance // where it differs from the rule's
}

// rule is one check. Its id never changes: accept-lists and others' programs have it.
type rule struct {
	id       string
	severity Severity
	accept   acceptance
	title    string
	look     func(*Input) *seen
}

// rules are the checks, in the order of the report.
var rules = []rule{
	{"facts-incomplete", Inhibitor, never, "Something that must be known of the machine is not", factsIncomplete},
	{"facts-old", Medium, plainly, "The facts are old, or from the future", factsOld},
	{"path-unknown", Inhibitor, never, "No profile knows this upgrade", pathUnknown},
	{"path-current", Info, never, "The machine has the target's release already", pathCurrent},
	{"path-refused", Inhibitor, never, "The upgrade is not supported", pathRefused},
	{"architecture", Inhibitor, never, "The target is not for this machine's architecture", architecture},
	{"architectures-mixed", Inhibitor, plainly, "Kernel, packages and products are of several architectures", mixed},
	{"path-needs", High, plainly, "The upgrade is supported under conditions", pathNeeds},
	{"source-other-release", Inhibitor, never, "The source has another release", sourceOther},
	{"source-refuted", Inhibitor, never, "The installation medium is not what it claims to be", sourceRefuted},
	{"source-unproven", High, plainly, "Nobody who is trusted vouches for the installation medium", sourceUnproven},
	{"release-notes", Inhibitor, byWord, "The release notes have not been acknowledged", releaseNotes},

	{"recovery-point-missing", Inhibitor, never, "There is no recovery point to go back to", pointMissing},
	{"recovery-point-incomplete", Inhibitor, never, "The recovery point lacks what must be saved", pointIncomplete},
	{"recovery-point-unverified", Inhibitor, never, "The recovery point has not been verified", pointUnverified},
	{"recovery-point-same-disk", Inhibitor, plainly, "The recovery point lies on the machine's own disk", pointSameDisk},
	{"recovery-point-disk-unknown", Inhibitor, plainly, "It is not known on which disk the recovery point lies", pointDiskUnknown},
	{"recovery-point-old", High, plainly, "The recovery point is old", pointOld},
	{"yast-backup", Info, never, "What YaST keeps in /var/adm/backup is no backup", yastBackup},

	{"root-device-unknown", Inhibitor, never, "The root device is not known", rootUnknown},
	{"root-device", Info, never, "The root device, for the record", rootRecorded},
	{"disk-space-low", Inhibitor, never, "There is not enough free space", spaceLow},
	{"disk-space-tight", High, plainly, "Free space is tight", spaceTight},
	{"boot-space-low", Inhibitor, never, "/boot is too small", bootLow},
	{"boot-entry-impossible", Inhibitor, never, "The machine's boot loader takes no boot entry", entryImpossible},
	{"boot-loader-unknown", High, plainly, "The boot loader is not known", bootUnknown},

	{"guests-running", Inhibitor, never, "Virtual machines are running here", guests},
	{"restart-pending", Inhibitor, plainly, "The machine has to be restarted first", restart},
	{ServerFails, Inhibitor, byItem, "A system on this machine does not pass its checks", serverFails},
	{"server-data-stays", Inhibitor, never, "Data of a system on this machine would not go back with it", serverStays},
	{"servers", Info, never, "Systems on this machine stand still while it is upgraded", servers},
	{"desktop-changes", Medium, plainly, "The desktop will be another one", desktop},

	{"package-database", Inhibitor, byWord, "The package database is inconsistent", inconsistent},
	{"packages-locked", Inhibitor, byItem, "Packages are locked or held", locked},
	{"transaction-unknown", High, plainly, "What will become of the packages was not found out", transactionUnknown},
	{"packages-conflict", Inhibitor, never, "The packages do not fit together", conflict},
	{"transaction-other-release", Inhibitor, never, "The packages would make it another release than is wanted", otherRelease},
	{"products-removed", Inhibitor, byItem, "Products would be removed", productsRemoved},
	{"third-party-removed", Inhibitor, byItem, "Packages of other vendors would be removed", foreignRemoved},
	{"packages-removed", Inhibitor, byWord, "Packages would be removed", packagesRemoved},
	{"vendor-changed", High, plainly, "Packages would come from another vendor", vendorChanged},
	{"packages-downgraded", Medium, plainly, "Packages would get older", downgraded},
	{"third-party-unknown", High, plainly, "It is not known what becomes of packages of other vendors", foreignUnknown},
	{"third-party", Info, never, "Packages of other vendors stay", foreignKept},

	{"repositories-missing", Inhibitor, plainly, "Required package repositories are missing", repositoriesMissing},
	{"target-repositories-missing", Inhibitor, plainly, "Required package repositories of the target are not named", targetsMissing},
	{"target-repositories-distrusted", Inhibitor, never, "Signatures of the target's package repositories do not hold", targetsDistrusted},
	{"repositories-unsigned", High, byItem, "Package repositories are not checked for signatures", repositoriesUnsigned},
}

// Rule describes a check for people.
type Rule struct {
	ID       string
	Severity Severity // its usual one
	Title    string
	Accepted string // how it is accepted
}

// Rules lists the checks.
func Rules() []Rule {
	list := make([]Rule, len(rules))
	for i, r := range rules {
		list[i] = Rule{ID: r.id, Severity: r.severity, Title: r.title, Accepted: string(r.accept)}
	}
	return list
}

// foreseeable are the checks that need nothing but what stays as it is over several
// upgrades, or is known before the first of them.
var foreseeable = []string{
	"path-refused", "architecture", "path-needs", "source-other-release", "source-refuted", "release-notes", "boot-loader-unknown", "repositories-missing",
}

// Foreseeable tells whether a finding can be judged before an earlier upgrade is done.
func Foreseeable(id string) bool { return slices.Contains(foreseeable, id) }
