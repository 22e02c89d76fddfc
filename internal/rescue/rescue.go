// Package rescue brings a lost host its recovery configuration: it looks for the
// address, asks for this machine, has the answer judged by rescue/configuration, and
// puts the files in place. It recovers nothing itself and prints nothing: what
// happens is told to the caller, who asks people too.
package rescue

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/kit/typed"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/rescue/identity"
	"lifeboat/internal/rescue/source"
	"lifeboat/internal/runbook"
)

// Event is something that a person who waits should see.
type Event struct {
	Name string `json:"event"` // machine, source, asked, answered, waiting, configuration, secret, placed, warning
	Text string `json:"text"`
	URL  string `json:"url,omitempty"`
}

// Options say how to fetch. Tell, Machine and Keys are needed.
type Options struct {
	// Server is the id or name of the host that is to be recovered, as a person gave
	// it; "" is the one that this machine was.
	Server string
	// Place gives the address and where it comes from; it is asked again while the
	// network comes up, and "" is none yet.
	Place   func(context.Context, identity.Machine) (url, from string, err error)
	Machine func() (identity.Machine, error)
	Client  *source.Client
	Keys    []ed25519.PublicKey
	Static  bool
	Seen    *Memory
	// Patience is how long a network may take to come up.
	Patience time.Duration
	Tell     func(Event)
	// Choose asks which of several hosts this one is; nil: nobody is there.
	Choose func(context.Context, []source.Candidate) (record.HostID, error)
	// Code asks for the recovery code; wrong is why the last one was not taken.
	// typed.ErrNoCode goes on without secrets. Nil: nobody is there.
	Code func(ctx context.Context, wrong error) (typed.Code, error)
	Now  func() time.Time
	// pause is how long is waited before the second round; then longer and longer.
	pause time.Duration
}

// Fetched is what came, verified.
type Fetched struct {
	*configuration.Configuration
	Secret *configuration.Secret // nil without a code
	URL    string
	Shared []string // by what the host was recognised: serial, uuid, mac, hostname
}

// ErrNothing says that no server had a configuration for this machine.
var ErrNothing = errors.New("no recovery configuration was found")

// errNoAddress is a round in which no address was known.
var errNoAddress = errors.New("the address of the recovery configuration is not known: give it (lifeboat rescue fetch https://fleet.example.com:8444), write it into /etc/lifeboat/rescue.yaml, or have it come by kernel command line or DHCP")

// Fetch asks until there is an answer, and verifies it. What is refused is a
// *runbook.RefusedError; nothing has been written then.
func Fetch(ctx context.Context, o Options) (*Fetched, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.pause == 0 {
		o.pause = time.Second
	}
	if len(o.Keys) == 0 {
		return nil, runbook.Refuse("", "no signing key of the fleet is pinned, so nothing that is fetched could be trusted: write it into /etc/lifeboat/rescue.yaml (keys: [ed25519:…]) or give --fleet-key; `lifeboat serve` prints it")
	}
	f := &fetch{Options: o}
	f.machine(ctx)
	got, err := f.rounds(ctx, source.Request{})
	if err != nil {
		return nil, refusal(err)
	}
	if err := f.secret(ctx, got); err != nil {
		return nil, refusal(err)
	}
	if o.Seen != nil {
		if err := o.Seen.Remember(got.Host, configuration.Seen{Version: got.Version, Issued: got.Issued}); err != nil {
			o.Tell(Event{Name: "warning", Text: fmt.Sprintf("an older configuration would not be noticed next time: %v", err)})
		}
	}
	return got, nil
}

// refusal gives what must not be used its exit code.
func refusal(err error) error { return refused(err, "nothing was written") }

func refused(err error, since string) error {
	for _, e := range []error{
		configuration.ErrContent, configuration.ErrFormat, configuration.ErrSignature, configuration.ErrNonce,
		configuration.ErrStatic, configuration.ErrExpired, configuration.ErrOlder, configuration.ErrOtherHost,
	} {
		if errors.Is(err, e) {
			if e == configuration.ErrOlder { //nolint:errorlint // it is one of the list
				err = fmt.Errorf("%w. Where the fleet's server itself was put back to an earlier day, that is why: an administrator knows; then remove rescue.seen.json, which stands beside the medium's rescue.yaml, and fetch again", err)
			}
			return runbook.Refuse("", "%v; %s", err, since)
		}
	}
	if source.Refused(err) {
		return runbook.Refuse("", "%v; %s", err, since)
	}
	return err
}

