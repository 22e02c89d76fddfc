package fleet

import (
	"net/http"
	"strings"
	"testing"

	"lifeboat/internal/fleet/account"
	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
)

func TestPeople(t *testing.T) {
	t.Parallel()
	p := start(t, func(o *Options) { o.People = account.New(o.Desk.Store, o.Desk.Keys.Age) })
	const password = "correct horse battery"
	admin := p.administrator
	anna := wire.NewPerson{Name: "Anna", Role: record.Administrator, Password: password}
	do(t, admin, http.MethodPost, "/users", anna)
	refused(t, http.StatusConflict, admin, http.MethodPost, "/users", anna)
	refused(t, http.StatusUnprocessableEntity, admin, http.MethodPost, "/users", wire.NewPerson{Name: "otto", Role: record.Viewer, Password: "short"})
	refused(t, http.StatusUnprocessableEntity, admin, http.MethodPost, "/users", wire.NewPerson{Name: "otto", Role: "root"})
	do(t, admin, http.MethodPost, "/users", wire.NewPerson{Name: "otto", Role: record.Viewer})

	cookie, err := p.People.SignIn(t.Context(), "anna", password, "", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	refused(t, http.StatusConflict, admin, http.MethodDelete, "/users/anna", nil)
	refused(t, http.StatusConflict, admin, http.MethodPut, "/users/anna/role", map[string]any{"role": "viewer"})
	do(t, admin, http.MethodDelete, "/users/anna/totp", nil)
	do(t, admin, http.MethodDelete, "/users/anna/sessions", nil)
	if _, _, err := p.People.Session(t.Context(), cookie, true); err == nil {
		t.Error("the session goes on")
	}
	do(t, admin, http.MethodPut, client.Path("users", "otto", "role"), map[string]any{"role": "operator"})
	do(t, admin, http.MethodPut, "/users/otto/password", map[string]any{"password": password + " 2"})
	do(t, admin, http.MethodPut, "/users/otto/disabled", map[string]any{"disabled": true})
	refused(t, http.StatusNotFound, admin, http.MethodPut, "/users/nobody/disabled", map[string]any{"disabled": true})

	list := ask[wire.List[map[string]any]](t, admin, http.MethodGet, "/users", nil)
	if len(list.Items) != 2 || list.Items[0]["password"] != true || list.Items[1]["disabled"] != true || list.Items[1]["role"] != "operator" {
		t.Errorf("people: %v", list.Items)
	}
	made := ask[wire.MadeToken](t, admin, http.MethodPost, "/tokens", wire.NewToken{Name: "ci", Role: record.Operator})
	operator := p.as(t, made.Text)
	refused(t, http.StatusForbidden, operator, http.MethodGet, "/users", nil)
	refused(t, http.StatusForbidden, operator, http.MethodPost, "/users", wire.NewPerson{Name: "x", Role: record.Administrator, Password: password})
	do(t, admin, http.MethodDelete, "/users/otto", nil)
	if log := p.log.String(); strings.Contains(log, password) || strings.Contains(log, "argon2") {
		t.Error("a password is in the log")
	}
}
