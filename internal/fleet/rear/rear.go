// Package rear serves hosts that recover with Relax-and-Recover instead of
// Lifeboat: the archive that RECOVERY_UPDATE_URL names, and DRLM's interface, by
// which a ReaR host fetches its configuration and streams its log. What it
// serves is executed by root on the other side, so each host's files go only to
// that host's certificate, networks or window, and each fetch is audited.
//
// It stores nothing of its own and decides nothing about Lifeboat's own hosts.
package rear

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"time"

	"lifeboat/internal/fleet/record"
)

// File is one file of a ReaR host, for below the root of its rescue system.
type File struct {
	Path    string // relative and clean, below one of Roots
	Mode    uint32 // permission bits
	Content []byte
	Changed time.Time
}

// Roots are the directories whose files a ReaR host gets, and no others: what its
// archive holds is unpacked over / by root.
var Roots = []string{"etc/rear", "var/lib/rear"}

// Stock gives the files that a host last sent, secret ones too. ErrNotFound: none.
type Stock interface {
	Files(ctx context.Context, host record.HostID) ([]File, error)
}

// Options are what the handler needs.
type Options struct {
	Store record.Store
	Stock Stock
	Log   *slog.Logger
	Now   func() time.Time
	// From is the client's address, whatever stands between.
	From func(*http.Request) netip.Addr
	// Certified is the host whose certificate the client has shown and proved, if any.
	Certified func(*http.Request) (record.HostID, bool)
	// Done is closed when the server shuts down; log streams end then.
	Done <-chan struct{}
}

type server struct {
	Options
	streams chan struct{} // one element for each log that is being received
}

// maxStreams bounds the logs that are received at a time.
const maxStreams = 512

// New gives the handler of all paths of ReaR and DRLM:
//
//	GET /rear/NAME.rear_config.tgz           RECOVERY_UPDATE_URL of ReaR issue 841
//	GET /clients/NAME/config[/FILE]          drlm_import_runtime_config in ReaR's lib/drlm-functions.sh
//	PUT /clients/NAME/log/WORKFLOW/TIME      drlm_send_log, there
//
// ReaR wants the code 200; anything else it shows to the person and ends.
func New(o Options) http.Handler {
	s := &server{Options: o, streams: make(chan struct{}, maxStreams)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /rear/{archive}", s.archive)
	mux.HandleFunc("GET /clients/{name}/config", s.config)
	mux.HandleFunc("GET /clients/{name}/config/{file}", s.config)
	mux.HandleFunc("PUT /clients/{name}/log/{workflow}/{time}", s.log)
	return mux
}

// errRefused is all that a client learns, whether the host exists or not.
var errRefused = errors.New("not from here, not now, or no such host")

// admit finds the host by its name and says by which right the client acts for it.
func (s *server) admit(r *http.Request, name string) (record.Host, string, error) {
	var host record.Host
	var window record.Window
	now, from := s.Now(), s.From(r)
	err := s.Store.Read(r.Context(), func(tx record.Reader) (err error) {
		if host, err = tx.HostNamed(name); err != nil {
			return err
		}
		window, err = tx.Window(host.ID, now)
		if errors.Is(err, record.ErrNotFound) {
			window, err = record.Window{}, nil
		}
		return err
	})
	if errors.Is(err, record.ErrNotFound) {
		s.Log.Warn("rear: no such host", "name", name, "from", from)
		return host, "", errRefused
	}
	if err != nil {
		return host, "", err
	}
	if !host.Revoked.IsZero() {
		return host, "", s.refuse(r, host, "the host is revoked")
	}
	if id, ok := s.Certified(r); ok {
		if id == host.ID {
			return host, "certificate", nil
		}
		return host, "", s.refuse(r, host, "the certificate is another host's")
	}
	for _, network := range host.Networks {
		if prefix, err := netip.ParsePrefix(network); err == nil && prefix.Contains(from) {
			return host, "network " + network, nil
		}
	}
	if window.Expires.After(now) {
		return s.enter(r, host, from)
	}
	return host, "", s.refuse(r, host, "no certificate, none of its networks, no open window")
}

// enter lets the first client into a host's window, and then no other.
func (s *server) enter(r *http.Request, host record.Host, from netip.Addr) (record.Host, string, error) {
	taken := false
	err := s.Store.Change(r.Context(), func(tx record.Tx) ([]record.Entry, error) {
		window, err := tx.Window(host.ID, s.Now())
		if err != nil {
			return nil, err
		}
		switch window.Address {
		case from.String():
			return nil, nil
		case "":
			window.Address = from.String()
			return []record.Entry{s.entry(host, from, "rear.window", "first used")}, tx.PutWindow(window)
		}
		taken = true
		return nil, nil
	})
	switch {
	case errors.Is(err, record.ErrNotFound):
		return host, "", s.refuse(r, host, "its window has closed")
	case err != nil:
		return host, "", err
	case taken:
		return host, "", s.refuse(r, host, "its window belongs to another address")
	}
	return host, "window", nil
}

// refuse tells the reason to the log alone: whoever is refused learns none.
func (s *server) refuse(r *http.Request, host record.Host, why string) error {
	s.Log.Warn("rear: refused", "host", host.Name, "from", s.From(r), "path", r.URL.Path, "why", why)
	return errRefused
}

func (s *server) entry(host record.Host, from netip.Addr, action, detail string) record.Entry {
	return record.Entry{
		Time: s.Now(), Actor: "host:" + host.Name, Action: action, Object: host.Name, Detail: detail, From: from.String(),
	}
}

// files gives what a host may fetch. Whatever the store says, nothing outside Roots
// is served and no path that would leave the place where it is unpacked.
func (s *server) files(ctx context.Context, host record.HostID) ([]File, error) {
	all, err := s.Stock.Files(ctx, host)
	if err != nil {
		return nil, err
	}
	var served []File
	for _, f := range all {
		for _, root := range Roots {
			if path.Clean(f.Path) == f.Path && strings.HasPrefix(f.Path, root+"/") && !strings.ContainsAny(f.Path, "\x00\n\r") {
				served = append(served, f)
			}
		}
	}
	if len(served) == 0 {
		return nil, fmt.Errorf("files for ReaR: %w", record.ErrNotFound)
	}
	return served, nil
}

// answer tells an error as ReaR shows it: the code, and a line for its log.
func (s *server) answer(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errRefused):
		http.Error(w, "refused: "+errRefused.Error()+"; an operator can open a window for this host", http.StatusForbidden)
	case errors.Is(err, record.ErrNotFound):
		http.Error(w, "the host has sent no such file yet", http.StatusNotFound)
	case r.Context().Err() != nil:
	default:
		s.Log.Error("rear", "path", r.URL.Path, "error", err)
		http.Error(w, "the server cannot answer now; its log says why", http.StatusInternalServerError)
	}
}