// fetch is one call of Fetch.
type fetch struct {
	Options
	me     identity.Machine
	told   string
	chosen record.HostID // by a person, of several
}

// machine looks at this one, and tells what is new.
func (f *fetch) machine(context.Context) {
	m, err := f.Machine()
	if err != nil {
		f.Tell(Event{Name: "warning", Text: err.Error()})
		return
	}
	f.me = m
	var lines []string
	for _, c := range m.Cards {
		state := "down"
		if c.Up {
			state = "up"
		}
		lines = append(lines, fmt.Sprintf("card %s %s (%s)", c.Name, c.MAC, state))
	}
	for _, part := range []struct{ what, value string }{{"serial number", m.Serial}, {"UUID", m.UUID}, {"name", m.Hostname}} {
		if part.value != "" {
			lines = append(lines, part.what+" "+part.value)
		}
	}
	for _, r := range m.Refused {
		lines = append(lines, fmt.Sprintf("%s %q does not count: %s", r.What, r.Value, r.Why))
	}
	if text := strings.Join(lines, "; "); text != f.told {
		f.told = text
		f.Tell(Event{Name: "machine", Text: firstOf(text, "nothing says which machine this is")})
	}
}

// rounds asks round after round while the network comes up.
func (f *fetch) rounds(ctx context.Context, r source.Request) (*Fetched, error) {
	end := f.Now().Add(f.Patience)
	pause := f.pause
	for {
		got, wait, err := f.round(ctx, r)
		if err == nil || !temporary(err) || ctx.Err() != nil {
			return got, err
		}
		if !f.Now().Before(end) {
			return nil, err
		}
		pause = max(pause, wait)
		f.Tell(Event{Name: "waiting", Text: fmt.Sprintf("%v; trying again in %v", err, pause)})
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
		pause = min(pause*2, 10*time.Second)
		f.machine(ctx)
	}
}

// temporary tells errors that a network coming up may mend.
func temporary(err error) bool {
	var busy *source.Busy
	switch {
	case errors.As(err, &busy), errors.Is(err, errNoAddress), errors.Is(err, source.ErrMissing):
		return true
	case errors.Is(err, source.ErrAddress), source.Refused(err), errors.Is(err, ErrNothing), errors.Is(err, source.ErrCode), errors.Is(err, source.ErrSpent), errors.Is(err, source.ErrOther), errors.Is(err, errVerify), errors.Is(err, errChoose), errors.Is(err, runbook.ErrRefused):
		return false
	}
	return true
}

var (
	errVerify = errors.New("the answer was refused")
	errChoose = errors.New("several hosts may be meant")
)

// round asks every address once. A refused answer ends it: somebody may be playing
// tricks, and another address would be one more chance for them.
func (f *fetch) round(ctx context.Context, r source.Request) (*Fetched, time.Duration, error) {
	place, from, err := f.Place(ctx, f.me)
	if err != nil {
		return nil, 0, err
	}
	if place == "" {
		return nil, 0, errNoAddress
	}
	targets, err := source.Expand(place, f.me.Identity, firstOf(string(f.chosen), f.Server))
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", from, err)
	}
	f.Tell(Event{Name: "source", Text: fmt.Sprintf("%s, from %s", place, from), URL: place})
	var trouble error
	var wait time.Duration
	for _, t := range targets {
		got, err := f.ask(ctx, t, r)
		var busy *source.Busy
		switch {
		case err == nil:
			return got, 0, nil
		case errors.Is(err, source.ErrUnknown):
			f.Tell(Event{Name: "answered", Text: err.Error(), URL: t.URL})
			continue
		case !temporary(err), ctx.Err() != nil:
			return nil, 0, err
		case errors.As(err, &busy):
			wait = max(wait, busy.After)
		}
		trouble = errors.Join(trouble, err)
	}
	if trouble != nil {
		return nil, wait, trouble
	}
	return nil, 0, fmt.Errorf("%w: %s does not know this machine by what was sent; add what identifies it there, or name the host: lifeboat rescue fetch NAME", ErrNothing, place)
}

