package action

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/runbook"
	"lifeboat/internal/storage/redact"
)

var runID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$`)

// The kinds of runs that are reported.
const (
	kindBackup = "backup"
	kindVerify = "verify"
	kindDrill  = "drill"
)

var word32 = regexp.MustCompile(`^[a-z][a-z-]{0,31}$`)

// AddReport takes what a host says after a run, once: a report that is there already
// is left as it is, whatever it says now. When it returns nil, the report is on disk.
func (d *Desk) AddReport(ctx context.Context, h record.Host, from, run string, r wire.RunReport) (wire.Receipt, error) {
	now := d.now()
	identity, err := checkReport(run, &r, now)
	if err != nil {
		return wire.Receipt{}, err
	}
	var version *record.Version
	if r.Configuration != nil && good(r.State) && r.Kind == kindBackup {
		if version, err = d.checkConfiguration(h, r.Configuration); err != nil {
			return wire.Receipt{}, err
		}
		version.Created, version.Report = now, run
	}
	report := record.Report{
		ID: run, Host: h.ID, System: r.System, Kind: r.Kind, State: r.State, Started: r.Started, Ended: r.Ended, Received: now,
		Point: r.Point, Bytes: r.Bytes, RTO: r.RTO, RPO: r.RPO, Detail: redact.Text(r.Detail),
	}
	receipt := wire.Receipt{Recipient: d.Keys.Recipient()}
	err = d.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		receipt.New, receipt.Configuration = false, 0
		present, err := own(tx, h)
		if err != nil {
			return nil, err
		}
		before, err := protectionOf(tx, h.ID, r.System)
		if err != nil {
			return nil, err
		}
		if receipt.New, err = tx.AddReport(report, protect(before, r)); err != nil || !receipt.New {
			return nil, err
		}
		if err := tx.PutRun(record.Run{ID: run, Host: h.ID, System: r.System, Kind: r.Kind, State: r.State, Started: r.Started, Updated: r.Ended}); err != nil {
			return nil, err
		}
		var entries []record.Entry
		note := func(action, detail string) {
			entries = append(entries, record.Entry{Time: now, Actor: "host:" + present.Name, From: from, Action: action, Object: present.Name, Detail: detail})
		}
		if is := merged(present.Identity, identity); !same(is, present.Identity) {
			note("host.identity", "was "+tell(present.Identity)+"; is "+tell(is))
			present.Identity, present.Seen = is, now
			if err := tx.PutHost(present); err != nil {
				return nil, err
			}
		} else if err := tx.SawHost(h.ID, now); err != nil {
			return nil, err
		}
		if version != nil {
			newest, err := newestVersion(tx, h.ID)
			if err != nil {
				return nil, err
			}
			if version.Number = 0; r.Configuration.After > newest {
				// These records are older than what the host was told: media may have seen it.
				version.Number = r.Configuration.After + 1
			}
			if receipt.Configuration, err = tx.AddVersion(*version); err != nil {
				return nil, err
			}
			if receipt.Configuration != newest {
				note("configuration.add", fmt.Sprintf("version %d, after run %s", receipt.Configuration, run))
			}
		}
		return entries, nil
	})
	return receipt, err
}

// newestVersion is the number of a host's newest configuration, 0 without one.
func newestVersion(r record.Reader, h record.HostID) (int64, error) {
	versions, err := r.Versions(h)
	if err != nil || len(versions) == 0 {
		return 0, err
	}
	return versions[0].Number, nil
}

func protectionOf(r record.Reader, h record.HostID, system string) (record.Protection, error) {
	all, err := r.Protections(h)
	if err != nil {
		return record.Protection{}, err
	}
	for _, p := range all {
		if p.System == system {
			return p, nil
		}
	}
	return record.Protection{Host: h, System: system}, nil
}

// good tells whether a run did its work.
func good(state string) bool {
	return state == string(runbook.StateDone) || state == string(runbook.StateWarnings)
}

// protect takes a report into account. Reports may come late and in any order. A
// failure stands until a run of the same kind does better: that a prune went well says
// nothing of the backup that failed before it.
func protect(p record.Protection, r wire.RunReport) record.Protection {
	if r.Kind == kindBackup && r.Point != "" && r.PointAt.After(p.PointAt) {
		p.Point, p.PointAt = r.Point, r.PointAt
	}
	if good(r.State) {
		switch {
		case r.Kind == kindVerify && r.Ended.After(p.VerifyAt):
			p.VerifyAt = r.Ended
		case r.Kind == kindDrill && r.Ended.After(p.DrillAt):
			p.DrillAt = r.Ended
		}
	}
	if r.Ended.Before(p.LastAt) {
		return p
	}
	if r.Profile != "" {
		p.Profile, p.Objectives = r.Profile, r.Objectives
	}
	failed, _, stands := strings.Cut(p.LastError, ": ")
	if stands = stands && p.LastState != "" && !good(p.LastState); stands && good(r.State) && failed != r.Kind {
		return p
	}
	p.LastState, p.LastAt, p.LastError = r.State, r.Ended, ""
	if !good(r.State) {
		p.LastError = r.Kind + ": " + r.Error
	}
	return p
}

// checkReport refuses what no host of ours would send, and puts right what a wrong
// clock does: a point of the future would never be late.
func checkReport(run string, r *wire.RunReport, now time.Time) (record.Identity, error) {
	if !runID.MatchString(run) {
		return record.Identity{}, invalid("%q is no id of a run", excerpt.Line(run, 80))
	}
	if !word32.MatchString(r.Kind) || !configuration.Name(r.System) || r.Profile != "" && !configuration.Name(r.Profile) {
		return record.Identity{}, invalid("kind, system or profile are malformed")
	}
	for what, text := range map[string]string{"the state": r.State, "the point": r.Point, "the version": r.Version} {
		if err := checkText(what, text, 255); err != nil {
			return record.Identity{}, err
		}
	}
	if len(r.Detail) > wire.MaxDetail || len(r.Detail) > 0 && !json.Valid(r.Detail) {
		return record.Identity{}, invalid("the detail is too large, or no JSON")
	}
	r.Error = strings.ToValidUTF8(strings.ReplaceAll(r.Error, "\x00", ""), "?")
	for _, t := range []*time.Time{&r.Started, &r.Ended, &r.PointAt} {
		*t = t.UTC().Truncate(time.Microsecond)
		if t.After(now) {
			*t = now
		}
	}
	for _, n := range []time.Duration{r.Objectives.RPO, r.Objectives.RTO, r.Objectives.Drill, r.Objectives.Verify} {
		if n < 0 {
			return record.Identity{}, invalid("an objective is less than nothing")
		}
	}
	return normal(r.Identity)
}

// checkConfiguration takes the open half apart, since what is signed later is trusted
// to be well-formed. The secret half is taken as it is, unless files of the open half
// belong into it: it is unsealed only when a code is issued.
func (d *Desk) checkConfiguration(h record.Host, c *wire.Configuration) (*record.Version, error) {
	if len(c.Secret) > configuration.MaxSecret+4096 {
		return nil, invalid("the secret half is too large")
	}
	v := &record.Version{Host: h.ID, Digest: ConfigurationDigest(c), Open: c.Open, Secret: c.Secret}
	if err := d.conceal(v); err != nil {
		return nil, invalid("%v", err)
	}
	return v, nil
}

// ConfigurationDigest tells configurations apart: record.Version's Digest.
func ConfigurationDigest(c *wire.Configuration) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d %s", len(c.Open), c.Open)
	fmt.Fprintf(sum, " %s %t", c.SecretDigest, len(c.Secret) > 0)
	return hex.EncodeToString(sum.Sum(nil))
}
