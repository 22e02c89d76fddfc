package api

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"strconv"

	"lifeboat/internal/fleet/audit"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
)

// fleetRoutes are about the fleet as a whole.
func (a *API) fleetRoutes() {
	add(a, route{id: "fleet", method: http.MethodGet, path: "/fleet", summary: "What the fleet is known by", role: record.Viewer},
		func(context.Context, *nothing) (*body[wire.Fleet], error) {
			return &body[wire.Fleet]{a.desk.Fleet()}, nil
		})
	add(a, route{id: "protections", method: http.MethodGet, path: "/protections", summary: "How the systems of all hosts stand", role: record.Viewer},
		func(ctx context.Context, _ *nothing) (*body[wire.List[record.Protection]], error) {
			l := wire.List[record.Protection]{}
			err := a.desk.Store.Read(ctx, func(r record.Reader) (err error) { l.Items, err = r.Protections(""); return err })
			if l.Items == nil {
				l.Items = []record.Protection{}
			}
			return &body[wire.List[record.Protection]]{l}, err
		})
	add(a, route{id: "tokens", method: http.MethodGet, path: "/tokens", summary: "List tokens", role: record.Administrator},
		func(ctx context.Context, _ *nothing) (*body[wire.List[record.Token]], error) {
			l := wire.List[record.Token]{}
			err := a.desk.Store.Read(ctx, func(r record.Reader) (err error) { l.Items, err = r.Tokens(); return err })
			if l.Items == nil {
				l.Items = []record.Token{}
			}
			return &body[wire.List[record.Token]]{l}, err
		})
	add(a, route{id: "add-token", method: http.MethodPost, path: "/tokens", summary: "Make a token, which is shown once", role: record.Administrator, status: http.StatusCreated},
		func(ctx context.Context, in *struct{ Body wire.NewToken }) (*body[wire.MadeToken], error) {
			made, err := a.desk.AddToken(ctx, actorOf(ctx), in.Body)
			return &body[wire.MadeToken]{made}, err
		})
	add(a, route{id: "remove-token", method: http.MethodDelete, path: "/tokens/{token}", summary: "Make a token worthless", role: record.Administrator, status: http.StatusNoContent},
		func(ctx context.Context, in *struct {
			Token string `path:"token" maxLength:"100" doc:"Name or id"`
		},
		) (*nothing, error) {
			return nil, a.desk.RemoveToken(ctx, actorOf(ctx), in.Token)
		})
	add(a, route{id: "audit", method: http.MethodGet, path: "/audit", summary: "List who did what, the oldest first", role: record.Viewer},
		func(ctx context.Context, in *struct {
			After int64 `query:"after" minimum:"0"`
			Limit int   `query:"limit" minimum:"1" maximum:"1000" default:"100"`
		},
		) (*body[wire.List[record.Entry]], error) {
			var list []record.Entry
			err := a.desk.Store.Read(ctx, func(r record.Reader) (err error) { list, err = r.Audit(in.After, in.Limit); return err })
			return part(list, Paging{Limit: in.Limit}, func(e record.Entry) string { return strconv.FormatInt(e.Number, 10) }), err
		})
	add(a, route{id: "verify-audit", method: http.MethodGet, path: "/audit/verification", summary: "Check that the audit log holds together", role: record.Viewer},
		func(ctx context.Context, in *struct {
			Seen int64  `query:"seen" minimum:"0" doc:"Number of an entry that was seen before"`
			Hash string `query:"hash" maxLength:"64" doc:"Its hash"`
		},
		) (*body[wire.AuditState], error) {
			public, _ := a.desk.Keys.Signing.Public().(ed25519.PublicKey)
			result, err := audit.Verify(ctx, a.desk.Store, audit.Witness{Number: in.Seen, Hash: in.Hash}, public)
			state := wire.AuditState{Entries: result.Entries, Head: result.Head, Whole: err == nil, Alarms: result.Alarms}
			if broken := new(audit.Broken); errors.As(err, &broken) {
				state.Broken, state.Reason, err = broken.Number, broken.Reason, nil
			}
			return &body[wire.AuditState]{state}, err
		})
}
