package preflight

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/upgrade/facts"
)

// vital are the facts without which nothing can be said.
var vital = []string{"rights", "release", "architecture", "packages", "repositories", "consistency", "space", "guests"}

func factsIncomplete(in *Input) *seen {
	var items []string
	for _, u := range in.Facts.Unknown {
		if slices.Contains(vital, u.What) && !slices.Contains(items, u.What+": "+u.Why) {
			items = append(items, u.What+": "+u.Why)
		}
	}
	if len(items) == 0 {
		return nil
	}
	return &seen{items: items, remedy: "Correct what is named, gather the facts as root (lifeboat facts, or the script), and check again."}
}

// freshness is how long facts are taken for the present.
const freshness = 24 * time.Hour

// clockSlack is how far the clocks of two machines may be apart.
const clockSlack = 10 * time.Minute

func factsOld(in *Input) *seen {
	age := in.Now.Sub(in.Facts.Collected)
	if age < -clockSlack {
		return &seen{
			detail: fmt.Sprintf("They are dated %s, which is in the future here: the clock of the host or of this machine is wrong, so nobody knows how old they are.", in.Facts.Collected.Format(time.DateTime)),
			remedy: "Set the clocks right, and gather the facts again.",
		}
	}
	if age < freshness {
		return nil
	}
	return &seen{
		detail: fmt.Sprintf("They were gathered %s, %d hours ago; the machine may have changed.", in.Facts.Collected.Format(time.DateTime), int(age.Hours())),
		remedy: "Gather them again.",
	}
}

func rootText(r facts.Root) string {
	if r.Device == "" {
		return ""
	}
	text := r.Device
	if r.UUID != "" {
		text += " (UUID " + r.UUID + ")"
	}
	if r.Filesystem != "" {
		text += ", " + r.Filesystem
	}
	return text
}

func rootUnknown(in *Input) *seen {
	if in.Facts.Root.Device != "" {
		return nil
	}
	return &seen{
		detail: "An installer asks which root partition is to be upgraded, and a rescue system has to mount it.",
		remedy: "Find it with df / on the machine, correct /etc/fstab, and gather the facts again.",
	}
}

func rootRecorded(in *Input) *seen {
	if in.Facts.Root.Device == "" {
		return nil
	}
	return &seen{detail: rootText(in.Facts.Root), remedy: "Keep this report where it can be read without the machine."}
}

func bootUnknown(in *Input) *seen {
	if in.Facts.Boot.Loader != "" || in.live() {
		return nil
	}
	return &seen{
		detail: "No menu of GRUB, GRUB 2, ELILO, LILO or zipl was found, so no entry for the installer can be added to it.",
		remedy: "Boot the installer from a medium or over the network instead.",
	}
}

// entryImpossible: an entry is made for GRUB legacy and GRUB 2 only.
func entryImpossible(in *Input) *seen {
	if in.Method == nil || in.Method.ID != "boot-entry" || in.Facts.Boot.Loader == "" || strings.HasPrefix(in.Facts.Boot.Loader, "grub") {
		return nil
	}
	return &seen{
		detail: "It is " + in.Facts.Boot.Loader + ", and an entry can be made for GRUB and GRUB 2 only.",
		remedy: "Choose another method (lifeboat upgrade plan lists them): start the installer by hand.",
	}
}

func guests(in *Input) *seen {
	if len(in.Facts.Guests) == 0 {
		return nil
	}
	s := &seen{
		detail: "After the upgrade of a virtual machine host its guests may not be reachable if they were running.",
		remedy: "Shut each down from within, or with virsh shutdown NAME (KVM) or xl shutdown NAME (Xen), and wait until it is off.",
	}
	for _, g := range in.Facts.Guests {
		name := g.Name
		if name == "" {
			name = "without a name"
		}
		s.items = append(s.items, fmt.Sprintf("%s (%s, %s)", name, g.Kind, g.Source))
	}
	return s
}

func restart(in *Input) *seen {
	if len(in.Facts.Pending) == 0 {
		return nil
	}
	return &seen{
		detail: "What runs is not what is installed. An upgrade from there is an upgrade from a state that nobody has tried.",
		items:  in.Facts.Pending,
		remedy: "Restart the machine, see that all works, and check again.",
	}
}

// desktop: from SLE 12 on there is GNOME and no KDE, and GDM takes KDM's place
// (SUSE Linux Enterprise 12, Deployment Guide, "Updating SUSE Linux Enterprise").
func desktop(in *Input) *seen {
	if !in.crosses("12") {
		return nil
	}
	var items []string
	if wm := in.Facts.Desktop.WindowManager; isKDE(wm) {
		items = append(items, "KDE (DEFAULT_WM="+wm+") becomes GNOME")
	}
	if dm := in.Facts.Desktop.DisplayManager; strings.HasPrefix(strings.ToLower(dm), "kdm") {
		items = append(items, "KDM (DISPLAYMANAGER="+dm+") becomes GDM")
	}
	if len(items) == 0 {
		return nil
	}
	return &seen{
		items:  items,
		remedy: "Tell those who work on this machine, or choose another desktop among the installer's patterns. KDE's settings stay in the home directories.",
	}
}

func isKDE(wm string) bool {
	wm = strings.ToLower(wm)
	return strings.HasPrefix(wm, "kde") || strings.HasPrefix(wm, "startkde")
}

// crosses tells whether a SUSE machine goes from before a version to it or a later one.
func (in *Input) crosses(version string) bool {
	r := in.Facts.Release
	if !slices.Contains(r.Like, "suse") && r.ID != "sles" && r.ID != "sled" {
		return false
	}
	from, err := strconv.Atoi(r.Version)
	to, err2 := strconv.Atoi(in.To.Version)
	limit, err3 := strconv.Atoi(version)
	return err == nil && err2 == nil && err3 == nil && from < limit && to >= limit
}
