package console

import (
	"encoding/json"
	"fmt"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/runbook"
)

// showcase fills a fleet with one of everything that pages show. It gives the host
// with the most to tell and the run that goes on there.
func (f *fleet) showcase() (record.HostID, string) {
	f.t.Helper()
	smt1 := f.add(1, "smt1.example.com", "smt", good("smt"), with(good("sles"), func(p *record.Protection) { p.PointAt = ago(31 * time.Hour) }))
	f.add(2, "opsi1.example.com", "opsi", with(good("opsi"), func(p *record.Protection) {
		p.LastState, p.LastError = "failed", "mysqldump: Error 2013: Lost connection to MySQL server during query"
	}))
	f.add(3, "rmt1.example.com", "smt", good("rmt"))
	f.add(4, "itms1.example.com", "", with(good("itms"), func(p *record.Protection) { p.DrillAt = time.Time{} }))
	f.add(5, "opsi2.example.com", "opsi", with(good("opsi"), func(p *record.Protection) { p.PointAt, p.Point = time.Time{}, "" }))
	f.change(func(tx record.Tx) error {
		if err := tx.PutHost(record.Host{ID: hostID(6), Name: "new1.example.com", Created: ago(time.Hour)}); err != nil {
			return err
		}
		return tx.PutHost(record.Host{ID: hostID(7), Name: "old1.example.com", Created: ago(900 * day), Key: "k7", Revoked: ago(30 * day)})
	})
	for i := 8; i < 24; i++ {
		f.add(i, fmt.Sprintf("web%02d.example.com", i), "web", good("sles"))
	}

	open := configuration.Open{
		Identity:     record.Identity{Hostname: "smt1.example.com", Serial: "sn-0001"},
		Systems:      []configuration.System{{Name: "smt", Profile: "smt", Digest: "9c1f", Repositories: []string{"main"}}},
		Repositories: []configuration.Repository{{Name: "main", Location: "sftp:backup@vault.example.com:/srv/smt1"}},
		Files:        []configuration.File{{Path: "/etc/lifeboat/lifeboat.yaml", Mode: 0o644, Content: []byte("repositories:\n  main:\n    location: sftp:backup@vault.example.com:/srv/smt1\nsystems:\n  smt: {profile: smt}\n")}},
	}
	f.version(smt1, 1, open)
	open.Repositories = append(open.Repositories, configuration.Repository{Name: "second", Location: "s3:s3.example.com/smt1"})
	open.Files[0].Content = []byte("repositories:\n  main:\n    location: sftp:backup@vault.example.com:/srv/smt1\n  second:\n    location: s3:s3.example.com/smt1\nsystems:\n  smt: {profile: smt}\n")
	open.Layout = json.RawMessage(`{"disks":[{"name":"sda","type":"disk","size":256060514304,"model":"QEMU <HARDDISK>","table":{"label":"gpt"},"on_it":[{"name":"sda1","type":"part","size":255000000000,"filesystem":"xfs","mountpoint":"/"}]}]}`)
	f.version(smt1, 2, open)

	f.change(func(tx record.Tx) error {
		for i := range 9 {
			at := ago(time.Duration(9-i) * 30 * day)
			state := "done"
			if i == 4 {
				state = "failed"
			}
			r := record.Report{
				ID: fmt.Sprintf("drill-%d", i), Host: smt1, System: "smt", Kind: "drill", State: state, Started: at, Ended: at.Add(50 * time.Minute),
				Received: at, RTO: 1500 + float64(i*i)*17, RPO: 30000 + float64((i*7919)%50000), Point: "8f31c2d04b7ae5916623aa01",
			}
			if i == 8 {
				r.Detail = json.RawMessage(`{"gaps":{"likely":2,"all":14,"gaps":[{"path":"/etc/cron.d/mirror-extra","why":"no package knows it"},{"path":"/etc/apache2/vhosts.d","why":"changed since it was installed"}]}}`)
			}
			if _, err := tx.AddReport(r, with(good("smt"), func(p *record.Protection) { p.Host = smt1 })); err != nil {
				return err
			}
			if err := tx.PutRun(record.Run{ID: r.ID, Host: smt1, System: "smt", Kind: "drill", State: state, Started: r.Started, Updated: r.Ended}); err != nil {
				return err
			}
		}
		return tx.PutRun(record.Run{ID: "live", Host: smt1, System: "smt", Kind: "recover", State: "running", Started: ago(12 * time.Minute), Updated: ago(4 * time.Second)})
	})
	f.recovery(smt1, "live")
	return smt1, "live"
}

