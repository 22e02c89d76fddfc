package facts

// sourceKind is how something is gathered. Both collectors know the same kinds.
type sourceKind string

const (
	fromFile      sourceKind = "file"      // lines of a file of the machine
	fromOwn       sourceKind = "own"       // lines of a file of the machine that gathers
	fromGlob      sourceKind = "glob"      // a file block for each match
	fromNames     sourceKind = "names"     // paths that exist
	fromLinks     sourceKind = "links"     // symbolic links and their targets, of the machine that gathers
	fromRun       sourceKind = "run"       // output and exit code of a program
	fromHead      sourceKind = "head"      // first bytes of the first file that is there, in hexadecimal
	fromProcesses sourceKind = "processes" // number, name and -name option of processes
	fromMaps      sourceKind = "maps"      // lines of every process's maps
)

// source is one thing to gather. It stands in one list, from which this program
// gathers and from which the script is written, so both bring the same.
type source struct {
	kind sourceKind
	name string   // path, or the name of a run
	args []string // of a run; patterns or candidates. {root} and {path} are replaced in a run's
	keep string   // POSIX extended regular expression: only such lines are taken; "" takes all
	live bool     // only on the running machine
	when []string // only when one of these files of the machine is there
}

// Every file is read up to so many bytes.
const maxFile = 1 << 20

// headBytes is how much of an ELF file tells its class, byte order and machine: elf(5).
const headBytes = 20

const (
	onDevices = ` (ext[234]|xfs|btrfs|reiserfs|jfs|vfat|f2fs|overlay|nfs4?) `
	byDevice  = `^[[:space:]]*(/dev/|UUID=|LABEL=|PARTUUID=|PARTLABEL=)`
	inMenu    = `^[[:space:]]*(title|root|kernel|default|initrd)[[:space:]=]`
	replaced  = `^[^ ]+ r-xp [^ ]+ [^ ]+ [0-9]+ +/(usr|lib|lib64|bin|sbin|opt)/.* [(]deleted[)]$`
	emulators = `^[0-9]+ (qemu-system|qemu-kvm|qemu-dm|qemu |kvm )`
)

// spaces are the directories of which free space is asked. The other packages go to
// one of them.
var spaces = []string{"/", "/boot", "/boot/efi", "/usr", "/usr/local", "/opt", "/srv", "/var", "/var/cache", "/var/lib", "/var/log", "/tmp", "/var/tmp", "/home"}

// Where the package databases are. The names are those of rpm's backends (Berkeley DB,
// SQLite, NDB) and of dpkg(1).
var (
	rpmDatabase  = []string{"/var/lib/rpm/Packages", "/var/lib/rpm/rpmdb.sqlite", "/var/lib/rpm/Packages.db"}
	dpkgDatabase = []string{"/var/lib/dpkg/status"}
)

const (
	rpmFields  = `%{NAME}\t%{EPOCH}\t%{VERSION}\t%{RELEASE}\t%{ARCH}\t%{SIZE}\t%{VENDOR}\n`
	dpkgFields = `${Package}\t${Version}\t${Architecture}\t${Installed-Size}\t${db:Status-Abbrev}\t${Origin}\n`
)

