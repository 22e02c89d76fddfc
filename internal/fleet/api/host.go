package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/rescue/configuration"
)

// HostRef is a request about one host.
type HostRef struct {
	Host string `path:"host" maxLength:"255" doc:"Name or id of a host"`
}

// Paging is a request for a part of a list.
type Paging struct {
	After string `query:"after" maxLength:"255" doc:"What the part before gave as next"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (p Paging) of() record.Page { return record.Page{After: p.After, Limit: p.Limit} }

// part is a list with what to ask for next.
func part[T any](items []T, p Paging, key func(T) string) *body[wire.List[T]] {
	l := wire.List[T]{Items: items}
	if items == nil {
		l.Items = []T{}
	}
	if len(items) > 0 && len(items) == p.Limit {
		l.Next = key(items[len(items)-1])
	}
	return &body[wire.List[T]]{l}
}

// ofHost reads something of a host.
func (a *API) ofHost(ctx context.Context, ref string, f func(record.Reader, record.Host) error) error {
	h, err := a.desk.Host(ctx, ref)
	if err != nil {
		return err
	}
	return a.desk.Store.Read(ctx, func(r record.Reader) error { return f(r, h) })
}

func (a *API) hostRoutes() {
	add(a, route{id: "hosts", method: http.MethodGet, path: "/hosts", summary: "List hosts by name", role: record.Viewer},
		func(ctx context.Context, in *struct {
			Paging
			Group string `query:"group" maxLength:"100"`
		},
		) (*body[wire.List[record.Host]], error) {
			var hosts []record.Host
			err := a.desk.Store.Read(ctx, func(r record.Reader) (err error) { hosts, err = r.Hosts(in.Group, in.of()); return err })
			return part(hosts, in.Paging, func(h record.Host) string { return h.Name }), err
		})
	add(a, route{id: "add-host", method: http.MethodPost, path: "/hosts", summary: "Add a host, and give what lets it join", role: record.Operator, status: http.StatusCreated},
		func(ctx context.Context, in *struct{ Body wire.NewHost }) (*body[wire.Invitation], error) {
			made, err := a.desk.AddHost(ctx, actorOf(ctx), in.Body)
			return &body[wire.Invitation]{made}, err
		})
	add(a, route{id: "set-host", method: http.MethodPatch, path: "/hosts/{host}", summary: "Correct what is known of a host", role: record.Operator},
		func(ctx context.Context, in *struct {
			HostRef
			Body wire.HostChange
		},
		) (*body[wire.ChangedHost], error) {
			h, err := a.desk.SetHost(ctx, actorOf(ctx), in.Host, in.Body)
			return &body[wire.ChangedHost]{h}, err
		})
	add(a, route{id: "host", method: http.MethodGet, path: "/hosts/{host}", summary: "Show a host", role: record.Viewer},
		func(ctx context.Context, in *HostRef) (*body[wire.HostDetail], error) {
			var d wire.HostDetail
			err := a.ofHost(ctx, in.Host, func(r record.Reader, h record.Host) (err error) {
				d.Host = h
				if d.Protections, err = r.Protections(h.ID); err != nil {
					return err
				}
				versions, err := r.Versions(h.ID)
				if len(versions) > 0 {
					d.Configuration = versions[0].Number
				}
				return err
			})
			if d.Protections == nil {
				d.Protections = []record.Protection{}
			}
			return &body[wire.HostDetail]{d}, err
		})
	add(a, route{id: "enrol-host", method: http.MethodPost, path: "/hosts/{host}/enrolments", summary: "Give another token to join", role: record.Operator, status: http.StatusCreated},
		func(ctx context.Context, in *struct {
			HostRef
			Body wire.Enrol
		},
		) (*body[wire.Invitation], error) {
			made, err := a.desk.Enrol(ctx, actorOf(ctx), in.Host, in.Body.Valid)
			return &body[wire.Invitation]{made}, err
		})
	add(a, route{id: "revoke-host", method: http.MethodPost, path: "/hosts/{host}/revoke", summary: "Shut a host out, at once", role: record.Administrator},
		func(ctx context.Context, in *HostRef) (*body[record.Host], error) {
			h, err := a.desk.Revoke(ctx, actorOf(ctx), in.Host)
			return &body[record.Host]{h}, err
		})
	add(a, route{id: "remove-host", method: http.MethodDelete, path: "/hosts/{host}", summary: "Forget a host with all it has reported", role: record.Administrator, status: http.StatusNoContent},
		func(ctx context.Context, in *HostRef) (*nothing, error) {
			return nil, a.desk.Remove(ctx, actorOf(ctx), in.Host)
		})
	add(a, route{id: "issue-code", method: http.MethodPost, path: "/hosts/{host}/codes", summary: "Issue a one-time recovery code", role: record.Operator, status: http.StatusCreated},
		func(ctx context.Context, in *HostRef) (*body[wire.IssuedCode], error) {
			made, err := a.desk.IssueCode(ctx, actorOf(ctx), in.Host)
			return &body[wire.IssuedCode]{made}, err
		})
	add(a, route{id: "revoke-codes", method: http.MethodDelete, path: "/hosts/{host}/codes", summary: "Make a host's recovery codes worthless", role: record.Operator, status: http.StatusNoContent},
		func(ctx context.Context, in *HostRef) (*nothing, error) {
			return nil, a.desk.RevokeCodes(ctx, actorOf(ctx), in.Host)
		})
	a.runRoutes()
	a.rearRoutes()
	a.configurationRoutes()
}

func (a *API) runRoutes() {
	add(a, route{id: "reports", method: http.MethodGet, path: "/hosts/{host}/reports", summary: "List a host's reports, the newest first", role: record.Viewer},
		func(ctx context.Context, in *struct {
			HostRef
			Paging
		},
		) (*body[wire.List[record.Report]], error) {
			var list []record.Report
			err := a.ofHost(ctx, in.Host, func(r record.Reader, h record.Host) (err error) { list, err = r.Reports(h.ID, in.of()); return err })
			return part(list, in.Paging, func(r record.Report) string { return r.ID }), err
		})
	add(a, route{id: "runs", method: http.MethodGet, path: "/hosts/{host}/runs", summary: "List a host's runs, the newest first", role: record.Viewer},
		func(ctx context.Context, in *struct {
			HostRef
			Paging
		},
		) (*body[wire.List[record.Run]], error) {
			var list []record.Run
			err := a.ofHost(ctx, in.Host, func(r record.Reader, h record.Host) (err error) { list, err = r.Runs(h.ID, in.of()); return err })
			return part(list, in.Paging, func(r record.Run) string { return r.ID }), err
		})
	add(a, route{id: "events", method: http.MethodGet, path: "/hosts/{host}/runs/{run}/events", summary: "List what a run has told, in order", role: record.Viewer},
		func(ctx context.Context, in *struct {
			HostRef
			Run   string `path:"run" maxLength:"200"`
			After int64  `query:"after" minimum:"0"`
			Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"500"`
		},
		) (*body[wire.List[record.Event]], error) {
			var list []record.Event
			err := a.ofHost(ctx, in.Host, func(r record.Reader, h record.Host) (err error) {
				list, err = r.Events(h.ID, in.Run, in.After, in.Limit)
				return err
			})
			return part(list, Paging{Limit: in.Limit}, func(e record.Event) string { return strconv.FormatInt(e.Seq, 10) }), err
		})
}

