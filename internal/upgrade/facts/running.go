package facts

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// running fills in what goes on on the machine, and its desktop.
func (r *record) running(f *Facts) {
	f.Desktop.WindowManager = assignments(r.text("file", "/etc/sysconfig/windowmanager"))["DEFAULT_WM"]
	f.Desktop.DisplayManager = assignments(r.text("file", "/etc/sysconfig/displaymanager"))["DISPLAYMANAGER"]
	f.OldBackups = r.lines("names", "old-backups")
	if f.Live {
		r.guests(f)
		r.pending(f)
	}
}

// guests are known by libvirt's files of running guests, by Xen's own list and by the
// processes of emulators. One that several know is listed once.
func (r *record) guests(f *Facts) {
	add := func(name, kind, source string) {
		known := slices.ContainsFunc(f.Guests, func(g Guest) bool { return name != "" && g.Name == name })
		if !known {
			f.Guests = append(f.Guests, Guest{Name: name, Kind: kind, Source: source})
		}
	}
	for _, file := range r.lines("names", "libvirt") {
		kind := "kvm"
		if path.Base(path.Dir(file)) == "libxl" {
			kind = "xen"
		}
		add(strings.TrimSuffix(path.Base(file), ".xml"), kind, file)
	}
	for _, program := range []string{"xl", "xm"} {
		for _, line := range r.lines("run", program) {
			if name := strings.Fields(line)[0]; name != "Name" && name != "Domain-0" {
				add(name, "xen", program+" list")
			}
		}
		if b, ok := r.find("run", program); ok && b.exit != 0 && b.exit != notFound {
			f.unknown("guests", fmt.Sprintf("%s list ended with %d", program, b.exit))
		}
	}
	for _, line := range r.lines("processes", "emulators") {
		fields := strings.SplitN(line, " ", 3)
		if len(fields) < 2 {
			continue
		}
		name := ""
		if len(fields) == 3 { // guest=one,debug-threads=on
			name, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimSpace(fields[2]), "guest="), ",")
		}
		kind := "kvm"
		if fields[1] == "qemu-dm" {
			kind = "xen"
		}
		add(name, kind, "process "+fields[0]+" ("+fields[1]+")")
	}
	slices.SortFunc(f.Guests, func(a, b Guest) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Source, b.Source))
	})
}

// pending tells why the machine has to be restarted before it is upgraded.
func (r *record) pending(f *Facts) {
	for _, name := range r.lines("names", "pending") {
		if base := path.Base(name); !slices.ContainsFunc(f.Pending, func(p string) bool { return strings.Contains(p, base) }) {
			f.Pending = append(f.Pending, name+" is there")
		}
	}
	if k := f.Kernel; k.Running != "" && len(k.Installed) > 0 && !slices.Contains(k.Installed, k.Running) {
		f.Pending = append(f.Pending, "the running kernel "+k.Running+" is not installed any more")
	}
	gone := r.lines("maps", "replaced")
	if len(gone) > 0 {
		names := make([]string, 0, 3)
		for _, g := range gone[:min(3, len(gone))] {
			names = append(names, strings.TrimSuffix(g, " (deleted)"))
		}
		f.Pending = append(f.Pending, fmt.Sprintf("%d files that processes run were replaced: %s", len(gone), strings.Join(names, ", ")))
	}
}
