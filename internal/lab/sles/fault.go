package sles

import (
	"fmt"
	"slices"
	"strings"
)

// Faults that an upgrade can be built with. All but the last three are in the
// target's newest update channel, as a newer package than the first one.
const (
	FaultPre        = "pre"        // %pre of apache2 fails: zypper ends with 8 and leaves the root half upgraded
	FaultPost       = "post"       // %post of openssh fails: zypper ends with 107, everything is installed
	FaultPosttrans  = "posttrans"  // %posttrans of the database fails: zypper ends with 0 and only warns
	FaultSlow       = "slow"       // %post of the kernel waits while /var/lib/lab/hold is there, see Lab.Hold
	FaultBig        = "big"        // libicu is Options.Big bytes large
	FaultRelease    = "release"    // a script of libicu makes the system say that it is SLES 12 SP5
	FaultConflict   = "conflict"   // postgresql has a file that the database has too, with another content
	FaultUnsolvable = "unsolvable" // an update of the database needs what nobody provides
	FaultMissing    = "missing"    // the file of a package that the metadata has is not there: postgresql
	FaultCorrupt    = "corrupt"    // the file of a package is not what the metadata says: postgresql
	FaultUnsigned   = "unsigned"   // the update channel is not signed
	FaultTampered   = "tampered"   // the metadata was changed after it was signed
)

// Faults are all faults there are.
func Faults() []string {
	return []string{
		FaultPre, FaultPost, FaultPosttrans, FaultSlow, FaultBig, FaultRelease, FaultConflict, FaultUnsolvable,
		FaultMissing, FaultCorrupt, FaultUnsigned, FaultTampered,
	}
}

func checkFaults(faults []string) error {
	for _, f := range faults {
		if !slices.Contains(Faults(), f) {
			return fmt.Errorf("the lab knows no fault %q: choose from %s", f, strings.Join(Faults(), ", "))
		}
	}
	return nil
}

const (
	labDir  = "/var/lib/lab"
	hold    = labDir + "/hold"
	waiting = labDir + "/waiting"
)

// waits holds a transaction up between two packages, without a clock in it: a
// test sees that it has begun, does what it wants and lets it go on. With a device
// number in the file only the root on that device waits, so that a rehearsal in
// an overlay of it does not. A forgotten one ends after ten minutes.
var waits = script(
	"n=0",
	"while [ -e "+hold+" ] && [ $n -lt 6000 ]; do",
	"  only=$(cat "+hold+")",
	"  [ -z \"$only\" ] || [ \"$only\" = \"$(stat -c %d /)\" ] || break",
	"  touch "+waiting,
	"  sleep 0.1",
	"  n=$((n+1))",
	"done",
	"rm -f "+waiting,
	"exit 0",
)

// faulty is the package that a fault puts into the update channel, and whether
// the one it is newer than is taken out of the repositories.
func (r release) faulty(fault string, big int64) (p pack, alone bool) {
	switch fault {
	case FaultPre:
		p = r.notices()[0].pack
		p.pre = script("echo 'apache2: cannot move the old configuration' >&2", "exit 7")
	case FaultPost:
		p = r.notices()[1].pack
		p.post = script("echo 'openssh: cannot make a host key' >&2", "exit 7")
	case FaultPosttrans:
		p = r.database()
		p.posttrans = script("echo 'the tables were not upgraded' >&2", "exit 7")
	case FaultSlow:
		p = r.kernel()
		p.post = script(strings.TrimSuffix(p.post, "exit 0"), waits)
	case FaultBig:
		p = r.icu()
		p.files = append(p.files, file{path: "/usr/share/icu/big.dat", noise: big})
	case FaultRelease:
		p = r.icu()
		p.posttrans = script(`echo 'VERSION_ID="12.5"' >>/etc/os-release`, "exit 0")
	case FaultConflict:
		p = r.postgresql()
		p.files = append(p.files, text("/usr/sbin/mysqld", "not the database's\n"))
	case FaultUnsolvable:
		p, alone = r.filesystem(), true
		p.requires = []string{"permissions-of-nobody"}
	default:
		return pack{}, false
	}
	p.release += ".99"
	return p, alone
}
