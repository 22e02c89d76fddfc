package api

import (
	"context"
	"errors"
	"net/http"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
)

// agentRoutes are for hosts, each for its own affairs alone.
func (a *API) agentRoutes() {
	add(a, route{id: "join", method: http.MethodPost, path: "/join", summary: "Let a host in that shows a token", public: true},
		func(ctx context.Context, in *struct{ Body wire.Join }) (*body[wire.Joined], error) {
			from := callerOf(ctx).actor.From
			joined, err := a.desk.Join(ctx, from, in.Body)
			if errors.Is(err, record.ErrSpent) {
				a.limits.failed(from)
			}
			return &body[wire.Joined]{joined}, err
		})
	add(a, route{id: "agent-fleet", method: http.MethodGet, path: "/agent/fleet", summary: "What the fleet is known by", host: true},
		func(context.Context, *nothing) (*body[wire.Fleet], error) {
			return &body[wire.Fleet]{a.desk.Fleet()}, nil
		})
	add(a, route{id: "agent-certificate", method: http.MethodPost, path: "/agent/certificate", summary: "Give a host its next certificate", host: true},
		func(ctx context.Context, in *struct{ Body wire.Renew }) (*body[wire.Certificate], error) {
			c := callerOf(ctx)
			made, err := a.desk.Renew(ctx, *c.host, c.actor.From, in.Body.Request)
			return &body[wire.Certificate]{made}, gone(err)
		})
	add(a, route{id: "agent-report", method: http.MethodPut, path: "/agent/reports/{run}", summary: "Take the report of a run, once", host: true, body: wire.MaxReport},
		func(ctx context.Context, in *struct {
			Run  string `path:"run" maxLength:"200"`
			Body wire.RunReport
		},
		) (*body[wire.Receipt], error) {
			c := callerOf(ctx)
			receipt, err := a.desk.AddReport(ctx, *c.host, c.actor.From, in.Run, in.Body)
			return &body[wire.Receipt]{receipt}, gone(err)
		})
	add(a, route{id: "agent-events", method: http.MethodPost, path: "/agent/runs/{run}/events", summary: "Take lines of a run that is under way", host: true, body: wire.MaxEvents, status: http.StatusNoContent},
		func(ctx context.Context, in *struct {
			Run  string `path:"run" maxLength:"200"`
			Body wire.RunEvents
		},
		) (*nothing, error) {
			return nil, gone(a.desk.AddEvents(ctx, *callerOf(ctx).host, in.Run, in.Body))
		})
}

// gone is for a host that was revoked or removed while it spoke.
func gone(err error) error {
	if errors.Is(err, record.ErrNotFound) {
		return errWho
	}
	return err
}
