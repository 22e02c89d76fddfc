// Package transport makes the HTTP connections of the stores behind a network:
// certificates, timeouts, the watch over stalled transfers, and what an answer's
// status means for a repetition. It knows no protocol of its own: what is asked
// and answered belongs to packages s3 and rest.
package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"lifeboat/internal/storage/limit"
	"lifeboat/internal/storage/stall"
)

// Options says how servers are reached.
type Options struct {
	// CACert is a PEM file of the only authorities trusted; empty for those of
	// the system.
	CACert string
	// Fingerprint is that of the only certificate trusted, in the form that
	// Fingerprint returns; who signed it, for which name and until when is not
	// asked then. Empty for the usual checks.
	Fingerprint string
	// Limit bounds what all connections transfer together; nil for no bound.
	Limit *limit.Limit
	// Stall is the least progress of a transfer; stall.Default if not set.
	Stall stall.Limit
	// Dial makes connections in place of the network, for a socket that was
	// inherited. Nil for the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// Timeouts of what comes before a transfer.
const (
	dialTimeout      = 30 * time.Second
	handshakeTimeout = 30 * time.Second
	idleTimeout      = 90 * time.Second
	// continueTimeout is how long a server is waited for to want a body; then it
	// is sent to those that do not know the question.
	continueTimeout = 500 * time.Millisecond
	keepAlive       = 30 * time.Second
)

// New returns a transport that ends stalled transfers with stall.ErrStalled.
// Answers are never decompressed, so that their lengths can be trusted.
func New(opts Options) (*Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if opts.CACert != "" {
		pool, err := authorities(opts.CACert)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	if opts.Fingerprint != "" {
		if err := pin(config, opts.Fingerprint); err != nil {
			return nil, err
		}
	}
	dial := opts.Dial
	proxy := http.ProxyFromEnvironment
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}).DialContext
	} else {
		proxy = nil
	}
	dial = limited(dial, opts.Limit)
	stalled := opts.Stall.Or(stall.Default)
	return &Transport{
		limit: stalled,
		base: &http.Transport{
			Proxy:                 proxy,
			DialContext:           dial,
			TLSClientConfig:       config,
			TLSHandshakeTimeout:   handshakeTimeout,
			IdleConnTimeout:       idleTimeout,
			MaxIdleConnsPerHost:   32,
			ExpectContinueTimeout: min(continueTimeout, stalled.Window/4),
			DisableCompression:    true,
			// One connection for all would share one congestion window.
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
		},
	}, nil
}

func limited(dial dialer, l *limit.Limit) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return l.Conn(conn), nil
	}
}

func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("certificate authorities of the store: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("certificate authorities of the store: no certificate in PEM form in %s", file)
	}
	return pool, nil
}

// Transport is an http.RoundTripper whose requests and answers are watched.
type Transport struct {
	base  *http.Transport
	limit stall.Limit
}

// Close gives up idle connections.
func (t *Transport) Close() { t.base.CloseIdleConnections() }

// RoundTrip sends a request. Once the request's body has been sent, the answer
// must begin within the window too.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	meter := stall.Watch(t.limit, cancel)
	out := req.Clone(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		// A server that will not take the body says so before it is sent.
		// Otherwise its answer may be lost with a connection it closes.
		out.Header.Set("Expect", "100-continue")
		out.Body = &upload{ReadCloser: req.Body, meter: meter}
		if req.GetBody != nil {
			out.GetBody = func() (io.ReadCloser, error) {
				body, err := req.GetBody()
				if err != nil {
					return nil, err
				}
				return &upload{ReadCloser: body, meter: meter}, nil
			}
		}
	}
	meter.Start()
	resp, err := t.base.RoundTrip(out)
	meter.Pause()
	if err != nil {
		meter.Stop()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	resp.Body = &download{body: resp.Body, meter: meter, ctx: ctx, cancel: cancel}
	return resp, nil
}

type upload struct {
	io.ReadCloser
	meter *stall.Meter
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	u.meter.Add(n)
	return n, err
}

type download struct {
	body   io.ReadCloser
	meter  *stall.Meter
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func (d *download) Read(p []byte) (int, error) {
	d.meter.Start()
	n, err := d.body.Read(p)
	d.meter.Add(n)
	d.meter.Pause()
	if err != nil && err != io.EOF {
		if cause := context.Cause(d.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

func (d *download) Close() error {
	d.meter.Stop()
	err := d.body.Close()
	d.cancel(nil)
	return err
}