// sources is everything that is gathered. Files that hold secrets are taken by lines
// that hold none: a boot loader's menu may have passwords, fstab those of shares.
func sources() []source {
	list := []source{
		{kind: fromRun, name: "hostname", args: []string{"uname", "-n"}, live: true},
		{kind: fromRun, name: "machine", args: []string{"uname", "-m"}, live: true},
		{kind: fromRun, name: "kernel", args: []string{"uname", "-r"}, live: true},
		{kind: fromFile, name: "/etc/os-release"},
		{kind: fromFile, name: "/usr/lib/os-release"},
		{kind: fromFile, name: "/etc/SuSE-release"},
		{kind: fromFile, name: "/etc/debian_version"},
		{kind: fromFile, name: "/etc/hostname"},
		{kind: fromFile, name: "/etc/HOSTNAME"},
		{kind: fromGlob, name: "/etc/products.d", args: []string{"*.prod"}},
		{kind: fromNames, name: "baseproduct", args: []string{"/etc/products.d/baseproduct"}},
		{kind: fromFile, name: "/etc/products.d/baseproduct"},
		{kind: fromHead, name: "program", args: []string{"/bin/sh", "/bin/bash", "/usr/bin/sh", "/sbin/init"}},
		{kind: fromOwn, name: "/proc/meminfo", keep: `^MemTotal:`, live: true},

		{kind: fromOwn, name: "/proc/mounts", keep: onDevices},
		{kind: fromFile, name: "/etc/fstab", keep: byDevice},
		{kind: fromLinks, name: "devices", args: []string{"/dev/disk/by-uuid/*", "/dev/disk/by-label/*", "/dev/mapper/*", "/dev/root"}},
		{kind: fromOwn, name: "/proc/cmdline", live: true},
		{kind: fromFile, name: "/etc/sysconfig/bootloader", keep: `^[[:space:]]*LOADER_TYPE=`},
		{kind: fromFile, name: "/boot/grub/menu.lst", keep: inMenu},
		{kind: fromNames, name: "boot", args: []string{
			"/boot/grub/menu.lst", "/boot/grub2/grub.cfg", "/boot/grub/grub.cfg", "/boot/grub2/grubenv", "/boot/grub/grubenv",
			"/boot/efi/EFI", "/boot/efi/efi", "/etc/elilo.conf", "/etc/lilo.conf", "/etc/zipl.conf", "/sys/firmware/efi",
		}},
		{kind: fromNames, name: "modules", args: []string{"/lib/modules/*", "/usr/lib/modules/*"}},

		{kind: fromRun, name: "rpm", args: []string{"rpm", "--dbpath", "{root}/var/lib/rpm", "-qa", "--qf", rpmFields}, when: rpmDatabase},
		{kind: fromRun, name: "rpm-consistency", args: []string{"rpm", "--dbpath", "{root}/var/lib/rpm", "-Va", "--nofiles", "--noscripts"}, when: rpmDatabase},
		{kind: fromRun, name: "dpkg", args: []string{"dpkg-query", "--admindir={root}/var/lib/dpkg", "-W", "-f", dpkgFields}, when: dpkgDatabase},
		{kind: fromRun, name: "dpkg-consistency", args: []string{"dpkg", "--admindir={root}/var/lib/dpkg", "--audit"}, when: dpkgDatabase},
		{kind: fromGlob, name: "/etc/zypp/repos.d", args: []string{"*.repo"}},
		{kind: fromFile, name: "/etc/zypp/locks"},
		{kind: fromFile, name: "/etc/apt/sources.list", keep: `^[[:space:]]*deb[[:space:]]`},
		{kind: fromGlob, name: "/etc/apt/sources.list.d", args: []string{"*.list"}, keep: `^[[:space:]]*deb[[:space:]]`},

		{kind: fromFile, name: "/etc/sysconfig/windowmanager", keep: `^[[:space:]]*DEFAULT_WM=`},
		{kind: fromFile, name: "/etc/sysconfig/displaymanager", keep: `^[[:space:]]*DISPLAYMANAGER=`},
		{kind: fromNames, name: "old-backups", args: []string{"/var/adm/backup/*"}},
		{kind: fromNames, name: "pending", live: true, args: []string{
			"/run/reboot-needed", "/var/run/reboot-needed", "/run/reboot-required", "/var/run/reboot-required", "/boot/do_purge_kernels",
		}},
		{kind: fromMaps, name: "replaced", keep: replaced, live: true},
		{kind: fromNames, name: "libvirt", live: true, args: []string{
			"/run/libvirt/qemu/*.xml", "/var/run/libvirt/qemu/*.xml", "/run/libvirt/libxl/*.xml", "/var/run/libvirt/libxl/*.xml",
		}},
		{kind: fromProcesses, name: "emulators", keep: emulators, live: true},
		{kind: fromRun, name: "xl", args: []string{"xl", "list"}, live: true, when: []string{"/proc/xen/capabilities"}},
		{kind: fromRun, name: "xm", args: []string{"xm", "list"}, live: true, when: []string{"/proc/xen/capabilities"}},
	}
	for _, path := range spaces {
		list = append(list, source{kind: fromRun, name: "df " + path, args: []string{"df", "-P", "-k", "{path}" + path}, when: []string{path}})
	}
	return list
}
