package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/component/mysql"
	"lifeboat/internal/host"
	"lifeboat/internal/product/opsi/archive"
	"lifeboat/internal/runbook"
	"lifeboat/internal/scratch"
)

func (o *opsiBackup) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list FILE…",
		Short:   "Tell what archives hold",
		Example: `  lifeboat opsi-backup list /backup/opsi.tar.bz2`,
		Args:    screen.Args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, files []string) error {
			return o.eachFile(c, files, func(file string, a *archive.Archive) error {
				if o.JSON {
					return o.Emit(map[string]any{
						"type": "archive", "file": file, "contains": a.Has(), "compression": a.Compression, "members": len(a.Members), "bytes": a.Bytes,
						"hostname": a.Info.Hostname, "fqdn": a.Info.FQDN, "distribution": a.Info.Distribution, "opsi_version": a.Info.OpsiVersion, "time": a.Moment(),
					})
				}
				o.Printf("%s contains: %s\n", file, strings.Join(a.Has(), ", "))
				o.Printf("  of %s, %s, %s; %s in %d members\n", screen.Clean(firstOf(a.Info.FQDN, "an unknown machine")), screen.Clean(opsiVersion(a.Info)),
					screen.When(a.Moment()), size(a.Bytes), len(a.Members))
				return nil
			})
		},
	}
}

func (o *opsiBackup) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify FILE…",
		Short: "Read archives whole and compare them with their own checksums",
		Long: `Reads every member and compares it with its checksum. Members that are missing,
and dumps that are empty or cut off, are found too. Each dump is loaded into a
private database server, as an import does; where there is no database server on
this machine it is only read to its end. Exit code 1: an archive is damaged; 3:
something about one should be known.`,
		Example: `  lifeboat opsi-backup verify /backup/*.tar.bz2`,
		Args:    screen.Args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, files []string) error {
			return o.eachFile(c, files, func(file string, a *archive.Archive) error {
				return o.verified(c.Context(), file, a, true)
			})
		},
	}
}

// verified tells how an archive is, with the dumps in it when they are not loaded
// afterwards anyhow. Damage is an error.
func (o *opsiBackup) verified(ctx context.Context, file string, a *archive.Archive, dumps bool) error {
	findings := a.Verify()
	remarks, damage := findings.Remarks(), findings.Err()
	if dumps && damage == nil {
		var odd []string
		if odd, damage = o.tryDumps(ctx, a); len(odd) > 0 {
			o.Code, remarks = runbook.ExitWarnings, append(remarks, odd...)
		}
	}
	for _, f := range findings {
		// What a machine did not tell of itself is no fault of its data.
		if !f.Damage && f.Problem != archive.System {
			o.Code = runbook.ExitWarnings
		}
	}
	if o.JSON {
		if err := o.Emit(map[string]any{"type": "verified", "file": file, "ok": damage == nil, "remarks": remarks}); err != nil {
			return err
		}
	} else {
		o.remark(remarks)
	}
	if damage != nil {
		return fmt.Errorf("%s: %w", file, damage)
	}
	if !o.JSON {
		o.Printf("%s: Verified\n", file)
	}
	return nil
}

// tryDumps loads the dumps of an archive where there is a database server, else
// reads them. It returns what is odd about them; damage is an error.
func (o *opsiBackup) tryDumps(ctx context.Context, a *archive.Archive) (odd []string, err error) {
	conf, err := o.loadOrEmpty()
	if err != nil {
		return nil, err
	}
	place, err := scratch.Make(o.state(conf))
	if err != nil {
		return nil, err
	}
	defer place.Remove()
	_, absent := host.Local().Look("mariadbd", "mysqld", "/usr/libexec/mysqld", "/usr/sbin/mysqld")
	for _, m := range a.Members {
		if m.Part != archive.Database {
			continue
		}
		warnings, err := tryDump(ctx, a, m, place.Path(), absent == nil)
		if err != nil {
			return odd, fmt.Errorf("the dump %s: %w", screen.Clean(m.Name), err)
		}
		for _, w := range warnings {
			odd = append(odd, m.Name+": "+w)
		}
	}
	return odd, nil
}

func tryDump(ctx context.Context, a *archive.Archive, m *archive.Member, state string, load bool) ([]string, error) {
	r, err := a.OpenFile(ctx, m)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if !load {
		return mysql.ReadDump(ctx, r)
	}
	p, err := catalog().Products.Get("opsi")
	if err != nil {
		return nil, err
	}
	st, err := mysql.Stage(ctx, r, mysql.StageOptions{Database: "opsi", Product: p, State: state, Charset: "utf8mb4"})
	if err != nil {
		return nil, err
	}
	return st.Warnings, st.Close(ctx)
}

func (o *opsiBackup) remark(remarks []string) {
	for _, r := range remarks {
		o.Printf("  %s %s\n", screen.PainterFor(o.Out).Yellow("warning"), screen.Clean(r))
	}
}

// eachFile opens one archive after the other. Those after a bad one have their turn
// too.
func (o *opsiBackup) eachFile(c *cobra.Command, files []string, do func(string, *archive.Archive) error) error {
	done, err := o.begin(c)
	if err != nil {
		return err
	}
	defer done()
	bad := 0
	for _, file := range files {
		err := o.withArchive(c.Context(), file, do)
		if err == nil {
			continue
		}
		if c.Context().Err() != nil || len(files) == 1 {
			return err
		}
		bad++
		if o.JSON {
			err = o.Emit(map[string]any{"type": "error", "file": file, "error": err.Error()})
		} else {
			_, err = fmt.Fprintf(o.Err, "%s %v\n", screen.PainterFor(o.Err).Red("lifeboat:"), err)
		}
		if err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d archives are bad", bad, len(files))
	}
	return nil
}

func (o *opsiBackup) withArchive(ctx context.Context, file string, do func(string, *archive.Archive) error) error {
	a, err := archive.Open(ctx, file, archive.DefaultLimits)
	if err != nil {
		return err
	}
	defer a.Close()
	return do(file, a)
}

func opsiVersion(info archive.Info) string {
	if info.OpsiVersion == "" {
		return "version of opsi not told"
	}
	return "opsi " + info.OpsiVersion
}