// ask asks one address and verifies the answer.
func (f *fetch) ask(ctx context.Context, t source.Target, r source.Request) (*Fetched, error) {
	var random [configuration.NonceSize]byte
	_, _ = rand.Read(random[:]) // never fails
	if r.Nonce == "" {
		r.Nonce = hex.EncodeToString(random[:])
	}
	f.Tell(Event{Name: "asked", Text: firstOf(strings.Join(t.Uses, ", "), "nothing of this machine was sent"), URL: t.URL})
	a, err := f.Client.Get(ctx, t.URL, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.URL, err)
	}
	if len(a.Candidates) > 0 {
		return f.choose(ctx, a.Candidates, r)
	}
	return f.verify(a, t, r)
}

func (f *fetch) choose(ctx context.Context, from []source.Candidate, r source.Request) (*Fetched, error) {
	if f.chosen != "" {
		return nil, fmt.Errorf("%w: %w although one was named", errChoose, source.ErrAnswer)
	}
	if f.Choose == nil {
		names := make([]string, len(from))
		for i, c := range from {
			names[i] = c.Name
		}
		return nil, runbook.Refuse("", "several hosts may be meant: %s; name one: lifeboat rescue fetch NAME; nothing was written", strings.Join(names, ", "))
	}
	id, err := f.Choose(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errChoose, err)
	}
	f.chosen = id
	got, _, err := f.round(ctx, source.Request{Lookup: r.Lookup})
	return got, err
}

func (f *fetch) verify(a source.Answer, t source.Target, r source.Request) (*Fetched, error) {
	var shared []string
	e := configuration.Expected{
		Keys: f.Keys, Nonce: r.Nonce, Static: f.Static, Now: f.Now(),
		Host: func(s *configuration.Statement, open *configuration.Open) (err error) {
			shared, err = f.meant(s, open, t.URL)
			return err
		},
	}
	if a.Static {
		e.Nonce = ""
	}
	if f.Seen != nil {
		e.Seen = f.Seen.Of
	}
	c, err := configuration.Verify(a.Envelope, e)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", t.URL, errVerify, err)
	}
	return &Fetched{Configuration: c, URL: t.URL, Shared: shared}, nil
}

// meant tells whether the answer is for the host that is to be recovered: the one
// that a person named, else the one that this machine was.
//
// Which of several alike was meant, the server says, where nobody can get in between.
// Elsewhere somebody may have asked it for another one that has the same serial number:
// there, nothing that tells machines apart may differ.
func (f *fetch) meant(s *configuration.Statement, open *configuration.Open, url string) ([]string, error) {
	shared := identity.Shared(f.me.Identity, open.Identity)
	differ := identity.Differ(f.me.Identity, open.Identity)
	if s.Matched != nil { // the server says what of the host is not another's as well
		shared = identity.Shared(f.me.Identity, *s.Matched)
	}
	named := firstOf(string(f.chosen), f.Server)
	scheme, _, _ := strings.Cut(url, ":")
	switch {
	case named == "" && len(shared) > 0 && len(differ) > 0 && (scheme == "http" || scheme == "nfs"):
		return nil, fmt.Errorf("%w: %s has the same %s and another %s, and over %s: somebody in between may have asked for another host than this; ask over https, or name the host: lifeboat rescue fetch %s",
			configuration.ErrOtherHost, s.HostName, strings.Join(shared, ", "), strings.Join(differ, ", "), scheme, s.HostName)
	case named == "" && len(shared) > 0:
		return shared, nil
	case named == "":
		return nil, fmt.Errorf("%w: %s had neither this machine's serial number, UUID, cards nor name; if this machine is to become it, name it: lifeboat rescue fetch %s", configuration.ErrOtherHost, s.HostName, s.HostName)
	case strings.EqualFold(named, string(s.Host)), strings.EqualFold(named, s.HostName):
		return shared, nil
	}
	return nil, fmt.Errorf("%w: %s was asked for, and %s (%s) came", configuration.ErrOtherHost, named, s.HostName, s.Host)
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
