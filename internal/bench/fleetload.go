package bench

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lifeboat/internal/fleet/api"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/rescue/configuration"
)

// clients ask a server, each of them one thing after the other.
type clients struct {
	members     []member
	roots       *x509.CertPool
	connections int
	key         crypto.PublicKey
}

// round is what was seen of one request of every host. Latencies are from the request
// to the end of its answer, with the handshake where there is one.
type round struct {
	rate     float64 // requests a second
	p50, p99 time.Duration
	cpu      time.Duration // of the server's processes, a request
}

func middle(rounds []round) round {
	of := func(value func(round) float64) float64 {
		values := make([]float64, len(rounds))
		for i, r := range rounds {
			values[i] = value(r)
		}
		slices.Sort(values)
		return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	}
	return round{
		rate: of(func(r round) float64 { return r.rate }),
		p50:  time.Duration(of(func(r round) float64 { return float64(r.p50) })),
		p99:  time.Duration(of(func(r round) float64 { return float64(r.p99) })),
		cpu:  time.Duration(of(func(r round) float64 { return float64(r.cpu) })),
	}
}

// perConnection is how many requests a kept connection serves at most. A server bounds
// what comes from one address; this many are below it.
const perConnection = 400

// patience is what one request may take. It is far from what any takes, and says which
// server has stopped to answer.
const patience = 5 * time.Minute

// all has every host do one thing, by so many workers as there are connections.
func (c clients) all(ctx context.Context, server *server, worker func() func(ctx context.Context, n int) (time.Duration, error)) (round, error) {
	before, err := server.cpu()
	if err != nil {
		return round{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	took := make([]time.Duration, len(c.members))
	var next atomic.Int64
	var workers sync.WaitGroup
	begin := time.Now()
	for range min(c.connections, len(c.members)) {
		one := worker()
		workers.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= len(took) {
					return
				}
				bounded, done := context.WithTimeout(ctx, patience)
				t, err := one(bounded, n)
				done()
				if err != nil {
					cancel(fmt.Errorf("host %d: %w", n, err))
					return
				}
				took[n] = t
			}
		})
	}
	workers.Wait()
	whole := time.Since(begin)
	if ctx.Err() != nil {
		return round{}, context.Cause(ctx)
	}
	after, err := server.cpu()
	if err != nil {
		return round{}, err
	}
	slices.Sort(took)
	count := len(took)
	return round{
		rate: float64(count) / whole.Seconds(), cpu: (after - before) / time.Duration(count),
		p50: took[count/2], p99: took[min(count-1, count*99/100)],
	}, nil
}

// transport connects from an address of its own for each connection, as hosts do. A
// fleet server limits how often one address asks.
func (c clients) transport(with *tls.Certificate, kept bool) *http.Transport {
	conf := &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: c.roots, ServerName: "127.0.0.1",
		CurvePreferences: []tls.CurveID{tls.X25519}, // nginx of today's systems knows no newer one
	}
	if with != nil {
		conf.Certificates = []tls.Certificate{*with}
	}
	return &http.Transport{TLSClientConfig: conf, DisableKeepAlives: !kept, DisableCompression: true, DialContext: dialFromAnywhere}
}

// from counts addresses of the loopback net.
var from atomic.Uint32

func dialFromAnywhere(ctx context.Context, network, address string) (net.Conn, error) {
	n := from.Add(1) % (1 << 20)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 64+byte(n>>16), byte(n>>8), byte(n))}}
	return d.DialContext(ctx, network, address)
}

// fetch has every host's rescue system fetch its configuration and check it. keep, if
// there is one, is given the answers.
func (c clients) fetch(ctx context.Context, server *server, kept bool, nonces func(int) string, keep func(int, []byte) error) (round, error) {
	public, _ := c.key.(ed25519.PublicKey)
	return c.all(ctx, server, func() func(context.Context, int) (time.Duration, error) {
		transport := c.transport(nil, kept)
		count := 0
		return func(ctx context.Context, n int) (time.Duration, error) {
			m := &c.members[n]
			if count++; count%perConnection == 0 || n+c.connections >= len(c.members) {
				defer transport.CloseIdleConnections()
			}
			i := m.host.Identity
			query := url.Values{"hostname": {i.Hostname}, "serial": {i.Serial}, "uuid": {i.UUID}, "mac": i.MACs}
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.url+api.RecoveryPath+"?"+query.Encode(), http.NoBody)
			if err != nil {
				return 0, err
			}
			nonce := nonces(n)
			request.Header.Set(api.NonceHeader, nonce)
			begin := time.Now()
			answer, err := send(transport, request)
			took := time.Since(begin)
			if err != nil {
				return 0, err
			}
			got, err := configuration.Verify(answer, configuration.Expected{Keys: []ed25519.PublicKey{public}, Nonce: nonce, Now: time.Now()})
			if err != nil {
				return 0, err
			}
			if got.Host != m.host.ID {
				return 0, fmt.Errorf("the answer is that of %s", got.HostName)
			}
			if keep != nil {
				return took, keep(n, answer)
			}
			return took, nil
		}
	})
}

// report has every host report a backup, as itself.
func (c clients) report(ctx context.Context, server *server, run string) (round, error) {
	return c.all(ctx, server, func() func(context.Context, int) (time.Duration, error) {
		return func(ctx context.Context, n int) (time.Duration, error) {
			m := &c.members[n]
			now := time.Now()
			body, err := json.Marshal(wire.RunReport{
				System: "smt", Kind: "backup", State: "done", Started: now.Add(-time.Minute), Ended: now, Profile: "smt",
				Point: nonce() + nonce(), PointAt: now, Bytes: 1 << 30, Identity: m.host.Identity, Version: "bench", Configuration: &m.configuration,
			})
			if err != nil {
				return 0, err
			}
			request, err := http.NewRequestWithContext(ctx, http.MethodPut, server.url+api.Prefix+"/agent/reports/"+run, bytes.NewReader(body))
			if err != nil {
				return 0, err
			}
			request.Header.Set("Content-Type", "application/json")
			begin := time.Now()
			answer, err := send(c.transport(&m.certificate, false), request)
			took := time.Since(begin)
			if err != nil {
				return 0, err
			}
			var receipt wire.Receipt
			if err := json.Unmarshal(answer, &receipt); err != nil || !receipt.New || receipt.Configuration != 1 {
				return 0, fmt.Errorf("the report was not taken as a new one with a configuration that is known: %s, %w", answer, err)
			}
			return took, nil
		}
	})
}

// send gives the answer to a request, which must be a good one.
func send(transport *http.Transport, request *http.Request) ([]byte, error) {
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, configuration.MaxEnvelope))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", response.Status, answer[:min(len(answer), 300)])
	}
	return answer, nil
}
