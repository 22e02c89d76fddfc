package store

import (
	"encoding/json"
	"strings"

	"lifeboat/internal/fleet/record"
)

const reportColumns = `id, host, system, kind, state, started, ended, received, point, bytes, rto, rpo, detail`

func scanReport(row scanner) (r record.Report, err error) {
	var detail []byte
	err = row.Scan(&r.ID, &r.Host, &r.System, &r.Kind, &r.State, instant{&r.Started}, instant{&r.Ended},
		instant{&r.Received}, &r.Point, &r.Bytes, &r.RTO, &r.RPO, &detail)
	r.Detail = detail
	return r, err
}

func (t *tx) Report(host record.HostID, id string) (record.Report, error) {
	return one(t, scanReport, `SELECT `+reportColumns+` FROM reports WHERE host = ? AND id = ?`, host, id)
}

func (t *tx) Reports(host record.HostID, p record.Page) ([]record.Report, error) {
	n, err := limit(p.Limit)
	if err != nil {
		return nil, err
	}
	if p.After == "" {
		return all(t, scanReport, `SELECT `+reportColumns+` FROM reports WHERE host = ?
			ORDER BY started DESC, id DESC LIMIT ?`, host, n)
	}
	after, err := t.Report(host, p.After)
	if err != nil {
		return nil, err
	}
	return all(t, scanReport, `SELECT `+reportColumns+` FROM reports WHERE host = ? AND (started, id) < (?, ?)
		ORDER BY started DESC, id DESC LIMIT ?`, host, after.Started, after.ID, n)
}

func (t *tx) AddReport(r record.Report, p record.Protection) (bool, error) {
	n, err := t.exec(`INSERT INTO reports (`+reportColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (host, id) DO NOTHING`,
		r.ID, r.Host, r.System, r.Kind, r.State, r.Started, r.Ended, r.Received, r.Point, r.Bytes, r.RTO, r.RPO, r.Detail)
	if err != nil || n == 0 {
		return false, err
	}
	objectives, err := json.Marshal(p.Objectives)
	if err != nil {
		return false, t.fail(err)
	}
	_, err = t.exec(`INSERT INTO protections (`+protectionColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (host, system) DO UPDATE SET profile = excluded.profile, point = excluded.point,
			point_at = excluded.point_at, verify_at = excluded.verify_at, drill_at = excluded.drill_at,
			last_state = excluded.last_state, last_at = excluded.last_at, last_error = excluded.last_error,
			objectives = excluded.objectives`,
		r.Host, r.System, p.Profile, p.Point, p.PointAt, p.VerifyAt, p.DrillAt, p.LastState, p.LastAt, p.LastError, string(objectives))
	return err == nil, err
}

const protectionColumns = `host, system, profile, point, point_at, verify_at, drill_at, last_state, last_at, last_error, objectives`

func scanProtection(row scanner) (p record.Protection, err error) {
	err = row.Scan(&p.Host, &p.System, &p.Profile, &p.Point, instant{&p.PointAt}, instant{&p.VerifyAt},
		instant{&p.DrillAt}, &p.LastState, instant{&p.LastAt}, &p.LastError, document{&p.Objectives})
	return p, err
}

func (t *tx) Protections(host record.HostID) ([]record.Protection, error) {
	if host == "" {
		return all(t, scanProtection, `SELECT `+protectionColumns+` FROM protections ORDER BY host, system`)
	}
	return all(t, scanProtection, `SELECT `+protectionColumns+` FROM protections WHERE host = ? ORDER BY system`, host)
}

const runColumns = `id, host, system, kind, state, started, updated`

func scanRun(row scanner) (r record.Run, err error) {
	return r, row.Scan(&r.ID, &r.Host, &r.System, &r.Kind, &r.State, instant{&r.Started}, instant{&r.Updated})
}

func (t *tx) Run(host record.HostID, id string) (record.Run, error) {
	return one(t, scanRun, `SELECT `+runColumns+` FROM runs WHERE host = ? AND id = ?`, host, id)
}

func (t *tx) Runs(host record.HostID, p record.Page) ([]record.Run, error) {
	n, err := limit(p.Limit)
	if err != nil {
		return nil, err
	}
	var after record.Run
	if p.After != "" {
		in, id := string(host), p.After
		if host == "" {
			in, id, _ = strings.Cut(p.After, "/")
		}
		if after, err = t.Run(record.HostID(in), id); err != nil {
			return nil, err
		}
	}
	switch {
	case host == "" && p.After == "":
		return all(t, scanRun, `SELECT `+runColumns+` FROM runs ORDER BY started DESC, host DESC, id DESC LIMIT ?`, n)
	case host == "":
		return all(t, scanRun, `SELECT `+runColumns+` FROM runs WHERE (started, host, id) < (?, ?, ?)
			ORDER BY started DESC, host DESC, id DESC LIMIT ?`, after.Started, after.Host, after.ID, n)
	case p.After == "":
		return all(t, scanRun, `SELECT `+runColumns+` FROM runs WHERE host = ? ORDER BY started DESC, id DESC LIMIT ?`, host, n)
	}
	return all(t, scanRun, `SELECT `+runColumns+` FROM runs WHERE host = ? AND (started, id) < (?, ?)
		ORDER BY started DESC, id DESC LIMIT ?`, host, after.Started, after.ID, n)
}

func (t *tx) PutRun(r record.Run) error {
	_, err := t.exec(`INSERT INTO runs (`+runColumns+`, kept) VALUES (?, ?, ?, ?, ?, ?, ?, TRUE)
		ON CONFLICT (host, id) DO UPDATE SET system = excluded.system, kind = excluded.kind, state = excluded.state,
			started = excluded.started, updated = excluded.updated, kept = TRUE`,
		r.ID, r.Host, r.System, r.Kind, r.State, r.Started, r.Updated)
	return err
}

func scanEvent(row scanner) (e record.Event, err error) {
	var data []byte
	err = row.Scan(&e.Run, &e.Host, &e.Seq, instant{&e.Time}, &data)
	e.Data = data
	return e, err
}

func (t *tx) Events(host record.HostID, run string, after int64, count int) ([]record.Event, error) {
	n, err := limit(count)
	if err != nil {
		return nil, err
	}
	return all(t, scanEvent, `SELECT run, host, seq, time, data FROM events WHERE host = ? AND run = ? AND seq > ?
		ORDER BY seq LIMIT ?`, host, run, after, n)
}

func (t *tx) AllEvents(after record.Event, count int) ([]record.Event, error) {
	n, err := limit(count)
	if err != nil {
		return nil, err
	}
	return all(t, scanEvent, `SELECT run, host, seq, time, data FROM events WHERE (host, run, seq) > (?, ?, ?)
		ORDER BY host, run, seq LIMIT ?`, after.Host, after.Run, after.Seq, n)
}

func (t *tx) PutEvent(e record.Event) error {
	return t.must(`UPDATE events SET data = ? WHERE host = ? AND run = ? AND seq = ?`, e.Data, e.Host, e.Run, e.Seq)
}

func (t *tx) AddEvents(events []record.Event) error {
	var rows [][]any
	for _, e := range events {
		rows = append(rows, []any{e.Host, e.Run, e.Seq, e.Time, e.Data})
	}
	return t.bulk(`events (host, run, seq, time, data)`, 5, ` ON CONFLICT (host, run, seq) DO NOTHING`, rows)
}
