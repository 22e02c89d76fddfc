package api

import (
	"context"
	"net/http"

	"lifeboat/internal/fleet/account"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
)

// named is a request about one person.
type named struct {
	Name string `path:"name" maxLength:"100"`
}

// peopleRoutes are about those who sign in to the console.
func (a *API) peopleRoutes(people *account.Accounts) {
	add(a, route{id: "users", method: http.MethodGet, path: "/users", summary: "List the people who may sign in", role: record.Administrator},
		func(ctx context.Context, _ *nothing) (*body[wire.List[wire.Person]], error) {
			users, err := people.List(ctx)
			l := wire.List[wire.Person]{Items: []wire.Person{}}
			for _, u := range users {
				l.Items = append(l.Items, wire.Person{User: u, Password: u.Password != "", OneTime: u.TOTP != nil})
			}
			return &body[wire.List[wire.Person]]{l}, err
		})
	add(a, route{id: "add-user", method: http.MethodPost, path: "/users", summary: "Let a person sign in", role: record.Administrator, status: http.StatusNoContent},
		func(ctx context.Context, in *struct{ Body wire.NewPerson }) (*nothing, error) {
			return nil, people.Add(ctx, actorOf(ctx), in.Body.Name, in.Body.Role, in.Body.Password)
		})
	add(a, route{id: "remove-user", method: http.MethodDelete, path: "/users/{name}", summary: "Remove a person", role: record.Administrator, status: http.StatusNoContent},
		func(ctx context.Context, in *named) (*nothing, error) {
			return nil, people.Remove(ctx, actorOf(ctx), in.Name)
		})
	add(a, route{id: "user-role", method: http.MethodPut, path: "/users/{name}/role", summary: "Change what a person may do", role: record.Administrator, status: http.StatusNoContent},
		func(ctx context.Context, in *struct {
			Name string `path:"name" maxLength:"100"`
			Body struct {
				Role record.Role `json:"role" enum:"viewer,operator,administrator"`
			}
		},
		) (*nothing, error) {
			return nil, people.SetRole(ctx, actorOf(ctx), in.Name, in.Body.Role)
		})
	add(a, route{id: "user-password", method: http.MethodPut, path: "/users/{name}/password", summary: "Give a person another password", role: record.Administrator, status: http.StatusNoContent},
		func(ctx context.Context, in *struct {
			Name string `path:"name" maxLength:"100"`
			Body struct {
				Password string `json:"password"`
			}
		},
		) (*nothing, error) {
			return nil, people.SetPassword(ctx, actorOf(ctx), in.Name, in.Body.Password)
		})
	add(a, route{id: "user-disabled", method: http.MethodPut, path: "/users/{name}/disabled", summary: "Shut a person out, or let one in again", role: record.Administrator, status: http.StatusNoContent},
		func(ctx context.Context, in *struct {
			Name string `path:"name" maxLength:"100"`
			Body struct {
				Disabled bool `json:"disabled"`
			}
		},
		) (*nothing, error) {
			return nil, people.Disable(ctx, actorOf(ctx), in.Name, in.Body.Disabled)
		})
	add(a, route{id: "user-totp", method: http.MethodDelete, path: "/users/{name}/totp", summary: "Switch a person's one-time passwords off", role: record.Administrator, status: http.StatusNoContent},
		func(ctx context.Context, in *named) (*nothing, error) {
			return nil, people.RemoveTOTP(ctx, actorOf(ctx), in.Name)
		})
	add(a, route{id: "user-sessions", method: http.MethodDelete, path: "/users/{name}/sessions", summary: "Sign a person out everywhere", role: record.Administrator, status: http.StatusNoContent},
		func(ctx context.Context, in *named) (*nothing, error) {
			return nil, people.SignOutEverywhere(ctx, actorOf(ctx), in.Name)
		})
}
