package bench

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Peers are the programs that administrators use today. Those not installed
// are named in missing. Newer are further restic programs.
func Peers(newer []string) (found []Peer, missing []string) {
	peers := []Peer{Restic("restic")}
	for _, program := range newer {
		peers = append(peers, Restic(program))
	}
	peers = append(peers, Borg(), Tar("zstd", []string{"zstd", "-T0"}, false), Tar("gzip", []string{"gzip"}, true),
		Tar("bzip2", []string{"bzip2"}, true), Copy(), Floor())
	for _, p := range peers {
		if p.Version == "" {
			missing = append(missing, p.Name)
			continue
		}
		found = append(found, p)
	}
	return found, missing
}

// Restic is stock restic with its defaults and a cache of its own.
func Restic(program string) Peer {
	run := func(p Place, args ...string) Command {
		return Command{
			Args: append([]string{program, "--quiet"}, args...),
			Env: []string{
				"RESTIC_REPOSITORY=" + p.Store,
				"RESTIC_PASSWORD_FILE=" + filepath.Join(p.Dir, "password"),
				"RESTIC_CACHE_DIR=" + filepath.Join(p.Dir, "cache"),
			},
		}
	}
	trees := func(p Place) Command { return run(p, append([]string{"backup", "--tag", "trees"}, p.Trees...)...) }
	version := firstLine(program, "version")
	name := "restic"
	if fields := strings.Fields(version); len(fields) > 1 {
		name += " " + fields[1]
	}
	return Peer{
		Name:    name,
		Version: version,
		Prepare: func(ctx context.Context, p Place) error {
			if err := os.WriteFile(filepath.Join(p.Dir, "password"), []byte("bench\n"), 0o600); err != nil {
				return err
			}
			_, err := Measure(ctx, run(p, "init", "--repository-version", "2"))
			return err
		},
		Backup: func(p Place) []Command {
			stream := run(p, "backup", "--stdin", "--stdin-filename", "dump.sql")
			stream.From = p.Dump
			return []Command{trees(p), stream}
		},
		Again: func(p Place) []Command { return []Command{trees(p)} },
		Restore: func(p Place) []Command {
			return []Command{run(p, "restore", "latest", "--tag", "trees", "--target", p.Out)}
		},
		Restored: func(p Place) string { return filepath.Join(p.Out, p.Root) },
		Verify:   func(p Place) []Command { return []Command{run(p, "check", "--read-data")} },
	}
}

// Borg is stock borg with its defaults: lz4, a repository key.
func Borg() Peer {
	run := func(p Place, args ...string) Command {
		return Command{
			Args: append([]string{"borg"}, args...),
			Dir:  p.Root,
			Env: []string{
				"BORG_REPO=" + p.Store, "BORG_PASSPHRASE=bench", "BORG_BASE_DIR=" + p.Dir,
				"BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes",
			},
		}
	}
	return Peer{
		Name:    "borg",
		Version: firstLine("borg", "--version"),
		Slow:    true,
		Prepare: func(ctx context.Context, p Place) error {
			_, err := Measure(ctx, run(p, "init", "--encryption", "repokey"))
			return err
		},
		Backup: func(p Place) []Command {
			stream := run(p, "create", "::dump", "-")
			stream.From = p.Dump
			return []Command{run(p, "create", "::first", "tree", "packages"), stream}
		},
		Again: func(p Place) []Command { return []Command{run(p, "create", "::second", "tree", "packages")} },
		Restore: func(p Place) []Command {
			c := run(p, "extract", "::first")
			c.Dir = p.Out
			return []Command{c}
		},
		Verify: func(p Place) []Command { return []Command{run(p, "check", "--verify-data")} },
	}
}

// Tar is GNU tar with a compressor, the way of ReaR and of many scripts.
func Tar(name string, compressor []string, slow bool) Peer {
	archive := func(p Place) string { return filepath.Join(p.Store, "backup.tar") }
	use := "--use-compress-program=" + strings.Join(compressor, " ")
	version := firstLine(compressor[0], "--version")
	return Peer{
		Name:    "tar + " + name,
		Version: version,
		Slow:    slow,
		Backup: func(p Place) []Command {
			return []Command{
				{Args: []string{"tar", "--create", use, "--format=posix", "--file", archive(p), "--directory", p.Root, "tree", "packages"}},
				{Args: append(compressor[:len(compressor):len(compressor)], "-c"), From: p.Dump, Into: filepath.Join(p.Store, "dump")},
			}
		},
		Restore: func(p Place) []Command {
			return []Command{{Args: []string{"tar", "--extract", "--preserve-permissions", "--use-compress-program=" + compressor[0], "--file", archive(p), "--directory", p.Out}}}
		},
	}
}

// Copy is cp -a, there and back: what a disk and a kernel can do.
func Copy() Peer {
	cp := func(to string, from ...string) []Command {
		return []Command{{Args: append(append([]string{"cp", "--archive", "--reflink=never"}, from...), to)}}
	}
	return Peer{
		Name:    "cp",
		Version: firstLine("cp", "--version"),
		Slow:    true,
		Backup:  func(p Place) []Command { return cp(p.Store, append(p.Trees[:len(p.Trees):len(p.Trees)], p.Dump)...) },
		Restore: func(p Place) []Command {
			return cp(p.Out, filepath.Join(p.Store, "tree"), filepath.Join(p.Store, "packages"))
		},
	}
}

// Floor is what reading alone takes, one file after the other.
func Floor() Peer {
	return Peer{
		Name:    "read floor",
		Version: firstLine("tar", "--version"),
		Backup: func(p Place) []Command {
			return []Command{{Args: []string{"tar", "--create", "--file", "-", "--directory", p.Root, "."}, Into: Nowhere}}
		},
	}
}

// firstLine is what a program says first, or "" when it cannot be run.
func firstLine(args ...string) string {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput() // bzip2 tells its version on standard error
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
