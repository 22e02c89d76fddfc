// Package api is the fleet server's programming interface over HTTP: what hosts,
// people's programs and lost machines may ask, in which form, how much of it and how
// often. Who asks is found out here; whether they may, and what then happens, is
// decided in fleet/action. Pages for people must not enter.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"lifeboat/internal/fleet/account"
	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
)

// Prefix is below which this version of the interface stands.
const Prefix = "/api/v1"

// Session is a person who is signed in to the console.
type Session struct {
	User string
	Role record.Role
	CSRF string // must come with what changes something
}

// Options are what the interface works with.
type Options struct {
	Desk    *action.Desk
	Log     *slog.Logger
	Version string
	// Session finds out who is signed in; nil where people have no console.
	Session func(*http.Request) (Session, error)
	// People are those who may; nil where people have no console.
	People *account.Accounts
	Limits Limits
}

// API serves the interface.
type API struct {
	desk    *action.Desk
	log     *slog.Logger
	session func(*http.Request) (Session, error)
	limits  *limiter
	mux     *http.ServeMux
	huma    huma.API
}

// New makes it. It serves Prefix and RecoveryPath.
func New(o Options) *API {
	a := &API{desk: o.Desk, log: o.Log, session: o.Session, limits: newLimiter(o.Limits), mux: http.NewServeMux()}
	config := huma.DefaultConfig("Lifeboat fleet", o.Version)
	config.DocsPath, config.SchemasPath = "", ""
	config.OpenAPIPath = Prefix + "/openapi"
	config.CreateHooks = nil // no links to schemas in answers
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer"},
		"host":  {Type: "mutualTLS"},
	}
	a.huma = humago.New(a.mux, config)
	a.huma.UseMiddleware(a.admit)
	a.hostRoutes()
	a.fleetRoutes()
	a.agentRoutes()
	if o.People != nil {
		a.peopleRoutes(o.People)
	}
	a.mux.HandleFunc("GET "+RecoveryPath, a.recover)
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problem(w, http.StatusNotFound, "there is nothing of that name")
	})
	return a
}

// ServeHTTP finds out who asks, and answers.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	from := Address(r)
	if r.URL.Path == RecoveryPath { // nobody there is anybody yet
		a.mux.ServeHTTP(w, r)
		return
	}
	if !a.limits.mayFail(from) {
		tooMany(w)
		return
	}
	c, err := a.caller(r, from)
	if err != nil {
		a.limits.failed(from)
		a.answer(w, r, err)
		return
	}
	if c.name != "" && !a.limits.call(c.name) {
		tooMany(w)
		return
	}
	a.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, c)))
}

// OpenAPI describes the interface, as JSON.
func (a *API) OpenAPI() ([]byte, error) { return a.huma.OpenAPI().MarshalJSON() }

// status is how an error is told.
func status(err error) int {
	switch {
	case errors.Is(err, errWho):
		return http.StatusUnauthorized
	case errors.Is(err, action.ErrForbidden), errors.Is(err, errForged):
		return http.StatusForbidden
	case errors.Is(err, record.ErrNotFound), errors.Is(err, action.ErrNoConfiguration):
		return http.StatusNotFound
	case errors.Is(err, record.ErrTaken), errors.Is(err, account.ErrLast):
		return http.StatusConflict
	case errors.Is(err, account.ErrBusy):
		return http.StatusTooManyRequests
	case errors.Is(err, record.ErrSpent):
		return http.StatusGone
	case errors.Is(err, record.ErrFull):
		return http.StatusInsufficientStorage
	case errors.Is(err, action.ErrInvalid), errors.Is(err, keys.ErrRequest), errors.Is(err, record.ErrText):
		return http.StatusUnprocessableEntity
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// internal is what is said of an error that is nobody's business.
const internal = "the server could not do that; its log says why"

// trouble is what is said of an error of the server's own.
func trouble(err error) string {
	if errors.Is(err, record.ErrFull) {
		return record.ErrFull.Error()
	}
	return internal
}

// failure makes an error of the interface of one of ours. What is wrong with the
// server itself stands in its log alone.
func (a *API) failure(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	code := status(err)
	if code >= http.StatusInternalServerError {
		a.log.ErrorContext(ctx, "a request failed", "error", err)
		return huma.NewError(code, trouble(err))
	}
	return huma.NewError(code, err.Error())
}

// answer is failure outside of huma's handlers.
func (a *API) answer(w http.ResponseWriter, r *http.Request, err error) {
	code, text := status(err), err.Error()
	if code >= http.StatusInternalServerError {
		a.log.ErrorContext(r.Context(), "a request failed", "error", err)
		text = trouble(err)
	}
	problem(w, code, text)
}

// route describes one operation. Who may call it stands in its metadata.
type route struct {
	id, method, path, summary string
	role                      record.Role // of people and programs
	host                      bool        // for hosts
	public                    bool        // for everybody
	body                      int64       // most bytes
	status                    int
}

const (
	metaRole   = "role"
	metaHost   = "host"
	metaPublic = "public"
)

// bodyTime is how long the body of a request may take to come.
const bodyTime = time.Minute

// add registers an operation. I and O are what huma makes of requests and answers.
func add[I, O any](a *API, r route, do func(context.Context, *I) (*O, error)) {
	op := huma.Operation{
		OperationID: r.id, Method: r.method, Path: Prefix + r.path, Summary: r.summary,
		MaxBodyBytes: wire.MaxBody, BodyReadTimeout: bodyTime, DefaultStatus: r.status,
		Errors:   []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusTooManyRequests},
		Metadata: map[string]any{metaRole: r.role, metaHost: r.host, metaPublic: r.public},
	}
	if r.body > 0 {
		op.MaxBodyBytes = r.body
	}
	switch {
	case r.host:
		op.Security = []map[string][]string{{"host": {}}}
	case !r.public:
		op.Security = []map[string][]string{{"token": {}}}
		op.Description = "Takes the role " + string(r.role) + "."
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, in)
		if err != nil {
			return nil, a.failure(ctx, err)
		}
		return out, nil
	})
}

// body is an answer that has one.
type body[T any] struct{ Body T }

// nothing is an answer, or a request, without content.
type nothing struct{}
