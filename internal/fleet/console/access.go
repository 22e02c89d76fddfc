package console

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"

	"lifeboat/internal/fleet/account"
	"lifeboat/internal/fleet/record"
)

// Cookie is the name of the session's cookie, for whoever else takes sessions.
const Cookie = cookie

// cookie names the session's cookie. The prefix makes browsers insist on TLS, this
// host and the whole of it (RFC 6265bis, 4.1.3.2).
const cookie = "__Host-lifeboat"

// maxForm bounds what a form may send.
const maxForm = 64 << 10

// visit is one request of one person.
type visit struct {
	*Console
	User string // "" is nobody
	Role record.Role
	From string // address
	Path string
	CSRF string
	user record.User
	key  string // the cookie's value
	At   time.Time
}

// May tells whether the person has a role.
func (v *visit) May(role record.Role) bool { return v.Role.May(role) }

type handler func(w http.ResponseWriter, r *http.Request, v *visit) error

// open serves what needs no session.
func (c *Console) open(pattern string, h handler) {
	c.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Console: c, Path: r.URL.Path, At: c.Now()}
		v.From = address(r)
		err := c.fromHere(w, r)
		if err == nil {
			err = h(w, r, v)
		}
		c.failed(w, r, v, err)
	})
}

// page serves what needs a session of somebody with a role.
func (c *Console) page(pattern string, role record.Role, h handler) {
	c.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Console: c, Path: r.URL.Path, At: c.Now()}
		v.From = address(r)
		c.failed(w, r, v, func() error {
			if err := c.fromHere(w, r); err != nil {
				return err
			}
			// A live page that comes back by itself is nobody at work.
			live := strings.HasSuffix(pattern, "/live")
			if err := v.know(r, !live); errors.Is(err, account.ErrSignedOut) {
				c.toSignIn(w, r)
				return nil
			} else if err != nil {
				return err
			}
			if r.Method == http.MethodPost {
				token := r.Header.Get("Lifeboat-CSRF")
				if token == "" {
					token = r.PostFormValue("csrf")
				}
				if v.CSRF == "" || subtle.ConstantTimeCompare([]byte(token), []byte(v.CSRF)) != 1 {
					return &problem{http.StatusForbidden, "This form is no longer good", "Go back, load the page again, and send the form once more. Nothing was changed."}
				}
			}
			if !v.May(role) {
				return &problem{http.StatusForbidden, "This needs more than your role", "It takes the role " + string(role) + "; yours is " + string(v.Role) + ". An administrator can change that."}
			}
			return h(w, r, v)
		}())
	})
}

// fromHere refuses what another site's page made the browser send, and reads the form.
// Every browser says with a form where it comes from; who says nothing is none.
func (c *Console) fromHere(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return nil
	}
	err := c.foreign.Check(r)
	if err != nil || r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" {
		return &problem{http.StatusForbidden, "This came from another page", "A form counts only when it was filled in here. Nothing was changed."}
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return &problem{http.StatusForbidden, "This came from another page", "A form counts only when it was filled in here. Nothing was changed."}
		}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return &problem{http.StatusBadRequest, "The form could not be read", "It is too long or was cut off. Nothing was changed."}
	}
	return nil
}

// know finds out who is there. touch: a person is at work, so that the session goes on.
func (v *visit) know(r *http.Request, touch bool) error {
	k, err := r.Cookie(cookie)
	if err != nil {
		return account.ErrSignedOut
	}
	s, u, err := v.Accounts.Session(r.Context(), k.Value, touch)
	if err != nil {
		return err
	}
	v.User, v.Role, v.CSRF, v.key, v.user = u.Name, u.Role, s.CSRF, k.Value, u
	return nil
}

// toSignIn sends a browser to the sign-in page, and afterwards to where it wanted.
func (c *Console) toSignIn(w http.ResponseWriter, r *http.Request) {
	to := "/signin"
	if r.Method == http.MethodGet && r.URL.Path != "/" && !strings.HasSuffix(r.Pattern, "/live") {
		to += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	switch {
	case strings.HasSuffix(r.Pattern, "/live"):
		w.WriteHeader(http.StatusNoContent) // an EventSource takes that for the end
	case r.Header.Get("HX-Request") != "":
		w.Header().Set("HX-Redirect", to)
	default:
		http.Redirect(w, r, to, http.StatusSeeOther)
	}
}

// inside keeps a redirect on this server: a path, and nothing that browsers take for
// more.
func inside(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\t\r\n") {
		return "/"
	}
	return path
}

// failed shows what went wrong. What is nobody's business at the browser is logged.
func (c *Console) failed(w http.ResponseWriter, r *http.Request, v *visit, err error) {
	var p *problem
	switch {
	case err == nil || r.Context().Err() != nil:
		return
	case errors.As(err, &p):
	case errors.Is(err, account.ErrBusy):
		p = &problem{http.StatusTooManyRequests, "Too many at once", "Wait a minute and try again."}
	default:
		c.Log.Error("console: a page failed", "method", r.Method, "path", r.URL.Path, "error", err)
		p = &problem{http.StatusInternalServerError, "Something went wrong here", "The server's log says what. Try again; if it stays so, look there."}
		if errors.Is(err, record.ErrFull) {
			p = &problem{http.StatusInsufficientStorage, "The server's disk is full", "Nothing can be written until there is room on it. What is there can be read."}
		}
	}
	if v.User == "" && p.status != http.StatusForbidden {
		_ = v.know(r, false) // for the menu; without it the page does as well
	}
	_ = v.show(w, r, p.status, problemPage(v, p))
}

// show writes a page once it is whole, so that an error half-way is a whole page too.
func (v *visit) show(w http.ResponseWriter, r *http.Request, status int, page templ.Component) error {
	var b bytes.Buffer
	if err := page.Render(r.Context(), &b); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // who has gone reads nothing
	return nil
}

// back sends the browser to a page after a change, so that loading it again does not
// change it again.
func back(w http.ResponseWriter, r *http.Request, to string) error {
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
