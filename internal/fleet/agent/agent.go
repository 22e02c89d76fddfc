// Package agent is a host's side of the fleet: it joins with a token, keeps the key
// and certificate that it got, tells the server of each run while it goes on and when
// it has ended, and sends the recovery configuration along. Nothing of it may keep a
// backup from being made: what cannot be sent is kept and sent later.
package agent

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/rescue/configuration"
)

// Directory is where a host keeps what it got, beside lifeboat.yaml.
const Directory = "agent"

const (
	keyFile         = "host.key"
	certificateFile = "host.pem"
	fleetFile       = "fleet.json"
	maxFile         = 1 << 20
)

// Membership is what a host knows of its fleet. There is no secret in it.
type Membership struct {
	URL         string        `json:"url"`
	Host        record.HostID `json:"host"`
	Name        string        `json:"name"`
	SystemTrust bool          `json:"system_trust,omitempty"` // the system's authorities vouch for the server
	Fleet       wire.Fleet    `json:"fleet"`
}

// Agent is a host that has joined. It may be used concurrently.
type Agent struct {
	Membership
	dir         string
	certificate tls.Certificate
	client      *client.Client
}

// Join lets this host into a fleet with a token, and keeps what it gets in a
// directory. The key is made here and leaves the machine never. A host that has joined
// before joins again, with another key.
func Join(ctx context.Context, dir, address, token, version string, identity record.Identity) (*Agent, error) {
	_, trust, ok := strings.Cut(token, ".")
	if !ok || trust == "" {
		return nil, errors.New("that is no token of a fleet; `lifeboat host add` and `lifeboat host enrol` print one")
	}
	o := client.Options{URL: address}
	if trust != systemTrust {
		o.Fingerprint = trust
	}
	c, err := client.New(o)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the host's key: %w", err)
	}
	request, err := newRequest(key)
	if err != nil {
		return nil, err
	}
	var joined wire.Joined
	if err := c.Do(ctx, http.MethodPost, "/join", wire.Join{Token: token, Request: request, Identity: identity, Version: version}, &joined); err != nil {
		return nil, err
	}
	m := Membership{URL: strings.TrimSuffix(address, "/"), Host: joined.Host, Name: joined.Name, SystemTrust: trust == systemTrust, Fleet: joined.Fleet}
	if err := m.check(); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("keep the host's key: %w", err)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("keep what the fleet is known by: %w", err)
	}
	for _, f := range []struct {
		name string
		data []byte
	}{
		{keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})},
		{certificateFile, []byte(joined.Certificate)},
		{fleetFile, append(text, '\n')},
	} {
		if err := keep(dir, f.name, f.data); err != nil {
			return nil, err
		}
	}
	return Open(dir)
}

const systemTrust = "system"

// check refuses what could not be used later, when nobody is there.
func (m Membership) check() error {
	if !configuration.HostID(m.Host) || m.Name == "" {
		return errors.New("the fleet server does not say which host this is")
	}
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(m.Fleet.Authority)) {
		return errors.New("the fleet server gives no certificate of its authority")
	}
	for _, k := range m.Fleet.Keys {
		if _, err := configuration.ParseKey(k); err != nil {
			return err
		}
	}
	return nil
}

func newRequest(key *ecdsa.PrivateKey) ([]byte, error) {
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "Lifeboat host"}}, key)
	if err != nil {
		return nil, fmt.Errorf("ask for a certificate: %w", err)
	}
	return request, nil
}

// Open reads what a host has got; fs.ErrNotExist: it has not joined a fleet.
func Open(dir string) (*Agent, error) {
	text, err := read(dir, fleetFile)
	if err != nil {
		return nil, err
	}
	a := &Agent{dir: dir}
	if err := json.Unmarshal(text, &a.Membership); err != nil {
		return nil, fmt.Errorf("%s: %w; lifeboat join writes it anew", filepath.Join(dir, fleetFile), err)
	}
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("%s: %w; lifeboat join writes it anew", filepath.Join(dir, fleetFile), err)
	}
	return a, a.load()
}

func (a *Agent) load() error {
	key, err := read(a.dir, keyFile)
	if err != nil {
		return err
	}
	defer clear(key)
	certificate, err := read(a.dir, certificateFile)
	if err != nil {
		return err
	}
	if a.certificate, err = tls.X509KeyPair(certificate, key); err != nil {
		return fmt.Errorf("the host's certificate in %s: %w; lifeboat join gets another", a.dir, err)
	}
	o := client.Options{URL: a.URL, Certificate: &a.certificate, Timeout: requestTime}
	if !a.SystemTrust {
		o.Roots = x509.NewCertPool()
		o.Roots.AppendCertsFromPEM([]byte(a.Fleet.Authority))
	}
	a.client, err = client.New(o)
	return err
}

// requestTime bounds one request. A server that is not there is given up sooner, when
// no connection comes about.
const requestTime = 20 * time.Second

// Expires is when the host's certificate ends.
func (a *Agent) Expires() time.Time { return a.certificate.Leaf.NotAfter }

// Certificate is the host's certificate with its key.
func (a *Agent) Certificate() tls.Certificate { return a.certificate }

// Renew gets the next certificate when a third of the present one's time is left.
func (a *Agent) Renew(ctx context.Context, now time.Time) error {
	if now.Before(a.Expires().Add(-keys.RenewBefore)) {
		return nil
	}
	key, ok := a.certificate.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return fmt.Errorf("the host's key in %s is of no known kind; lifeboat join makes another", a.dir)
	}
	request, err := newRequest(key)
	if err != nil {
		return err
	}
	var made wire.Certificate
	if err := a.client.Do(ctx, http.MethodPost, "/agent/certificate", wire.Renew{Request: request}, &made); err != nil {
		return fmt.Errorf("renew the host's certificate, which ends %s: %w", a.Expires().Format(time.DateOnly), err)
	}
	if err := keep(a.dir, certificateFile, []byte(made.Certificate)); err != nil {
		return err
	}
	return a.load()
}

// digestKey is for digests of secrets: with the host's own key nobody else can make
// them.
func (a *Agent) digestKey() ([]byte, error) {
	key, ok := a.certificate.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the host's key in %s is of no known kind", a.dir)
	}
	scalar, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	defer clear(scalar)
	return hkdf.Key(sha256.New, scalar, nil, "lifeboat digest of secrets v1", sha256.Size)
}

func keep(dir, name string, data []byte) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = renameio.WriteFile(filepath.Join(dir, name), data, 0o600, renameio.IgnoreUmask())
	}
	if err != nil {
		return fmt.Errorf("keep what the fleet server gave: %w", err)
	}
	return nil
}

func read(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("membership in a fleet: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("membership in a fleet: %w", err)
	}
	return bytes.TrimSpace(text), nil
}

// Joined tells whether a directory holds a membership.
func Joined(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, fleetFile))
	return !errors.Is(err, fs.ErrNotExist)
}
