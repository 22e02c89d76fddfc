package facts

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// storage fills in the root device, mounts and free space.
func (r *record) storage(f *Facts) {
	live := mounts(r.text("file", "/proc/mounts"), r.root)
	table := mounts(r.text("file", "/etc/fstab"), "")
	f.Mounts = live
	if r.root != "" {
		f.Mounts = table
	}
	for _, m := range slices.Concat(live, table) { // what is mounted counts
		if m.Path == "/" && f.Root.Device == "" {
			f.Root = Root{Device: m.Device, Filesystem: m.Type, Options: m.Options}
		}
	}
	r.device(f)
	if f.Root.Device == "" {
		f.unknown("root-device", "neither the list of mounts nor fstab says where / lies")
	}
	r.space(f)
}

// mounts reads lines of mounts or fstab(5) which lie at or below a root, and names
// their places as that root does. The last of several mounts at one place is what is seen.
func mounts(text, root string) []Mount {
	var list []Mount
	for _, line := range saying(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		place := unescape(fields[1])
		rest, inside := strings.CutPrefix(place, root)
		if !inside || !strings.HasPrefix(rest, "/") && rest != "" {
			continue
		}
		m := Mount{Device: unescape(fields[0]), Path: path.Clean("/" + rest), Type: fields[2], Options: fields[3]}
		list = slices.DeleteFunc(list, func(o Mount) bool { return o.Path == m.Path })
		list = append(list, m)
	}
	return list
}

// unescape takes the octal escapes of getmntent(3) away.
func unescape(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\043`, "#", `\134`, `\`).Replace(text)
}

// device finds the root's real name and its UUID by the links that udev makes.
func (r *record) device(f *Facts) {
	const byUUID = "/dev/disk/by-uuid/"
	links := map[string]string{}
	for _, line := range r.lines("links", "devices") {
		if name, to, ok := strings.Cut(line, "\t"); ok {
			if !path.IsAbs(to) {
				to = path.Join(path.Dir(name), to)
			}
			links[name] = path.Clean(to)
		}
	}
	device := f.Root.Device
	if device == "/dev/root" || device == "rootfs" {
		if m := rootOption.FindStringSubmatch(r.text("file", "/proc/cmdline")); m != nil {
			device = m[1]
		}
	}
	if id, ok := strings.CutPrefix(device, "UUID="); ok {
		f.Root.UUID = unquote(id)
		if to, ok := links[byUUID+f.Root.UUID]; ok {
			device = to
		}
	}
	if id, ok := strings.CutPrefix(device, "LABEL="); ok {
		if to, ok := links["/dev/disk/by-label/"+unquote(id)]; ok {
			device = to
		}
	}
	node := device
	if to, ok := links[node]; ok {
		node = to
		if !strings.HasPrefix(device, "/dev/mapper/") {
			device = to
		}
	}
	f.Root.Device = device
	for name, to := range links {
		if id, ok := strings.CutPrefix(name, byUUID); ok && to == node && f.Root.UUID == "" {
			f.Root.UUID = id
		}
	}
}

var rootOption = regexp.MustCompile(`(?:^|\s)root=(\S+)`)

// space reads one df for each directory that is there. Names of devices and mounts may
// have blanks, so a line is read from its numbers.
func (r *record) space(f *Facts) {
	for _, dir := range spaces {
		b, ok := r.find("run", "df "+dir)
		if !ok {
			continue
		}
		m := dfLine.FindStringSubmatch(b.text)
		if m == nil {
			f.unknown("space", "df does not tell the free space of "+dir)
			continue
		}
		size, _ := strconv.ParseInt(m[2], 10, 52)
		free, _ := strconv.ParseInt(m[3], 10, 52)
		mount := m[4]
		if rest, inside := strings.CutPrefix(mount, r.root); inside && r.root != "" && (rest == "" || rest[0] == '/') {
			mount = path.Clean("/" + rest)
		} else if r.root != "" {
			mount = "/" // the root is a directory of what is mounted there
		}
		f.Space = append(f.Space, Space{Path: dir, Device: m[1], Mount: mount, Size: size << 10, Free: free << 10})
	}
	if len(f.Space) == 0 {
		f.unknown("space", "df did not run")
	}
}

// A line of df -P -k: POSIX, df.
var dfLine = regexp.MustCompile(`(?m)^(\S.*?)\s+(\d{1,15})\s+\d{1,15}\s+(\d{1,15})\s+\d+%\s+(/.*)$`)

// boot fills in the boot loader, its menu and the kernels.
func (r *record) boot(f *Facts) {
	f.Boot.Found = r.lines("names", "boot")
	has := func(names ...string) string {
		for _, name := range names {
			if slices.Contains(f.Boot.Found, name) {
				return name
			}
		}
		return ""
	}
	f.Boot.Entries = menu(r.text("file", "/boot/grub/menu.lst"))
	configs := []struct {
		loader string
		files  []string
	}{
		{"grub2", []string{"/boot/grub2/grub.cfg", "/boot/grub/grub.cfg"}},
		{"grub", []string{"/boot/grub/menu.lst"}},
		{"elilo", []string{"/etc/elilo.conf"}},
		{"zipl", []string{"/etc/zipl.conf"}},
		{"lilo", []string{"/etc/lilo.conf"}},
	}
	// What sysconfig names counts; else the first that has a configuration.
	named := strings.ToLower(assignments(r.text("file", "/etc/sysconfig/bootloader"))["LOADER_TYPE"])
	for _, c := range configs {
		if name := has(c.files...); name != "" && (f.Boot.Loader == "" || strings.TrimSuffix(named, "-efi") == c.loader) {
			f.Boot.Loader, f.Boot.Config = c.loader, name
			if named == c.loader+"-efi" {
				f.Boot.Loader = named
			}
		}
	}
	if f.Boot.Loader == "" {
		f.unknown("boot", "no configuration of a boot loader was found")
	}
	r.kernels(f)
}

func (r *record) kernels(f *Facts) {
	for _, name := range r.lines("names", "modules") {
		if release := path.Base(name); !slices.Contains(f.Kernel.Installed, release) {
			f.Kernel.Installed = append(f.Kernel.Installed, release)
		}
	}
	slices.Sort(f.Kernel.Installed)
	f.Kernel.CommandLine = strings.TrimSpace(r.text("file", "/proc/cmdline"))
	for _, e := range f.Boot.Entries {
		if e.Default && f.Kernel.CommandLine == "" {
			f.Kernel.CommandLine = e.Options
		}
	}
}

// menu reads the entries of GRUB legacy's menu.lst: GRUB 0.97's manual, "Commands".
func menu(text string) []Entry {
	var list []Entry
	chosen := 0
	for _, line := range saying(text) {
		word, rest := line, ""
		if i := strings.IndexAny(line, " \t="); i > 0 {
			word, rest = line[:i], strings.TrimLeft(line[i:], " \t=")
		}
		switch {
		case word == "default":
			chosen, _ = strconv.Atoi(rest)
		case word == "title":
			list = append(list, Entry{Title: rest})
		case len(list) == 0:
		case word == "root":
			list[len(list)-1].Root = rest
		case word == "kernel":
			kernel, options, _ := strings.Cut(rest, " ")
			list[len(list)-1].Kernel, list[len(list)-1].Options = kernel, strings.TrimSpace(options)
		}
	}
	if chosen >= 0 && chosen < len(list) {
		list[chosen].Default = true
	}
	return list
}
