package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
)

// What a lost machine asks, and what goes with its request.
const (
	RecoveryPath = "/recovery/v1/configuration"
	NonceHeader  = "Lifeboat-Nonce"
	CodeHeader   = "Lifeboat-Code" // what is derived of a recovery code to look it up
)

// maxQuery bounds what a machine says of itself, in bytes.
const maxQuery = 8 << 10

// codesOf counts an address' wrong codes apart from those of people and programs there.
func codesOf(from string) string { return "codes of " + from }

// recover gives a lost machine its configuration. It knows no more of who asks than
// what anybody may say, so what it gives without a code holds no secret.
func (a *API) recover(w http.ResponseWriter, r *http.Request) {
	from := Address(r)
	if !a.limits.recovery(from) {
		tooMany(w)
		return
	}
	if len(r.URL.RawQuery) > maxQuery {
		problem(w, http.StatusRequestURITooLong, "that is more than a machine has to say of itself")
		return
	}
	q := r.URL.Query()
	request := action.Request{
		ID: q.Get("id"), Nonce: r.Header.Get(NonceHeader), Lookup: r.Header.Get(CodeHeader), From: from,
		Identity: record.Identity{Hostname: q.Get("hostname"), Serial: q.Get("serial"), UUID: q.Get("uuid"), MACs: macs(q["mac"])},
	}
	envelope, err := a.desk.Recover(r.Context(), request)
	var choice *action.ChoiceError
	switch {
	case errors.As(err, &choice):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusMultipleChoices)
		_ = json.NewEncoder(w).Encode(wire.Candidates{Candidates: choice.Candidates})
	// Behind one address there may be many machines, so a right code is answered whatever
	// was asked from there before; nobody finds one by trying.
	case (errors.Is(err, record.ErrSpent) || errors.Is(err, action.ErrOtherCode)) && !a.limits.mayFail(codesOf(from)):
		tooMany(w)
	case errors.Is(err, record.ErrSpent):
		a.limits.failed(codesOf(from))
		problem(w, http.StatusGone, "the recovery code is unknown, was used already, or has expired; an operator of the fleet issues another (lifeboat host code)")
	case errors.Is(err, action.ErrOtherCode):
		a.limits.failed(codesOf(from))
		problem(w, http.StatusConflict, err.Error())
	case errors.Is(err, action.ErrNoConfiguration):
		problem(w, http.StatusNotFound, err.Error())
	case errors.Is(err, record.ErrNotFound):
		a.log.WarnContext(r.Context(), "a machine got no recovery configuration", "from", from, "why", err)
		problem(w, http.StatusNotFound, "no host of the fleet is this machine, or it has sent no recovery configuration yet")
	case err != nil:
		a.answer(w, r, err)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(envelope)
	}
}

// macs takes addresses one by one, or several in one value.
func macs(values []string) []string {
	var all []string
	for _, v := range values {
		all = append(all, strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	return all[:min(len(all), wire.MaxMACs)]
}
