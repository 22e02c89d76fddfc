package preflight

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

func pointMissing(in *Input) *seen {
	p := in.Point
	why := ""
	switch {
	case p.Repository != "" && (p.Planned || p.ID != ""):
		return nil
	case p.Error != "":
		why = p.Error
	case p.System == "":
		why = "No system of this machine's configuration covers the whole machine."
	case p.Repository == "":
		why = "No repository is configured for " + p.System + "."
	default:
		why = "The repository " + p.Repository + " has no complete recovery point of " + p.System + "."
	}
	remedy := "lifeboat init --repository URL configures the system; then lifeboat backup SYSTEM and lifeboat verify SYSTEM --read-data."
	if p.System != "" && p.Repository != "" {
		remedy = "lifeboat backup " + p.System + ", then lifeboat verify " + p.System + " --read-data."
	}
	return &seen{detail: why, remedy: remedy}
}

// has tells whether there is, or will be, a point to say something about.
func (p Point) has() bool { return p.Repository != "" && (p.Planned || p.ID != "") }

func pointIncomplete(in *Input) *seen {
	if !in.Point.has() || len(in.Point.Missing) == 0 {
		return nil
	}
	return &seen{
		detail: "What no recovery point holds is lost when the upgrade has to be taken back.",
		items:  in.Point.Missing,
		remedy: "Let the profile of " + cmp.Or(in.Point.System, "the machine") + " cover it, and make a point again.",
	}
}

func pointUnverified(in *Input) *seen {
	p := in.Point
	if !p.has() || p.Planned || !p.Verified.IsZero() && !p.Verified.Before(p.Time) {
		return nil
	}
	detail := "Nobody has read all its data since it was made."
	if p.Error != "" {
		detail += " " + p.Error
	}
	return &seen{detail: detail, remedy: "lifeboat verify " + p.System + " --read-data."}
}

func pointSameDisk(in *Input) *seen {
	if !in.Point.has() || len(in.Point.Shared) == 0 {
		return nil
	}
	return &seen{
		detail: fmt.Sprintf("The repository %s is on %s, as the root is: what ends the disk, or repartitions it, ends both.", in.Point.Repository, strings.Join(in.Point.Shared, ", ")),
		remedy: "Use a repository on another disk or machine (lifeboat init --second URL, lifeboat copy), or accept this.",
	}
}

// pointDiskUnknown: what was not found out is not taken for good news.
func pointDiskUnknown(in *Input) *seen {
	if !in.Point.has() || in.Point.DiskUnknown == "" || len(in.Point.Shared) > 0 {
		return nil
	}
	return &seen{
		detail: fmt.Sprintf("The repository %s may be on the disk of the root, and end with it: %s.", in.Point.Repository, in.Point.DiskUnknown),
		remedy: "Find out where both lie (findmnt, lsblk). Use a repository on another disk or machine, or accept this when it is one.",
	}
}

// recent is how old a point may be: what was changed since is lost on the way back.
const recent = 24 * time.Hour

func pointOld(in *Input) *seen {
	p := in.Point
	if !p.has() || p.Planned || p.Time.IsZero() || in.Now.Sub(p.Time) < recent {
		return nil
	}
	return &seen{
		detail: fmt.Sprintf("It is %d hours old. What was changed since is lost when the upgrade is taken back.", int(in.Now.Sub(p.Time).Hours())),
		remedy: "lifeboat backup " + p.System + ", then lifeboat verify " + p.System + " --read-data.",
	}
}

// yastBackup: YaST saves changed files and /etc/sysconfig only (SUSE Linux Enterprise
// 12, Deployment Guide, "Make a Backup").
func yastBackup(in *Input) *seen {
	if len(in.Facts.OldBackups) == 0 {
		return nil
	}
	return &seen{
		detail: "It holds changed files of packages and /etc/sysconfig, on the machine's own disk. It is not counted.",
		items:  in.Facts.OldBackups,
		remedy: "Nothing has to be done about it.",
	}
}
