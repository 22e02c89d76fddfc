package api

import (
	"context"
	"net/http"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
)

// rearRoutes are what people do for hosts that only ReaR recovers; what those hosts
// ask themselves is answered in fleet/rear.
func (a *API) rearRoutes() {
	add(a, route{id: "open-window", method: http.MethodPost, path: "/hosts/{host}/window", summary: "Let one plain ReaR client of a host fetch for a while", role: record.Operator, status: http.StatusCreated},
		func(ctx context.Context, in *struct {
			HostRef
			Body wire.OpenWindow
		},
		) (*body[wire.Window], error) {
			w, err := a.desk.OpenWindow(ctx, actorOf(ctx), in.Host, in.Body.Valid)
			return &body[wire.Window]{w}, err
		})
	add(a, route{id: "close-window", method: http.MethodDelete, path: "/hosts/{host}/window", summary: "End a window at once", role: record.Operator, status: http.StatusNoContent},
		func(ctx context.Context, in *HostRef) (*nothing, error) {
			return nil, a.desk.CloseWindow(ctx, actorOf(ctx), in.Host)
		})
	add(a, route{id: "put-rear", method: http.MethodPut, path: "/hosts/{host}/rear", summary: "Keep the files of a host that only ReaR recovers", role: record.Operator, body: 2 * wire.MaxRear},
		func(ctx context.Context, in *struct {
			HostRef
			Body wire.RearFiles
		},
		) (*body[wire.Version], error) {
			number, err := a.desk.PutRear(ctx, actorOf(ctx), in.Host, in.Body)
			return &body[wire.Version]{wire.Version{Number: number}}, err
		})
}
