package test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/kit/typed"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/rescue/source"
)

// fleetDouble is the command `fleet start DIR`: a fleet that signs the files in
// DIR/open, and with the code those in DIR/secret, as the configuration of the host
// smt1, which is whatever machine asks. The file DIR/mode says how it behaves; without
// it the fleet is honest.
type fleetDouble struct {
	dir    string
	code   typed.Code
	signer *configuration.Signer
	mu     sync.Mutex
	kept   []byte // for replays
	spent  string // the nonce
}

const doubleHost = record.HostID("000102030405060708090a0b0c0d0e0f")

func fleet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || args[0] != "start" && args[0] != "keys" {
		ts.Fatalf("usage: fleet start|keys DIR")
	}
	if args[0] == "keys" { // of a real fleet, in DIR
		settings, err := keys.NewSettings("", []string{"fleet.example.com"})
		if err != nil {
			ts.Fatalf("%v", err)
		}
		k, err := keys.Create(ts.MkAbs(args[1]), settings, time.Now())
		if err != nil {
			ts.Fatalf("%v", err)
		}
		ts.Setenv("FLEET_KEY", k.SigningKey())
		return
	}
	f := &fleetDouble{dir: ts.MkAbs(args[1]), code: typed.NewCode(), signer: configuration.NewSigner(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)))}
	server := httptest.NewServer(f)
	ts.Defer(server.Close)
	ts.Setenv("FLEET_URL", server.URL)
	ts.Setenv("FLEET_KEY", configuration.FormatKey(f.signer.Public()))
	ts.Setenv("FLEET_CODE", f.code.String())
	// What a medium without a network has.
	s, err := f.statement(&http.Request{Header: http.Header{}})
	if err != nil {
		ts.Fatalf("%v", err)
	}
	s.Static, s.Nonce = true, ""
	envelope, err := s.Sign(f.signer)
	if err == nil {
		err = os.WriteFile(filepath.Join(f.dir, "static.json"), envelope, 0o600)
	}
	if err != nil {
		ts.Fatalf("%v", err)
	}
}

// files are those of a directory, as they are to stand on the machine.
func (f *fleetDouble) files(part string, mode fs.FileMode) (list []configuration.File, err error) {
	root := filepath.Join(f.dir, part)
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		list = append(list, configuration.File{Path: strings.TrimPrefix(name, root), Mode: mode, Content: content})
		return err
	})
	return list, err
}

func (f *fleetDouble) statement(r *http.Request) (*configuration.Statement, error) {
	q := r.URL
	identity := record.Identity{Hostname: "smt1.example.com"}
	if q != nil {
		identity.MACs = q.Query()["mac"]
	}
	files, err := f.files("open", 0o644)
	if err != nil {
		return nil, err
	}
	o := &configuration.Open{
		Format: configuration.Format, Identity: identity, Files: files,
		Systems:      []configuration.System{{Name: "site", Profile: "site", Repositories: []string{"main"}}, {Name: "more", Profile: "more", Repositories: []string{"main"}}},
		Repositories: []configuration.Repository{{Name: "main", Location: filepath.Join(filepath.Dir(f.dir), "repository")}},
	}
	text, err := o.Encode()
	now := time.Now()
	return &configuration.Statement{
		Host: doubleHost, HostName: "smt1", Version: 7, Created: now.Add(-5 * time.Hour), Issued: now, Expires: now.Add(10 * time.Minute),
		Nonce: r.Header.Get(source.NonceHeader), Open: text,
	}, err
}

func (f *fleetDouble) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, _ := os.ReadFile(filepath.Join(f.dir, "mode"))
	mode := strings.TrimSpace(string(text))
	s, err := f.statement(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	with := f.signer
	switch lookup := r.Header.Get(source.CodeHeader); {
	case lookup == "":
	case lookup != configuration.Lookup(f.code), f.spent != "" && f.spent != s.Nonce:
		w.WriteHeader(http.StatusGone)
		return
	default:
		f.spent = s.Nonce
		secret := &configuration.Secret{Format: configuration.Format, Host: s.Host, Passwords: map[string]string{"main": "correct horse"}}
		if secret.Files, err = f.files("secret", 0o600); err == nil {
			s.Sealed, err = secret.SealToCode(f.code, s.Version)
		}
	}
	switch mode {
	case "unknown":
		w.WriteHeader(http.StatusNotFound)
		return
	case "redirect":
		http.Redirect(w, r, "http://localhost:1/"+r.URL.String(), http.StatusFound)
		return
	case "swapped":
		s.Host, s.HostName = record.HostID(strings.Repeat("ab", 16)), "db1"
	case "downgraded":
		s.Version = 6
	case "foreign":
		with = configuration.NewSigner(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	}
	var envelope []byte
	if err == nil {
		envelope, err = s.Sign(with)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if f.kept == nil {
		f.kept = envelope
	}
	if mode == "replayed" {
		envelope = f.kept
	}
	fmt.Fprintf(w, "%s", envelope)
}