func (a *API) configurationRoutes() {
	add(a, route{id: "configurations", method: http.MethodGet, path: "/hosts/{host}/configurations", summary: "List the versions of a host's recovery configuration, the newest first", role: record.Viewer},
		func(ctx context.Context, in *HostRef) (*body[wire.List[wire.Version]], error) {
			list := wire.List[wire.Version]{Items: []wire.Version{}}
			err := a.ofHost(ctx, in.Host, func(r record.Reader, h record.Host) error {
				versions, err := r.Versions(h.ID)
				for _, v := range versions {
					list.Items = append(list.Items, wire.Version{Number: v.Number, Created: v.Created, Digest: v.Digest, Report: v.Report})
				}
				return err
			})
			return &body[wire.List[wire.Version]]{list}, err
		})
	add(a, route{id: "configuration", method: http.MethodGet, path: "/hosts/{host}/configurations/{version}", summary: "Show a version of a host's recovery configuration; 0 is the newest", role: record.Viewer},
		func(ctx context.Context, in *struct {
			HostRef
			Version int64 `path:"version" minimum:"0"`
		},
		) (*body[wire.Version], error) {
			var out wire.Version
			err := a.ofHost(ctx, in.Host, func(r record.Reader, h record.Host) error {
				v, err := r.Version(h.ID, in.Version)
				if err == nil {
					v.Open, err = configuration.Public(v.Open)
				}
				out = wire.Version{Number: v.Number, Created: v.Created, Digest: v.Digest, Report: v.Report, Secret: len(v.Secret) > 0, Open: v.Open}
				return err
			})
			return &body[wire.Version]{out}, err
		})
	add(a, route{id: "export-configuration", method: http.MethodPost, path: "/hosts/{host}/exports", summary: "Sign a host's newest recovery configuration for a file, without secrets", role: record.Operator},
		func(ctx context.Context, in *struct {
			HostRef
			Body wire.Export
		},
		) (*body[json.RawMessage], error) {
			envelope, err := a.desk.Export(ctx, actorOf(ctx), in.Host, in.Body.Valid)
			return &body[json.RawMessage]{envelope}, err
		})
}
