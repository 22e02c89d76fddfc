package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/runbook"
	"lifeboat/internal/scratch"
	"lifeboat/internal/upgrade/medium"
	"lifeboat/internal/upgrade/netboot"
)

type pxeFlags struct {
	sourceFlags
	mac, install string
	tftp         screen.Path
	auto, remove bool
	appended     []string
}

func (a *app) sourcePXECommand() *cobra.Command {
	var f pxeFlags
	c := &cobra.Command{
		Use:   "pxe ADDRESS",
		Short: "Write what a target needs to start the installation system from the network",
		Long: `Checks an installation source, copies its kernel and initrd into the directory of a
TFTP server, and writes configurations for one machine beside them: pxelinux.cfg/01-MAC
for PXELINUX and grub.cfg-01-MAC for GRUB 2. The kernel gets upgrade=1, without which the
installer would install anew, and the address of the source.

The boot loader itself (pxelinux.0, a GRUB for the network) and the DHCP server are
yours; what the DHCP server has to say is printed. --remove takes everything away again:
a machine that goes on starting from the network would be upgraded once more.

The exit code is that of "source check"; of a source that is refuted nothing is written.`,
		Example: `  lifeboat upgrade source pxe http://10.0.0.1/sles12 --mac 52:54:00:12:34:56 --tftp /srv/tftpboot --auto
  lifeboat upgrade source pxe /media/SLES-12 --install nfs://10.0.0.1/sles12 --mac 52:54:00:12:34:56 --tftp /srv/tftpboot
  lifeboat upgrade source pxe --mac 52:54:00:12:34:56 --tftp /srv/tftpboot --remove`,
		Args: screen.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error { return a.pxe(c, f, names) },
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVar(&f.mac, "mac", "", "`ADDRESS` of the target's network card")
	flags.Var(&f.tftp, "tftp", "`DIR` that the TFTP server gives away")
	flags.StringVar(&f.install, "install", "", "`URL` at which the installer finds the source (default ADDRESS)")
	flags.BoolVar(&f.auto, "auto", false, "have the installer ask nothing (autoupgrade=1)")
	flags.StringArrayVar(&f.appended, "append", nil, "give the installer these `PARAMETERS` too")
	flags.BoolVar(&f.remove, "remove", false, "remove what was written for the target")
	return c
}

func (a *app) pxe(c *cobra.Command, f pxeFlags, names []string) error {
	if f.mac == "" || f.tftp == "" {
		return screen.Usagef("--mac says for which machine, and --tftp where its TFTP server has its files")
	}
	mac, err := medium.ParseMAC(f.mac)
	if err != nil {
		return screen.Usage(err)
	}
	target := netboot.Target{Dir: string(f.tftp), MAC: mac}
	if info, err := os.Stat(target.Dir); err != nil || !info.IsDir() {
		return screen.Usagef("--tftp %s: there is no such directory", screen.Clean(target.Dir))
	}
	if f.remove {
		if len(names) > 0 {
			return screen.Usagef("--remove needs no source")
		}
		removed, err := target.Remove()
		if err != nil {
			return err
		}
		if a.JSON {
			return a.Emit(map[string]any{"type": "upgrade-pxe-removed", "mac": mac.String(), "removed": removed})
		}
		if !removed {
			a.Printf("There was nothing for %s.\n", mac)
			return nil
		}
		a.Printf("Removed what was written for %s. Take it out of the DHCP server too.\n", mac)
		return nil
	}
	if len(names) == 0 {
		return screen.Usagef("name the installation source")
	}
	if f.install == "" && strings.Contains(names[0], "://") && !strings.HasPrefix(names[0], "dir:") && !strings.HasPrefix(names[0], "tftp:") {
		f.install = names[0]
	}
	if f.install == "" {
		return screen.Usagef("--install says at which URL the installer finds the source; %s is on this machine", screen.Clean(names[0]))
	}
	target.Parameters = append([]string{"upgrade=1", "install=" + f.install}, strings.Fields(strings.Join(f.appended, " "))...)
	if f.auto {
		target.Parameters = append(target.Parameters, "autoupgrade=1")
	}
	dir, err := scratch.In(os.TempDir())
	if err != nil {
		return err
	}
	return errors.Join(a.writePXE(c, f, names[0], target, dir.Path()), dir.Remove())
}

func (a *app) writePXE(c *cobra.Command, f pxeFlags, address string, target netboot.Target, dir string) error {
	o, err := f.options(c)
	if err != nil {
		return err
	}
	saved := map[string]*os.File{}
	defer func() {
		for _, file := range saved {
			_ = file.Close()
		}
	}()
	o.Save = func(name string) (io.Writer, error) {
		file, err := os.Create(filepath.Join(dir, fmt.Sprint(len(saved))))
		if err == nil {
			saved[name] = file
		}
		return file, err
	}
	r, err := medium.Check(c.Context(), address, o)
	if err != nil {
		return err
	}
	if r.Standing == medium.Refuted {
		return errors.Join(a.showSource(r, o.Keys), runbook.Refuse("", "nothing was written: the source is not what it claims to be"))
	}
	var kernel, initrd []*os.File
	for name, file := range saved {
		good := slices.ContainsFunc(r.Files, func(f medium.File) bool { return f.Name == name && f.Good() })
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		switch base := filepath.Base(name); {
		case good && strings.HasPrefix(base, "linux"):
			kernel = append(kernel, file)
		case good && strings.HasPrefix(base, "initrd"):
			initrd = append(initrd, file)
		}
	}
	if len(kernel) != 1 || len(initrd) != 1 {
		return screen.Usagef("%s has %d kernels and %d initrds that it vouches for; with several, --arch says which", screen.Clean(address), len(kernel), len(initrd))
	}
	if err := target.Write(kernel[0], initrd[0]); err != nil {
		return err
	}
	if r.Standing == medium.Unproven {
		a.Code = runbook.ExitWarnings
	}
	if a.JSON {
		return a.Emit(map[string]any{"type": "upgrade-pxe", "mac": target.MAC.String(), "directory": target.Dir, "files": target.Files(), "parameters": target.Parameters, "source": r})
	}
	if err := a.showSource(r, o.Keys); err != nil {
		return err
	}
	a.Printf("\nWritten below %s:\n", screen.Clean(target.Dir))
	for _, name := range target.Files() {
		a.Printf("  %s\n", name)
	}
	a.Printf("\nThe DHCP server has to name this machine, the TFTP server and the boot loader there:\n"+
		"  dnsmasq   dhcp-host=%[1]s,set:upgrade\n            dhcp-boot=tag:upgrade,pxelinux.0,,TFTP-SERVER\n"+
		"  dhcpd     host upgrade { hardware ethernet %[1]s; next-server TFTP-SERVER; filename \"pxelinux.0\"; }\n\n"+
		"Then: lifeboat upgrade source wake %[1]s\nAfterwards: lifeboat upgrade source pxe --mac %[1]s --tftp %[2]s --remove\n", target.MAC, screen.Clean(target.Dir))
	return nil
}