// recovery is a run that is half done.
func (f *fleet) recovery(host record.HostID, run string) {
	f.t.Helper()
	at := ago(12 * time.Minute)
	seq := int64(0)
	tell := func(e runbook.Event) {
		seq++
		at = at.Add(31 * time.Second)
		e.Time, e.Run, e.System, e.Kind = at, run, "smt", "recover"
		f.event(host, run, seq, e)
	}
	tell(runbook.Event{Type: runbook.RunStarted, Outline: []runbook.Outline{
		{Name: "preflight", Title: "Preflight", Steps: []runbook.OutlineStep{{ID: "identity", Title: "Compare this machine with the recovery point"}, {ID: "space", Title: "See that there is room"}}},
		{Name: "restore", Title: "Restore", Steps: []runbook.OutlineStep{{ID: "ca", Title: "Restore certificate-authority"}, {ID: "db", Title: "Restore database smt"}, {ID: "tree", Title: "Restore package-tree"}}},
		{Name: "start", Title: "Start", Steps: []runbook.OutlineStep{{ID: "start", Title: "Start SMT"}, {ID: "confirm", Title: "Export the server certificate in YaST"}}},
	}})
	tell(runbook.Event{Type: runbook.StepStarted, Stage: "preflight", Step: "identity"})
	tell(runbook.Event{Type: runbook.StepCheck, Stage: "preflight", Step: "identity", Check: &runbook.Check{Name: "hostname", OK: true}})
	tell(runbook.Event{Type: runbook.StepCheck, Stage: "preflight", Step: "identity", Check: &runbook.Check{Name: "addresses", Warning: true, Expected: "192.0.2.10", Found: "192.0.2.77"}})
	tell(runbook.Event{Type: runbook.StepWarning, Stage: "preflight", Step: "identity", Text: "the machine has another address than the point"})
	tell(runbook.Event{Type: runbook.StepFinished, Stage: "preflight", Step: "identity", Seconds: 0.8})
	tell(runbook.Event{Type: runbook.StepAlreadyDone, Stage: "preflight", Step: "space", Text: "412 GiB are free"})
	tell(runbook.Event{Type: runbook.StepStarted, Stage: "restore", Step: "ca"})
	tell(runbook.Event{Type: runbook.StepLog, Stage: "restore", Step: "ca", Text: "restored 214 files below /var/lib/CAM"})
	tell(runbook.Event{Type: runbook.StepFinished, Stage: "restore", Step: "ca", Seconds: 3.2, Bytes: 1 << 20})
	tell(runbook.Event{Type: runbook.StepStarted, Stage: "restore", Step: "tree"})
	tell(runbook.Event{Type: runbook.StepStarted, Stage: "restore", Step: "db"})
	tell(runbook.Event{Type: runbook.StepLog, Stage: "restore", Step: "db", Text: "loading tables into smt_new"})
	tell(runbook.Event{Type: runbook.StepFailed, Stage: "restore", Step: "db", Seconds: 95, Error: "load database smt: table Clients has 411 rows, the point says 412", Hint: "see the server's log, then lifeboat recover --resume live"})
	tell(runbook.Event{Type: runbook.StepProgress, Stage: "restore", Step: "tree", Bytes: 112 << 30, Total: 298 << 30})
}
