package configuration

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"lifeboat/internal/fleet/record"
)

func TestFileAllowed(t *testing.T) {
	for name, mode := range map[string]fs.FileMode{
		"/etc/lifeboat/lifeboat.yaml": 0o600, "/etc/lifeboat/profiles/own.yaml": 0o644, "/etc/rear/local.conf": 0o600,
		"/var/lib/rear/layout/disklayout.conf": 0o644, "/etc/lifeboat/hook": 0o755, "/etc/lifeboat/rescued.key": 0o600, "/etc/lifeboat/.hidden": 0o600,
		"/root/.ssh/id_ed25519": 0o600, "/root/.ssh/known_hosts": 0o644, "/root/kit.key": 0o400, "/etc/ssl/ca.pem": 0o644, "/srv/keys/a b": 0o600,
	} {
		if err := FileAllowed(name, mode); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, mode := range map[string]fs.FileMode{
		"": 0, "etc/lifeboat/x": 0o600, "/etc/lifeboat": 0o600, "/etc/lifeboat/": 0o600, "/etc/lifeboat/../passwd": 0o600,
		"/etc/lifeboat/./x": 0o600, "/etc//lifeboat/x": 0o600, "/etc/passwd": 0o600, "/etc/lifeboatx/y": 0o600,
		"/etc/lifeboat/a\x00b": 0o600, "/etc/lifeboat/a\nb": 0o600, "/etc/lifeboat/\x1b[2J": 0o600, "/etc/lifeboat/a\u202eb": 0o600, "/etc/lifeboat/\xff": 0o600,
		"/etc/lifeboat/suid": fs.ModeSetuid | 0o755, "/etc/lifeboat/dev": fs.ModeDevice | 0o600, "/etc/lifeboat/link": fs.ModeSymlink | 0o777,
		"/etc/lifeboat/dir": fs.ModeDir | 0o700, "/etc/lifeboat/open": 0o666, "/etc/lifeboat/group": 0o620,
		"/root/.bashrc": 0o600, "/root/.ssh/authorized_keys": 0o600, "/root/.ssh/config": 0o600, "/root/.ssh/rc": 0o600, "/root/.config/x": 0o600,
		"/etc/lifeboat/rescue.yaml": 0o600, "/etc/lifeboat/rescue/main.password": 0o600, "/etc/lifeboat/rescue.seen.json": 0o600,
		"/root/run": 0o700, "/usr/bin/x": 0o644, "/etc/cron.d/x": 0o644, "/srv/.git/hooks": 0o600,
		"/etc/lifeboat/" + strings.Repeat("x", 5000): 0o600,
	} {
		if err := FileAllowed(name, mode); !errors.Is(err, ErrContent) {
			t.Errorf("%.40q %v: %v", name, mode, err)
		} else if strings.ContainsAny(err.Error(), "\x1b\n\u202e") || len(err.Error()) > 500 {
			t.Errorf("the refusal itself is not to be shown: %q", err)
		}
	}
}

func TestOpenRefused(t *testing.T) {
	for name, change := range map[string]func(*Open){
		"format":              func(o *Open) { o.Format = 2 },
		"no system":           func(o *Open) { o.Systems, o.Files = nil, nil },
		"system's name":       func(o *Open) { o.Systems[0].Name = "../x" },
		"option as a name":    func(o *Open) { o.Systems[0].Name = "--force" },
		"control character":   func(o *Open) { o.Identity.Hostname = "a\x1b]0;b\a" },
		"right to left":       func(o *Open) { o.Repositories[0].Location = "a\u202eb" },
		"system twice":        func(o *Open) { o.Systems = append(o.Systems, o.Systems[0]) },
		"repository twice":    func(o *Open) { o.Repositories = append(o.Repositories, o.Repositories[0]) },
		"no repository":       func(o *Open) { o.Systems[0].Repositories = nil },
		"unknown repository":  func(o *Open) { o.Systems[0].Repositories = []string{"elsewhere"} },
		"no location":         func(o *Open) { o.Repositories[0].Location = "" },
		"large layout":        func(o *Open) { o.Layout = json.RawMessage(`"` + strings.Repeat("x", MaxRecord) + `"`) },
		"broken layout":       func(o *Open) { o.Layout = json.RawMessage(`{`) },
		"file outside":        func(o *Open) { o.Files[0].Path = "/etc/shadow" },
		"file twice":          func(o *Open) { o.Files = append(o.Files, o.Files[0]) },
		"files out of order":  func(o *Open) { o.Files = append(o.Files, File{Path: "/etc/lifeboat/a", Mode: 0o600}) },
		"file below a file":   func(o *Open) { o.Files = append(o.Files, File{Path: "/etc/lifeboat/lifeboat.yaml/x", Mode: 0o600}) },
		"more than all bytes": func(o *Open) { o.Files[0].Content = bytes.Repeat([]byte("x"), MaxOpen) },
	} {
		o := open()
		change(o)
		if text, err := o.Encode(); err == nil || !errors.Is(err, ErrContent) && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		} else if text != nil {
			t.Errorf("%s: bytes beside an error", name)
		}
	}
}

