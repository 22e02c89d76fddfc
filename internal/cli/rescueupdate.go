package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/host"
	"lifeboat/internal/rescue"
	"lifeboat/internal/rescue/bundle"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/rescue/source"
	"lifeboat/internal/runbook"
)

// updatedVariable tells a program which bundle has started it, so that it does not
// start itself again for the same one.
const updatedVariable = "LIFEBOAT_RESCUE_UPDATED"

func (a *app) rescueUpdateCommand() *cobra.Command {
	f := rescueFlags{medium: source.MediumFile}
	var prefix screen.Path = rescue.DefaultPrefix
	c := &cobra.Command{
		Use:   "update [URL|FILE] [-- COMMAND...]",
		Short: "Bring an old rescue medium up to date",
		Long: `Takes a bundle that a pinned key of the fleet has signed: a newer lifeboat, profiles,
kernel modules, firmware, tools. It is unpacked below --prefix; modules of the running
kernel are put where modprobe finds them, and what the hardware asks for is loaded. The
new program is tried before it takes the old one's place, which is kept, and goes on
with COMMAND. A medium never goes back to an older bundle.

The address is the medium's (update: in rescue.yaml) unless one is given.`,
		Example: `  lifeboat rescue update
  lifeboat rescue update /media/usb/rescue.bundle
  lifeboat rescue update https://fleet.example.com/rescue.bundle -- recover`,
		Args: screen.Args(cobra.ArbitraryArgs),
		RunE: func(c *cobra.Command, words []string) error {
			address := words
			var next []string
			if at := c.ArgsLenAtDash(); at >= 0 {
				address, next = words[:at], words[at:]
			}
			if len(address) > 1 {
				return screen.Usagef("one bundle at a time")
			}
			return a.rescueUpdate(c.Context(), f, string(prefix), strings.Join(address, ""), next)
		},
	}
	flags := c.Flags()
	flags.Var(&f.medium, "medium", "`FILE` with what the rescue medium says: address and keys")
	flags.StringSliceVar(&f.keys, "fleet-key", nil, "signing `KEY` of the fleet (ed25519:…), in place of the medium's")
	flags.Var(&f.ca, "ca", "`FILE` with the only authorities trusted for https, in PEM form (default from the medium)")
	flags.Var(&prefix, "prefix", "unpack below `DIR`")
	return c
}

func (a *app) rescueUpdate(ctx context.Context, f rescueFlags, prefix, address string, next []string) error {
	medium, err := source.LoadMedium(string(f.medium))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return screen.Usage(err)
	}
	trusted, err := fleetKeys(f.keys, medium)
	if err != nil {
		return err
	}
	if address = firstOf(address, medium.Update); address == "" {
		return screen.Usagef("which bundle? Give its address or file, or write update: into %s", f.medium)
	}
	if !strings.Contains(address, ":") {
		at, err := filepath.Abs(address)
		if err != nil {
			return err
		}
		address = "file:" + at
	}
	client, err := source.NewClient(firstOf(string(f.ca), medium.CA))
	if err != nil {
		return screen.Usage(err)
	}
	seen, err := rescue.OpenMemory(memoryFile(string(f.medium)))
	if err != nil {
		a.notices.warn(err.Error())
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	stream, err := client.Download(ctx, address, bundle.MaxTotal)
	if err != nil {
		if source.Refused(err) {
			return runbook.Refuse("", "%v; nothing was changed", err)
		}
		return addressError(err)
	}
	defer stream.Close()
	r, err := rescue.OpenBundle(stream, bundle.Expected{Keys: trusted, Now: time.Now(), Arch: runtime.GOARCH, Applied: seen.Bundle()})
	if err != nil {
		return err
	}
	defer r.Close()
	if version := strconv.FormatInt(r.Manifest.Version, 10); os.Getenv(updatedVariable) == version {
		a.Printf("Bundle %s is applied already.\n", version)
		return nil
	}
	u := rescue.Update{
		Root: "/", Prefix: prefix, Kernel: kernelRelease(), Program: program, Try: rescue.SelfTest, Tell: a.tellRescue, Now: time.Now(),
		Run: func(ctx context.Context, args ...string) error {
			return host.Local().Run(ctx, host.Command{Args: args})
		},
	}
	done, err := u.Apply(ctx, r)
	if err != nil {
		return err
	}
	if err := seen.RememberBundle(done.Version); err != nil {
		a.notices.warn(fmt.Sprintf("an older bundle would not be noticed next time: %v", err))
	}
	if err := a.showUpdated(done, r.Manifest); err != nil {
		return err
	}
	if len(next) == 0 && done.Program != "" {
		next = []string{"version"}
		if a.JSON {
			next = append(next, "--json")
		}
	}
	return goOn(done, next)
}

// memoryFile is where a medium keeps what it has seen.
func memoryFile(medium string) string {
	return strings.TrimSuffix(medium, filepath.Ext(medium)) + ".seen.json"
}

func kernelRelease() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

