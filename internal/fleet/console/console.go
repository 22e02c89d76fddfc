//go:generate sh -c "go tool templ generate && go tool gofumpt -w *_templ.go"

// Package console is the fleet server's pages for people: the fleet at a glance, one
// host, one run live, the recovery desk, people and the audit log. Pages are made on
// the server and can be read without JavaScript; htmx keeps them fresh. What changes
// something asks package account or an Actions, which the API uses too: no rule of
// the fleet, no cryptography and no SQL may enter here.
package console

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"lifeboat/internal/fleet/record"
)

// Options says what the console stands on. Store, Accounts and Actions are needed.
type Options struct {
	Store    record.Store
	Accounts Accounts
	Actions  Actions
	Name     string // of the fleet, in titles
	// AuditKeys are the public keys of the servers, one of which has signed the newest
	// entry of the audit log. None: signatures are not looked at.
	AuditKeys []ed25519.PublicKey
	URL       string           // where rescue systems reach this server; "" leaves that out
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // nil: slog.Default
	Poll      time.Duration    // how often a live page looks for news; 0 is a second
	Streams   int              // how many live pages at a time; 0 is 200
}

// Console serves the pages; it is meant for "/". It is safe for concurrent use.
type Console struct {
	Options
	mux       *http.ServeMux
	foreign   *http.CrossOriginProtection
	overall   overview
	chain     chain
	streams   chan struct{} // a place for each live page
	heartbeat time.Duration
	ctx       context.Context
	close     context.CancelFunc
}

// New makes a console.
func New(o Options) *Console {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.Streams == 0 {
		o.Streams = 200
	}
	if o.Name == "" {
		o.Name = "Fleet"
	}
	c := &Console{Options: o, mux: http.NewServeMux(), foreign: http.NewCrossOriginProtection(), streams: make(chan struct{}, o.Streams), heartbeat: heartbeat}
	c.ctx, c.close = context.WithCancel(context.Background())
	c.routes()
	return c
}

// Close ends the live pages, which would keep a server from shutting down: hand it to
// http.Server.RegisterOnShutdown. Browsers come back by themselves.
func (c *Console) Close() { c.close() }

func (c *Console) routes() {
	c.mux.HandleFunc("GET /assets/{name}", serveAsset)
	c.mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, asset("icon.svg"), http.StatusMovedPermanently)
	})

	c.open("GET /signin", c.signInPage)
	c.open("POST /signin", c.signIn)
	c.open("GET /signin/provider", c.toProvider)
	c.open("GET /signin/provider/callback", c.fromProvider)

	c.page("GET /{$}", record.Viewer, c.glance)
	c.page("GET /hosts/{host}", record.Viewer, c.host)
	c.page("GET /hosts/{host}/live", record.Viewer, c.hostLive)
	c.page("GET /hosts/{host}/runs/{run}", record.Viewer, c.run)
	c.page("GET /hosts/{host}/runs/{run}/live", record.Viewer, c.runLive)
	c.page("GET /hosts/{host}/configuration/{version}", record.Viewer, c.configuration)
	c.page("GET /audit", record.Viewer, c.audit)
	c.page("POST /audit/check", record.Viewer, c.checkAudit)
	c.page("POST /signout", record.Viewer, c.signOut)
	c.page("GET /account", record.Viewer, c.account)
	c.page("POST /account/{what}", record.Viewer, c.changeAccount)

	c.page("GET /desk", record.Operator, c.desk)
	c.page("GET /desk/live", record.Operator, c.deskLive)
	c.page("GET /desk/{host}", record.Operator, c.deskHost)
	c.page("POST /desk/{host}/code", record.Operator, c.issueCode)
	c.page("POST /desk/{host}/withdraw", record.Operator, c.withdrawCodes)
	c.page("GET /hosts", record.Operator, c.newHost)
	c.page("POST /hosts", record.Operator, c.addHost)
	c.page("POST /hosts/{host}/enrol", record.Operator, c.enrolHost)

	c.page("POST /hosts/{host}/revoke", record.Administrator, c.revokeHost)
	c.page("GET /people", record.Administrator, c.people)
	c.page("POST /people", record.Administrator, c.addPerson)
	c.page("GET /people/{name}", record.Administrator, c.person)
	c.page("POST /people/{name}", record.Administrator, c.changePerson)
	c.page("POST /tokens", record.Administrator, c.addToken)
	c.page("POST /tokens/{id}/remove", record.Administrator, c.removeToken)

	c.open("GET /", func(w http.ResponseWriter, r *http.Request, v *visit) error { return notFound("page") })
}

// ServeHTTP answers a browser.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin") // no-referrer would make browsers hide the Origin of forms
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	c.mux.ServeHTTP(w, r)
}

// problem is an error whose words are for the person at the browser.
type problem struct {
	status      int
	title, text string
}

func (p *problem) Error() string { return p.title + ": " + p.text }

func notFound(what string) error {
	return &problem{http.StatusNotFound, "There is no such " + what, "It may have been removed, or the address was mistyped."}
}

func refused(text string) error {
	return &problem{http.StatusUnprocessableEntity, "That cannot be done", text}
}

// found turns the store's word for nothing into a page that says so.
func found(err error, what string) error {
	if errors.Is(err, record.ErrNotFound) {
		return notFound(what)
	}
	return err
}
