package bench

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Peers are the programs that administrators use today. Those not installed
// are named in missing.
func Peers() (found []Peer, missing []string) {
	for _, p := range []Peer{Restic(), Tar("gzip", "--gzip", false), Tar("bzip2", "--bzip2", true), Copy()} {
		program := strings.Fields(p.Name)
		if _, err := exec.LookPath(program[len(program)-1]); err != nil {
			missing = append(missing, p.Name)
			continue
		}
		found = append(found, p)
	}
	return found, missing
}

// Restic is stock restic with its defaults and a cache of its own.
func Restic() Peer {
	run := func(p Place, args ...string) Command {
		return Command{
			Args: append([]string{"restic", "--quiet"}, args...),
			Env: []string{
				"RESTIC_REPOSITORY=" + p.Store,
				"RESTIC_PASSWORD_FILE=" + filepath.Join(p.Dir, "password"),
				"RESTIC_CACHE_DIR=" + filepath.Join(p.Dir, "cache"),
			},
		}
	}
	return Peer{
		Name:    "restic",
		Version: firstLine("restic", "version"),
		Prepare: func(ctx context.Context, p Place) error {
			if err := os.WriteFile(filepath.Join(p.Dir, "password"), []byte("bench\n"), 0o600); err != nil {
				return err
			}
			_, err := Measure(ctx, run(p, "init", "--repository-version", "2"))
			return err
		},
		Backup:   func(p Place) Command { return run(p, "backup", p.Root) },
		Again:    func(p Place) Command { return run(p, "backup", p.Root) },
		Restore:  func(p Place) Command { return run(p, "restore", "latest", "--target", p.Out) },
		Restored: func(p Place) string { return filepath.Join(p.Out, p.Root) },
	}
}

// Tar is GNU tar with a compressor, the way of ReaR and of many scripts.
func Tar(compressor, flag string, slow bool) Peer {
	archive := func(p Place) string { return filepath.Join(p.Store, "backup.tar") }
	return Peer{
		Name:    "tar + " + compressor,
		Version: firstLine("tar", "--version"),
		Slow:    slow,
		Backup: func(p Place) Command {
			return Command{Args: []string{"tar", "--create", flag, "--format=posix", "--file", archive(p), "--directory", p.Root, "."}}
		},
		Restore: func(p Place) Command {
			return Command{Args: []string{"tar", "--extract", "--preserve-permissions", flag, "--file", archive(p), "--directory", p.Out}}
		},
	}
}

// Copy is cp -a, there and back: what a disk and a kernel can do.
func Copy() Peer {
	return Peer{
		Name:    "cp",
		Version: firstLine("cp", "--version"),
		Backup: func(p Place) Command {
			return Command{Args: []string{"cp", "--archive", "--reflink=never", "--no-target-directory", p.Root, p.Store}}
		},
		Restore: func(p Place) Command {
			return Command{Args: []string{"cp", "--archive", "--reflink=never", "--no-target-directory", p.Store, p.Out}}
		},
	}
}

func firstLine(args ...string) string {
	out, err := exec.Command(args[0], args[1:]...).Output()
	if err != nil {
		return "not installed"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