func (a *app) showUpdated(u *rescue.Updated, m *bundle.Manifest) error {
	if a.JSON {
		return a.Emit(struct {
			Type string `json:"type"`
			*rescue.Updated
		}{"rescue-updated", u})
	}
	a.Printf("%s of %s is applied, in %s\n", screen.PainterFor(a.Out).Bold(fmt.Sprintf("Bundle %d", u.Version)), screen.When(m.Created), u.Dir)
	if u.Modules > 0 {
		a.Printf("  %s for the running kernel\n", screen.Count(u.Modules, "kernel module", "kernel modules"))
	}
	for _, k := range u.Skipped {
		a.Printf("  modules for kernel %s were left out: it does not run here\n", k)
	}
	if u.Firmware {
		a.Printf("  firmware\n")
	}
	for _, p := range u.Profiles {
		a.Printf("  profile %s\n", p.Path)
	}
	if u.Tools != "" {
		a.Printf("  tools in %s\n", u.Tools)
	}
	if u.Program != "" {
		a.Printf("  a new lifeboat%s\n", map[bool]string{true: "; the old one is " + u.Previous}[u.Previous != ""])
	}
	return nil
}

// goOn replaces this process by the new program, which was verified again through the
// very descriptor that is executed. Without a new program, or a command to go on with,
// there is nothing to do.
func goOn(u *rescue.Updated, next []string) error {
	if len(next) == 0 {
		return nil
	}
	file := u.Program
	if file == "" {
		file = "/proc/self/exe"
	}
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("start the new program: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("start the new program: %w", err)
	}
	if u.Program != "" && hex.EncodeToString(sum.Sum(nil)) != u.SHA256 {
		return runbook.Refuse("", "%s is not what was unpacked", file)
	}
	env := append(os.Environ(), updatedVariable+"="+strconv.FormatInt(u.Version, 10))
	if u.Tools != "" {
		env = append(env, "PATH="+u.Tools+":"+os.Getenv("PATH"))
	}
	err = unix.Exec(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), append([]string{"lifeboat"}, next...), env)
	return fmt.Errorf("start the new program: %w", err)
}

// rescueSelfTestCommand is what an update asks a new program before it is used.
func (a *app) rescueSelfTestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "self-test NUMBER", Short: "See whether this program works here (an update calls this)", Hidden: true, Args: screen.Args(cobra.ExactArgs(1)), Example: "  lifeboat rescue self-test 42",
		RunE: func(_ *cobra.Command, words []string) error {
			a.configFile = filepath.Join("/nonexistent", "lifeboat.yaml") // the shipped profiles alone
			list, err := a.catalogue().List()
			if err != nil {
				return err
			}
			a.Printf("lifeboat %s with %d profiles works %s\n", screen.Version, len(list), words[0])
			return nil
		},
	}
}

func (a *app) rescueBundleCommand() *cobra.Command {
	var output, directory screen.Path
	directory = "/etc/lifeboat/fleet"
	var version int64
	var arch string
	valid := 365 * 24 * time.Hour
	c := &cobra.Command{
		Use:   "bundle DIR --output FILE",
		Short: "Make a bundle for rescue media",
		Long: `Signs the files of a directory, with the fleet's key, for lifeboat rescue update:

  lifeboat              the program
  profiles/NAME.yaml    profiles
  modules/RELEASE/…     kernel modules, for the kernel that uname -r calls so
  firmware/…            firmware
  tools/NAME            programs`,
		Example: `  lifeboat rescue bundle /srv/rescue --output rescue.bundle
  lifeboat rescue bundle /srv/rescue --output rescue.bundle --version 12 --arch arm64`,
		Args: screen.Args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, names []string) error {
			if output == "" {
				return screen.Usagef("--output says where the bundle is to be written")
			}
			if version == 0 {
				version = time.Now().Unix()
			}
			return a.rescueBundle(names[0], string(output), string(directory), version, arch, valid)
		},
	}
	flags := c.Flags()
	flags.Var(&output, "output", "`FILE` to write")
	flags.Var(&directory, "directory", "`DIR` with the fleet's keys")
	flags.Int64Var(&version, "version", 0, "`NUMBER`; media never go back to a lower one (default: the seconds since 1970)")
	flags.StringVar(&arch, "arch", runtime.GOARCH, "`ARCH` of the machines it is for: amd64, arm64")
	flags.DurationVar(&valid, "valid", valid, "how long media take it")
	return c
}

func (a *app) rescueBundle(dir, output, directory string, version int64, arch string, valid time.Duration) error {
	k, err := keys.Open(directory)
	if err != nil {
		return screen.Usage(fmt.Errorf("the fleet's keys: %w", err))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return screen.Usage(err)
	}
	defer root.Close()
	m, err := bundle.Make(root, version, arch, time.Now(), valid)
	if err != nil {
		return screen.Usage(err)
	}
	out, err := renameio.NewPendingFile(output, renameio.WithPermissions(0o644))
	if err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	defer out.Cleanup() //nolint:errcheck // it is nothing after success
	if err := m.Write(out, root, configuration.NewSigner(k.Signing)); err != nil {
		return err
	}
	if err := out.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	var total int64
	for _, f := range m.Files {
		total += f.Size
	}
	if a.JSON {
		return a.Emit(map[string]any{"type": "rescue-bundle", "file": output, "version": m.Version, "expires": m.Expires, "files": len(m.Files), "bytes": total})
	}
	a.Printf("Bundle %d with %s (%s) in %s; media take it until %s\n", m.Version, screen.Count(len(m.Files), "file", "files"), size(total), output, screen.When(m.Expires))
	return nil
}
