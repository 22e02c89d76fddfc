package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"lifeboat/internal/fleet/account"
	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/standing"
	"lifeboat/internal/fleet/wire"
)

// deskRows is how many hosts the desk's search lists.
const deskRows = 20

// recovering is the kind of run that the desk watches.
const recovering = "recover"

// deskView is the recovery desk: whom to recover, and who recovers now.
type deskView struct {
	Name    string
	Hosts   []standing.Host
	More    int
	Running []running
}

func (c *Console) desk(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := deskView{Name: strings.TrimSpace(r.URL.Query().Get("name"))}
	hosts, _, _, err := c.look(r.Context())
	if err != nil {
		return err
	}
	for _, h := range hosts {
		if d.Name != "" && h.State != standing.Revoked && likeName(h.Host, d.Name) {
			d.Hosts = append(d.Hosts, h)
		}
	}
	d.More = max(0, len(d.Hosts)-deskRows)
	d.Hosts = d.Hosts[:min(len(d.Hosts), deskRows)]
	if d.Running, err = c.runningNow(r.Context(), recovering); err != nil {
		return err
	}
	return v.show(w, r, http.StatusOK, deskPage(v, d))
}

// deskLive sends the list of recoveries that go on whenever it changes.
func (c *Console) deskLive(w http.ResponseWriter, r *http.Request, v *visit) error {
	s, err := c.stream(w, r, v)
	if err != nil {
		return err
	}
	defer s.end()
	last := ""
	for number := 1; ; number++ {
		runs, err := c.runningNow(r.Context(), recovering)
		if err != nil {
			return s.fail(err)
		}
		known := ""
		for _, run := range runs {
			known += run.ID + " " + v.stateOf(run.Run) + "\n"
		}
		if known != last || number == 1 || s.idle() {
			last = known
			if err := s.send(strconv.Itoa(number), "recoveries", recoveries(v, runs)); err != nil {
				return nil
			}
		}
		if !s.wait(v) {
			return nil
		}
	}
}

// deskHostView is one host at the desk.
type deskHostView struct {
	standing.Host
	Newest  record.Version // Number 0: none yet
	Codes   []record.Code
	Running []record.Run
	Issued  *wire.IssuedCode // the code that was just made
	Missing bool             // the confirmation was
}

func (c *Console) readDeskHost(ctx context.Context, v *visit, id record.HostID) (deskHostView, error) {
	var d deskHostView
	err := c.Store.Read(ctx, func(r record.Reader) error {
		d = deskHostView{}
		h, err := r.Host(id)
		if err != nil {
			return found(err, "host")
		}
		systems, err := r.Protections(id)
		if err != nil {
			return fmt.Errorf("read how the systems of host %s are protected: %w", id, err)
		}
		d.Host = standing.OfHost(h, systems, v.At)
		versions, err := r.Versions(id)
		if err != nil {
			return fmt.Errorf("read the configurations of host %s: %w", id, err)
		}
		if len(versions) > 0 {
			d.Newest = versions[0]
		}
		if d.Codes, err = r.Codes(id); err != nil {
			return fmt.Errorf("read the codes of host %s: %w", id, err)
		}
		runs, err := r.Runs(id, record.Page{Limit: runRows})
		for _, run := range runs {
			if going(run) && run.Kind == recovering {
				d.Running = append(d.Running, run)
			}
		}
		return err
	})
	return d, err
}

func (c *Console) deskHost(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.readDeskHost(r.Context(), v, record.HostID(r.PathValue("host")))
	if err != nil {
		return err
	}
	return v.show(w, r, http.StatusOK, deskHostPage(v, d))
}

// issueCode makes a code and shows it, once: it is in this answer and nowhere else.
func (c *Console) issueCode(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := record.HostID(r.PathValue("host"))
	if r.PostFormValue("sure") == "" {
		d, err := c.readDeskHost(r.Context(), v, id)
		if err != nil {
			return err
		}
		d.Missing = true
		return v.show(w, r, http.StatusUnprocessableEntity, deskHostPage(v, d))
	}
	code, err := c.Actions.IssueCode(r.Context(), v.actor(), string(id))
	if err != nil {
		return said(err, "host")
	}
	d, err := c.readDeskHost(r.Context(), v, id)
	if err != nil {
		return err
	}
	d.Issued = &code
	return v.show(w, r, http.StatusOK, codePage(v, d))
}

func (c *Console) withdrawCodes(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := record.HostID(r.PathValue("host"))
	if err := c.Actions.RevokeCodes(r.Context(), v.actor(), string(id)); err != nil {
		return said(err, "host")
	}
	return back(w, r, deskURL(id))
}

// said turns what an action refused into a page with its words.
func said(err error, what string) error {
	switch {
	case errors.Is(err, action.ErrForbidden):
		return &problem{http.StatusForbidden, "This needs more than your role", sentence(err)}
	case errors.Is(err, action.ErrInvalid), errors.Is(err, action.ErrNoConfiguration):
		return refused(sentence(err))
	case errors.Is(err, account.ErrLast):
		return refused(sentence(err))
	case errors.Is(err, account.ErrWrong):
		return refused("The password is not right. Nothing was changed.")
	case errors.Is(err, record.ErrTaken):
		return refused("There is one of that name already.")
	}
	return found(err, what)
}

// sentence makes an error's words one.
func sentence(err error) string {
	words := strings.TrimPrefix(err.Error(), action.ErrInvalid.Error()+": ")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + shown(words[1:]) + "."
}

// stateOfCode is what became of a code, in a word.
func (v *visit) stateOfCode(c record.Code) string {
	switch {
	case !c.Spent.IsZero():
		return "spent"
	case !c.Expires.After(v.At):
		return "expired"
	}
	return "open"
}

func (v *visit) anyOpen(codes []record.Code) bool {
	for _, c := range codes {
		if v.stateOfCode(c) == "open" {
			return true
		}
	}
	return false
}

// by is who did something, without the kind of actor.
func by(actor string) string { return shown(strings.TrimPrefix(actor, "user:")) }

// actor is who does something, as the audit log names it.
func (v *visit) actor() action.Actor {
	return action.Actor{Name: "user:" + v.User, Role: v.Role, From: v.From}
}

// groups are a code's parts, which are read out and typed one after the other.
func groups(code string) []string {
	return strings.FieldsFunc(code, func(r rune) bool { return r == ' ' || r == '-' })
}
