package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/repository"
)

// A report is a snapshot of its own with tags of its own, in which are the files of a
// report about a system, say of a drill. It is no point: lists, retention, copies and the
// head record pass it over, and it outlives the machine that it was made on.
const (
	tagReport       = "report"
	tagReportKind   = "report-kind:"
	tagReportSystem = "report-system:"
	tagReportState  = "report-state:"
	reportDir       = Dir + "/report"
)

// maxReport bounds one file of a report, in bytes.
const maxReport = 64 << 20

// Report is what was kept of something that was found out about a system.
type Report struct {
	ID      repository.ID // of its snapshot
	Kind    string        // drill
	System  string
	State   string // what it came to, in one word or a few
	Time    time.Time
	Host    string // machine that made it
	Version string // of the program

	snapshot *repository.Snapshot
}

// ReportFile is one file of a report.
type ReportFile struct {
	Name string // without a path
	Text []byte
}

var reportName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)

func isReport(s *repository.Snapshot) bool { return slices.Contains(s.Tags, tagReport) }

// SaveReport keeps the files of a report. It fills in the id.
func (v *Vault) SaveReport(ctx context.Context, r *Report, files ...ReportFile) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep the report: %w", err)
		}
	}()
	session, err := v.repo.Begin(ctx, repository.SessionOptions{Compression: v.compression, MadeMode: madeMode})
	if err != nil {
		return err
	}
	for _, f := range files {
		if !reportName.MatchString(f.Name) || len(f.Text) > maxReport {
			return errors.Join(fmt.Errorf("%q is no name of a report's file, or it is larger than %d bytes", f.Name, maxReport), session.Abort(ctx))
		}
		at := path.Join(reportDir, f.Name)
		if _, err := session.AddStream(ctx, at, repository.Stream{Mode: 0o600, ModTime: r.Time}, bytes.NewReader(f.Text)); err != nil {
			return errors.Join(err, session.Abort(context.WithoutCancel(ctx)))
		}
	}
	r.ID, err = session.Commit(ctx, repository.SnapshotInfo{
		Time: r.Time, Hostname: r.Host, Username: "root", Paths: []string{reportDir},
		Tags:           []string{tagReport, tagReportKind + r.Kind, tagReportSystem + r.System, tagReportState + r.State},
		ProgramVersion: "lifeboat " + r.Version,
	})
	return err
}

// Reports lists reports of a kind about a system, oldest first; "" takes every one. When
// snapshots cannot be read, the reports among the others are returned together with an
// error: see Unread.
func (v *Vault) Reports(ctx context.Context, kind, system string) ([]*Report, error) {
	snapshots, err := v.repo.Snapshots(ctx)
	if err != nil {
		err = fmt.Errorf("list reports: %w", err)
	}
	return reportsOf(snapshots, kind, system), err
}

func reportsOf(snapshots []*repository.Snapshot, kind, system string) []*Report {
	var reports []*Report
	for _, s := range snapshots {
		if !isReport(s) {
			continue
		}
		r := &Report{ID: s.ID, Time: s.Time, Host: s.Hostname, Version: strings.TrimPrefix(s.ProgramVersion, "lifeboat "), snapshot: s}
		r.Kind, _ = tag(s, tagReportKind)
		r.System, _ = tag(s, tagReportSystem)
		r.State, _ = tag(s, tagReportState)
		if (kind == "" || r.Kind == kind) && (system == "" || r.System == system) {
			reports = append(reports, r)
		}
	}
	slices.SortStableFunc(reports, func(a, b *Report) int { return a.Time.Compare(b.Time) })
	return reports
}

// ReportText reads one file of a report that was listed.
func (v *Vault) ReportText(ctx context.Context, r *Report, name string) ([]byte, error) {
	if r.snapshot == nil || !reportName.MatchString(name) {
		return nil, fmt.Errorf("read %q of the report %s: there is no such file", name, r.ID.Short())
	}
	text, err := v.read(ctx, r.snapshot, path.Join(reportDir, name), maxReport)
	if err != nil {
		return nil, fmt.Errorf("read %s of the report %s: %w", name, r.ID.Short(), err)
	}
	return text, nil
}