func TestSecretRefused(t *testing.T) {
	for name, change := range map[string]func(*Secret){
		"format":         func(s *Secret) { s.Format = 0 },
		"no host":        func(s *Secret) { s.Host = "" },
		"host in words":  func(s *Secret) { s.Host = "smt1" },
		"loader":         func(s *Secret) { s.Environment = map[string]string{"LD_PRELOAD": "/x.so"} },
		"a program":      func(s *Secret) { s.Environment = map[string]string{"RESTIC_PASSWORD_COMMAND": "sh"} },
		"not a variable": func(s *Secret) { s.Environment = map[string]string{"AWS_A=B": "x"} },
		"empty password": func(s *Secret) { s.Passwords = map[string]string{"main": ""} },
		"readable":       func(s *Secret) { s.Files[0].Mode = 0o640 },
		"file outside":   func(s *Secret) { s.Files[0].Path = "/etc/shadow" },
		"too large":      func(s *Secret) { s.Files[0].Content = make([]byte, MaxSecret) },
	} {
		s := secret()
		change(s)
		if _, err := s.SealToCode([10]byte{}, 1); err == nil || !errors.Is(err, ErrContent) && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStatementRefused(t *testing.T) {
	for name, change := range map[string]func(*Statement){
		"no host":          func(s *Statement) { s.Host = "" },
		"host's name":      func(s *Statement) { s.HostName = "smt1\n" },
		"version":          func(s *Statement) { s.Version = 0 },
		"ends before":      func(s *Statement) { s.Expires = s.Issued },
		"nonce":            func(s *Statement) { s.Nonce = "00" },
		"neither":          func(s *Statement) { s.Nonce = "" },
		"both":             func(s *Statement) { s.Static = true },
		"without contents": func(s *Statement) { s.Open = nil },
	} {
		s := statement(t)
		change(s)
		if _, err := s.Sign(signer(1)); !errors.Is(err, ErrContent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzVerify gives the reader signed envelopes of anything, and anything as an
// envelope. What it takes has one form, and nothing in it leaves its places.
func FuzzVerify(f *testing.F) {
	text, err := open().Encode()
	if err != nil {
		f.Fatal(err)
	}
	s := &Statement{Host: host, HostName: "smt1", Version: 7, Created: now, Issued: now, Expires: now.Add(1e9), Nonce: nonce, Open: text, Sealed: []byte("x")}
	envelope, err := s.Sign(signer(1))
	if err != nil {
		f.Fatal(err)
	}
	payload, err := Payload(envelope, MaxEnvelope, PayloadType, expected().Keys)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(envelope, false)
	f.Add(payload, true)
	f.Add([]byte(`{"format":1,"host":"000102030405060708090a0b0c0d0e0f","host_name":"a","version":1,"created":"2026-11-21T03:00:00Z","issued":"2026-11-21T03:00:00Z","expires":"2026-11-21T03:00:01Z","static":true,"open":{}}`), true)
	f.Add([]byte(`{"payloadType":"`+PayloadType+`","payload":"e30=","signatures":[{"keyid":"","sig":"AA=="}]}`), false)
	f.Fuzz(func(t *testing.T, data []byte, signIt bool) {
		if signIt {
			if data, err = signer(1).Envelope(PayloadType, data); err != nil {
				t.Fatal(err)
			}
		}
		e := expected()
		e.Static = true
		c, err := Verify(data, e)
		if err != nil {
			if c != nil {
				t.Fatal("content beside an error")
			}
			return
		}
		if again, err := c.Config.Encode(); err != nil || !bytes.Equal(again, c.Open) {
			t.Fatalf("%s\nbecame\n%s, %v", c.Open, again, err)
		}
		for _, file := range c.Config.Files {
			if err := FileAllowed(file.Path, file.Mode); err != nil {
				t.Fatal(err)
			}
		}
		if !HostID(c.Host) || record.HostID(strings.ToLower(string(c.Host))) != c.Host {
			t.Fatal(c.Host)
		}
	})
}
