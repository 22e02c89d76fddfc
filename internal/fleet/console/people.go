package console

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"rsc.io/qr"

	"lifeboat/internal/fleet/account"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
)

// roles are those that a form offers.
var roles = []record.Role{record.Viewer, record.Operator, record.Administrator}

// peopleView is who and what may act in the fleet.
type peopleView struct {
	Users  []record.User
	Tokens []record.Token
	Made   *wire.MadeToken // a token that was just made
	Wrong  string
}

func (c *Console) people(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showPeople(w, r, v, http.StatusOK, peopleView{})
}

func (c *Console) showPeople(w http.ResponseWriter, r *http.Request, v *visit, status int, p peopleView) error {
	var err error
	if p.Users, err = c.Accounts.List(r.Context()); err != nil {
		return err
	}
	err = c.Store.Read(r.Context(), func(rd record.Reader) (err error) { p.Tokens, err = rd.Tokens(); return err })
	if err != nil {
		return fmt.Errorf("read the tokens: %w", err)
	}
	slices.SortFunc(p.Tokens, func(a, b record.Token) int { return strings.Compare(a.Name, b.Name) })
	return v.show(w, r, status, peoplePage(v, p))
}

func (c *Console) addPerson(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := strings.TrimSpace(r.PostFormValue("name"))
	err := c.Accounts.Add(r.Context(), v.actor(), name, record.Role(r.PostFormValue("role")), r.PostFormValue("password"))
	if err != nil {
		return said(err, "user")
	}
	return back(w, r, "/people")
}

// changePerson does with a person what the button that was pressed says.
func (c *Console) changePerson(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := r.PathValue("name")
	ctx, a := r.Context(), c.Accounts
	var err error
	switch r.PostFormValue("do") {
	case "role":
		err = a.SetRole(ctx, v.actor(), name, record.Role(r.PostFormValue("role")))
	case "password":
		err = a.SetPassword(ctx, v.actor(), name, r.PostFormValue("password"))
	case "disable":
		err = a.Disable(ctx, v.actor(), name, true)
	case "enable":
		err = a.Disable(ctx, v.actor(), name, false)
	case "totp":
		err = a.RemoveTOTP(ctx, v.actor(), name)
	case "signout":
		err = a.SignOutEverywhere(ctx, v.actor(), name)
	case "remove":
		if strings.TrimSpace(r.PostFormValue("name")) != name {
			return refused("The name that was typed is not that of the account. Nothing was changed.")
		}
		if err = a.Remove(ctx, v.actor(), name); err == nil {
			return back(w, r, "/people")
		}
	default:
		return notFound("form")
	}
	if err != nil {
		return said(err, "user")
	}
	return back(w, r, personURL(name))
}

func (c *Console) person(w http.ResponseWriter, r *http.Request, v *visit) error {
	users, err := c.Accounts.List(r.Context())
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.Name == r.PathValue("name") {
			return v.show(w, r, http.StatusOK, personPage(v, u))
		}
	}
	return notFound("user")
}

// addToken makes a token and shows it, once.
func (c *Console) addToken(w http.ResponseWriter, r *http.Request, v *visit) error {
	made, err := c.Actions.AddToken(r.Context(), v.actor(), wire.NewToken{
		Name: strings.TrimSpace(r.PostFormValue("name")), Role: record.Role(r.PostFormValue("role")), Valid: r.PostFormValue("valid"),
	})
	if err != nil {
		return said(err, "token")
	}
	return c.showPeople(w, r, v, http.StatusOK, peopleView{Made: &made})
}

func (c *Console) removeToken(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := c.Actions.RemoveToken(r.Context(), v.actor(), r.PathValue("id")); err != nil {
		return said(err, "token")
	}
	return back(w, r, "/people")
}

// accountView is what a person sees of the own account.
type accountView struct {
	record.User
	Wrong  string
	Secret string // of one-time passwords that are being set up
	Code   qrCode
}

func (c *Console) account(w http.ResponseWriter, r *http.Request, v *visit) error {
	return v.show(w, r, http.StatusOK, accountPage(v, accountView{User: v.user}))
}

func (c *Console) changeAccount(w http.ResponseWriter, r *http.Request, v *visit) error {
	view := accountView{User: v.user}
	var err error
	switch r.PathValue("what") {
	case "password":
		if r.PostFormValue("password") != r.PostFormValue("again") {
			view.Wrong = "The two new passwords differ. Nothing was changed."
			return v.show(w, r, http.StatusUnprocessableEntity, accountPage(v, view))
		}
		err = c.Accounts.ChangePassword(r.Context(), v.actor(), v.User, r.PostFormValue("old"), r.PostFormValue("password"))
	case "totp":
		if err := view.setUp(v); err != nil {
			return err
		}
		return v.show(w, r, http.StatusOK, accountPage(v, view))
	case "confirm":
		code := strings.ReplaceAll(r.PostFormValue("totp"), " ", "")
		err = c.Accounts.ConfirmTOTP(r.Context(), v.actor(), v.User, r.PostFormValue("secret"), code)
	case "signout":
		err = c.Accounts.SignOutEverywhere(r.Context(), v.actor(), v.User)
	default:
		return notFound("form")
	}
	switch {
	case errors.Is(err, account.ErrWrong) && r.PathValue("what") == "confirm":
		view.Wrong = "That one-time password is not right. Set it up anew, and see that the clocks agree."
	case errors.Is(err, account.ErrWrong):
		view.Wrong = "The present password is not right. Nothing was changed."
	case err != nil:
		return said(err, "user")
	default: // each of these ends all sessions
		setCookie(w, "")
		return back(w, r, "/signin")
	}
	return v.show(w, r, http.StatusUnprocessableEntity, accountPage(v, view))
}

// setUp makes the secret of one-time passwords, which counts once it is confirmed.
func (a *accountView) setUp(v *visit) error {
	secret, url, err := v.Accounts.NewTOTP(v.User, v.Name)
	if err != nil {
		return err
	}
	code, err := qr.Encode(url, qr.M)
	if err != nil {
		return fmt.Errorf("draw the code of one-time passwords: %w", err)
	}
	a.Secret, a.Code = secret, qrCode{code}
	return nil
}

// qrCode is drawn as one path: the policy forbids pictures that a page brings along.
type qrCode struct{ *qr.Code }

func (q qrCode) path() string {
	var b strings.Builder
	for y := range q.Size {
		for x := range q.Size {
			if q.Black(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x, y)
			}
		}
	}
	return b.String()
}
