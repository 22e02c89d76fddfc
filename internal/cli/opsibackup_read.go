package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/product/opsi/archive"
	"lifeboat/internal/runbook"
)

func (o *opsiBackup) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list FILE…",
		Short:   "Tell what archives hold",
		Example: `  lifeboat opsi-backup list /backup/opsi.tar.bz2`,
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, files []string) error {
			return o.eachFile(c, files, func(file string, a *archive.Archive) error {
				if o.json {
					return o.emit(map[string]any{
						"type": "archive", "file": file, "contains": a.Has(), "compression": a.Compression, "members": len(a.Members), "bytes": a.Bytes,
						"hostname": a.Info.Hostname, "fqdn": a.Info.FQDN, "distribution": a.Info.Distribution, "opsi_version": a.Info.OpsiVersion, "time": a.Moment(),
					})
				}
				o.printf("%s contains: %s\n", file, strings.Join(a.Has(), ", "))
				o.printf("  of %s, %s, %s; %s in %d members\n", clean(firstOf(a.Info.FQDN, "an unknown machine")), clean(opsiVersion(a.Info)),
					when(a.Moment()), size(a.Bytes), len(a.Members))
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
and dumps that are empty or cut off, are found too. Exit code 1: an archive is
damaged; 3: something about one should be known.`,
		Example: `  lifeboat opsi-backup verify /backup/*.tar.bz2`,
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, files []string) error {
			return o.eachFile(c, files, o.verified)
		},
	}
}

// verified tells how an archive is. Damage is an error.
func (o *opsiBackup) verified(file string, a *archive.Archive) error {
	findings := a.Verify()
	remarks, damage := findings.Remarks(), findings.Err()
	for _, f := range findings {
		// What a machine did not tell of itself is no fault of its data.
		if !f.Damage && f.Problem != archive.System {
			o.code = runbook.ExitWarnings
		}
	}
	if o.json {
		if err := o.emit(map[string]any{"type": "verified", "file": file, "ok": damage == nil, "remarks": remarks}); err != nil {
			return err
		}
	} else {
		o.remark(remarks)
	}
	if damage != nil {
		return fmt.Errorf("%s: %w", file, damage)
	}
	if !o.json {
		o.printf("%s: Verified\n", file)
	}
	return nil
}

func (o *opsiBackup) remark(remarks []string) {
	for _, r := range remarks {
		o.printf("  %s %s\n", painterFor(o.out).yellow("warning"), clean(r))
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
		if o.json {
			err = o.emit(map[string]any{"type": "error", "file": file, "error": err.Error()})
		} else {
			_, err = fmt.Fprintf(o.err, "%s %v\n", painterFor(o.err).red("lifeboat:"), err)
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
