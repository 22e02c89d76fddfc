package console

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"lifeboat/internal/fleet/account"
)

// The provider's answer comes from another site, with which browsers send no strict
// cookie: what is kept for it is a lax one, and only its callback sees it.
const (
	flowCookie = "__Secure-lifeboat-flow"
	flowPath   = "/signin/provider"
	flowFor    = 10 * time.Minute
)

// signInView is what was typed, but for the secrets.
type signInView struct {
	Name, Next, Wrong, Provider string
}

func (c *Console) signInPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	next := inside(r.URL.Query().Get("next"))
	if v.know(r, false) == nil {
		return back(w, r, next)
	}
	return v.show(w, r, http.StatusOK, signInPage(v, signInView{Next: next, Provider: c.Accounts.Provider()}))
}

func (c *Console) signIn(w http.ResponseWriter, r *http.Request, v *visit) error {
	view := signInView{Name: strings.TrimSpace(r.PostFormValue("name")), Next: inside(r.PostFormValue("next")), Provider: c.Accounts.Provider()}
	key, err := c.Accounts.SignIn(r.Context(), view.Name, r.PostFormValue("password"), strings.ReplaceAll(r.PostFormValue("totp"), " ", ""), v.From)
	status := http.StatusUnprocessableEntity
	switch {
	case errors.Is(err, account.ErrWrong):
		view.Wrong = "That is not right: name, password, or the one-time password if you have one."
	case errors.Is(err, account.ErrBusy):
		status = http.StatusTooManyRequests
		view.Wrong = "Too many tries. Wait a few minutes, then try again."
	case err != nil:
		return err
	default:
		setCookie(w, key)
		return back(w, r, view.Next)
	}
	return v.show(w, r, status, signInPage(v, view))
}

func (c *Console) signOut(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := c.Accounts.SignOut(r.Context(), v.key); err != nil && !errors.Is(err, account.ErrSignedOut) {
		return err
	}
	setCookie(w, "")
	w.Header().Set("Clear-Site-Data", `"cache"`)
	return back(w, r, "/signin")
}

// setCookie gives the browser its session, or takes it away.
func setCookie(w http.ResponseWriter, key string) {
	k := &http.Cookie{Name: cookie, Value: key, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if key == "" {
		k.MaxAge = -1
	}
	http.SetCookie(w, k)
}

func (c *Console) toProvider(w http.ResponseWriter, r *http.Request, v *visit) error {
	if c.Accounts.Provider() == "" {
		return notFound("page")
	}
	to, keep, err := c.Accounts.ToProvider(r.Context())
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{Name: flowCookie, Value: keep, Path: flowPath, MaxAge: int(flowFor / time.Second), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func (c *Console) fromProvider(w http.ResponseWriter, r *http.Request, v *visit) error {
	if c.Accounts.Provider() == "" {
		return notFound("page")
	}
	again := &problem{http.StatusForbidden, "Signing in did not work", "It took too long, was begun elsewhere, or your account there has no part in this fleet. Begin again at the sign-in page."}
	kept, err := r.Cookie(flowCookie)
	if err != nil {
		return again
	}
	http.SetCookie(w, &http.Cookie{Name: flowCookie, Path: flowPath, MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	key, err := c.Accounts.FromProvider(r.Context(), r.URL.Query(), kept.Value, v.From)
	if errors.Is(err, account.ErrWrong) || errors.Is(err, account.ErrSignedOut) {
		return again
	}
	if err != nil {
		return err
	}
	setCookie(w, key)
	// A redirect would still belong to the provider's page, and the browser would not
	// send the strict cookie with it; a page of ours that goes on by itself does not.
	return v.show(w, r, http.StatusOK, signedInPage(v))
}
