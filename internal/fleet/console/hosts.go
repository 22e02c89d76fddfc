package console

import (
	"errors"
	"net/http"
	"strings"

	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
)

// hostForm is what was typed to add a host, to be typed on where it was wrong.
type hostForm struct{ Name, Group, Serial, MACs, Wrong string }

func (c *Console) newHost(w http.ResponseWriter, r *http.Request, v *visit) error {
	return v.show(w, r, http.StatusOK, newHostPage(v, hostForm{}))
}

func (c *Console) addHost(w http.ResponseWriter, r *http.Request, v *visit) error {
	typed := func(field string) string { return strings.TrimSpace(r.PostFormValue(field)) }
	f := hostForm{Name: typed("name"), Group: typed("group"), Serial: typed("serial"), MACs: typed("macs")}
	macs := strings.FieldsFunc(f.MACs, func(r rune) bool { return r == ' ' || r == ',' })
	made, err := c.Actions.AddHost(r.Context(), v.actor(), wire.NewHost{Name: f.Name, Group: f.Group, Serial: f.Serial, MACs: macs})
	switch {
	case errors.Is(err, record.ErrTaken):
		f.Wrong = "There is a host of that name already."
	case errors.Is(err, action.ErrInvalid):
		f.Wrong = sentence(err)
	case err != nil:
		return said(err, "host")
	default:
		c.forget()
		return v.invite(w, r, made)
	}
	return v.show(w, r, http.StatusUnprocessableEntity, newHostPage(v, f))
}

func (c *Console) enrolHost(w http.ResponseWriter, r *http.Request, v *visit) error {
	made, err := c.Actions.Enrol(r.Context(), v.actor(), r.PathValue("host"), "")
	if err != nil {
		return said(err, "host")
	}
	return v.invite(w, r, made)
}

func (v *visit) invite(w http.ResponseWriter, r *http.Request, made wire.Invitation) error {
	command := "lifeboat join " + made.URL + " " + made.Token
	return v.show(w, r, http.StatusOK, invitationPage(v, made.Host.Name, string(made.Host.ID), command, made.Expires.UTC().Format("15:04")+" UTC"))
}

func (c *Console) revokeHost(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := record.HostID(r.PathValue("host"))
	var h record.Host
	err := c.Store.Read(r.Context(), func(rd record.Reader) (err error) { h, err = rd.Host(id); return err })
	if err != nil {
		return found(err, "host")
	}
	if strings.TrimSpace(r.PostFormValue("name")) != h.Name {
		return refused("The name that was typed is not this host's. Nothing was changed.")
	}
	if _, err := c.Actions.Revoke(r.Context(), v.actor(), string(id)); err != nil {
		return said(err, "host")
	}
	c.forget()
	return back(w, r, hostURL(id))
}
