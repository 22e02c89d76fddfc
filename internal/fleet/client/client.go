// Package client speaks to the fleet server over its API: for hosts with their
// certificate, for people's programs with a token. It knows how to reach the server
// and whom to believe to be it, and nothing of what is said.
package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/fleet/wire"
)

// Options say whom to speak to, and as whom.
type Options struct {
	URL   string // https://NAME:PORT
	Token string // of a program; "" for none
	// Certificate is a host's; nil for none.
	Certificate *tls.Certificate
	// Roots are the authorities that may vouch for the server; nil are the system's.
	Roots *x509.CertPool
	// Fingerprint is the SHA-256, in hexadecimal, of the authority that must vouch for
	// the server, where its certificate is not at hand yet. The server shows it.
	Fingerprint string
	// Timeout bounds a request with its answer; 0 is a minute.
	Timeout time.Duration
}

// Client speaks to one server. It may be used concurrently.
type Client struct {
	base  string
	token string
	http  *http.Client
}

const (
	dialTime  = 3 * time.Second
	helloTime = 10 * time.Second // of the handshake: a server that is there may be busy
	usualTime = time.Minute
	maxAnswer = 64 << 20
)

// prefix is where the API stands; package api serves it there.
const prefix = "/api/v1"

// New makes a client; nothing is sent yet.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("%q is no address of a fleet server; write https://NAME:PORT", o.URL)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: o.Roots}
	if o.Fingerprint != "" {
		if err := trust(config, u.Hostname(), o.Fingerprint); err != nil {
			return nil, err
		}
	}
	if o.Certificate != nil {
		config.Certificates = []tls.Certificate{*o.Certificate}
	}
	if o.Timeout <= 0 {
		o.Timeout = usualTime
	}
	return &Client{
		base: "https://" + u.Host + prefix, token: o.Token,
		http: &http.Client{
			Timeout: o.Timeout,
			Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				DialContext:         (&net.Dialer{Timeout: dialTime}).DialContext,
				TLSHandshakeTimeout: helloTime,
				TLSClientConfig:     config,
				ForceAttemptHTTP2:   true,
				IdleConnTimeout:     time.Minute,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// trust makes a client believe a server for which the authority with the fingerprint
// vouches, and no other.
func trust(config *tls.Config, name, fingerprint string) error {
	want, err := hex.DecodeString(strings.ToLower(fingerprint))
	if err != nil || len(want) != sha256.Size {
		return fmt.Errorf("%q is no fingerprint; it has 64 hexadecimal digits", excerpt.Line(fingerprint, 1000))
	}
	// The usual verification would want the certificate itself; what takes its place
	// is the same with the authority that the server shows, if it is the right one.
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the server shows no certificate")
		}
		roots, others := x509.NewCertPool(), x509.NewCertPool()
		found := false
		for _, c := range state.PeerCertificates[1:] {
			sum := sha256.Sum256(c.Raw)
			if subtle.ConstantTimeCompare(sum[:], want) == 1 {
				roots.AddCert(c)
				found = true
			} else {
				others.AddCert(c)
			}
		}
		if !found {
			return errors.New("the server does not belong to the fleet that the token is from: another authority vouches for it; somebody may stand between you and it")
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, DNSName: name})
		return err
	}
	return nil
}

// Problem is an answer that is an error.
type Problem struct {
	Status int
	Text   string // the server's words, fit for a terminal
}

func (p *Problem) Error() string { return p.Text }

// Permanent tells whether the same request would get the same answer again.
func (p *Problem) Permanent() bool {
	switch p.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return p.Status >= 400 && p.Status < 500
}

// Do sends a request with a body of JSON, where in is not nil, and reads the answer's
// into out, where that is not nil. The path is below /api/v1. An answer that is an error is a
// *Problem.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("fleet server: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return fmt.Errorf("fleet server: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("fleet server: %w", plainly(err))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("fleet server: its answer broke off: %w", err)
	case len(text) > maxAnswer:
		return fmt.Errorf("fleet server: its answer has more than %d bytes", maxAnswer)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return problem(resp.StatusCode, text)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("fleet server: its answer is not what was asked for: %w", err)
	}
	return nil
}

// plainly leaves out what net/http says before an error: the address is known.
func plainly(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func problem(status int, text []byte) error {
	var p wire.Problem
	if json.Unmarshal(text, &p) != nil || p.Detail == "" {
		p.Detail = "the answer is " + http.StatusText(status)
	}
	for i, e := range p.Errors {
		if i < 5 {
			p.Detail += "; " + e.Location + ": " + e.Message
		}
	}
	return &Problem{Status: status, Text: "fleet server: " + excerpt.Line(p.Detail, 1000)}
}

// Path puts a path together, each word escaped for its place.
func Path(words ...string) string {
	var b strings.Builder
	for _, w := range words {
		b.WriteString("/" + url.PathEscape(w))
	}
	return b.String()
}
