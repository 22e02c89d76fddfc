package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/rescue/configuration"
)

// Headers of a request. A server that is asked again with the same nonce and code
// gives the same answer, so that a lost connection does not cost the code.
const (
	NonceHeader = "Lifeboat-Nonce"
	CodeHeader  = "Lifeboat-Code"
)

// Request is what goes along with an address.
type Request struct {
	Nonce  string
	Lookup string // of a recovery code; "" when none was typed
}

// Answer is what came: an envelope, or hosts to choose from.
type Answer struct {
	Envelope   []byte
	Candidates []Candidate
	Static     bool // from a file: nobody was asked, so the nonce cannot come back
}

// Candidate is a host that a request may have meant.
type Candidate struct {
	ID      record.HostID `json:"id"`
	Name    string        `json:"name"`
	Matched []string      `json:"matched"` // serial, uuid, mac, hostname
}

const (
	maxCandidates = 100
	maxTrouble    = 64 << 10 // bytes of an answer that is no configuration
)

// Client fetches. It may be used concurrently.
type Client struct {
	// Limit is how long one answer may take from the first byte of the request to
	// the last of the answer; 0 is two minutes.
	Limit time.Duration
	http  *http.Client
}

// NewClient trusts the authorities of a PEM file and no others; "" is those of the
// system.
func NewClient(ca string) (*Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read the authorities that the medium trusts: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate", ca)
		}
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &Client{http: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSClientConfig: conf, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 20 * time.Second, MaxResponseHeaderBytes: maxTrouble, DisableCompression: true, DisableKeepAlives: true,
		},
		CheckRedirect: func(next *http.Request, before []*http.Request) error {
			first := before[0].URL
			if next.URL.Scheme != first.Scheme || next.URL.Host != first.Host || len(before) > 3 {
				return fmt.Errorf("%w: from %s://%s to %s", ErrRedirect, first.Scheme, first.Host, excerpt.Line(next.URL.Redacted(), 200))
			}
			return nil
		},
	}}, nil
}

// Busy is a server that asks to be left alone for a while.
type Busy struct{ After time.Duration }

func (b *Busy) Error() string {
	return fmt.Sprintf("the server asks to be left alone for %v", b.After)
}

// errLimit is why a request was ended.
var errLimit = errors.New("the time for one answer is over")

// Get asks one address.
func (c *Client) Get(ctx context.Context, target string, r Request) (Answer, error) {
	switch scheme, rest, _ := strings.Cut(target, ":"); scheme {
	case "file":
		// Expand has put names in as they are: nothing in them is an escape.
		text, err := readFile(rest, configuration.MaxEnvelope)
		return Answer{Envelope: text, Static: true}, err
	case "nfs":
		text, err := getNFS(ctx, target, configuration.MaxEnvelope)
		return Answer{Envelope: text, Static: true}, err
	}
	limit := c.Limit
	if limit == 0 {
		limit = 2 * time.Minute
	}
	inner, cancel := context.WithTimeoutCause(ctx, limit, errLimit)
	defer cancel()
	a, err := c.get(inner, target, r)
	if err != nil && ctx.Err() == nil && context.Cause(inner) == errLimit {
		return Answer{}, fmt.Errorf("%w within %v: %w", ErrEndless, limit, err)
	}
	return a, err
}

func (c *Client) get(ctx context.Context, target string, r Request) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set(NonceHeader, r.Nonce)
	if r.Lookup != "" {
		request.Header.Set(CodeHeader, r.Lookup)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return Answer{}, untrusted(err)
	}
	defer response.Body.Close()
	if e := response.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return Answer{}, fmt.Errorf("%w (%s)", ErrEncoded, excerpt.Line(e, 200))
	}
	most := int64(maxTrouble)
	if response.StatusCode == http.StatusOK {
		most = configuration.MaxEnvelope
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%w: more than %d bytes", ErrLarge, most)
	}
	if err != nil {
		return Answer{}, err
	}
	switch code := response.StatusCode; code {
	case http.StatusOK:
		return Answer{Envelope: text}, nil
	case http.StatusMultipleChoices:
		return choices(text)
	case http.StatusGone:
		return Answer{}, ErrSpent
	case http.StatusNotFound, http.StatusForbidden:
		if r.Lookup != "" {
			return Answer{}, ErrCode
		}
		return Answer{}, fmt.Errorf("%w%s", ErrUnknown, problem(text))
	case http.StatusConflict:
		return Answer{}, ErrOther
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		after, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return Answer{}, &Busy{time.Duration(min(max(after, 1), 300)) * time.Second}
	default:
		err := fmt.Errorf("the server says %d %s%s", code, http.StatusText(code), problem(text))
		if code < 500 {
			err = fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		return Answer{}, err
	}
}

// untrusted marks errors of certificates, which no waiting mends.
func untrusted(err error) error {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	if errors.As(err, &certificate) {
		return fmt.Errorf("%w (is the clock right? is ca in rescue.yaml the fleet's?): %w", ErrTrust, err)
	}
	if errors.As(err, &record) {
		return fmt.Errorf("%w: there is no TLS on that port: %w", ErrAnswer, err)
	}
	return err
}

func choices(text []byte) (Answer, error) {
	var got struct {
		Candidates []Candidate `json:"candidates"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if n := len(got.Candidates); n == 0 || n > maxCandidates {
		return Answer{}, fmt.Errorf("%w: it offers %d hosts", ErrAnswer, n)
	}
	for _, c := range got.Candidates {
		if !configuration.HostID(c.ID) || c.Name == "" || !excerpt.Plain(c.Name, configuration.MaxName) {
			return Answer{}, fmt.Errorf("%w: it offers the host %q", ErrAnswer, excerpt.Line(c.Name, 200))
		}
	}
	return Answer{Candidates: got.Candidates}, nil
}

// problem is what a server says beside its status (RFC 9457).
func problem(text []byte) string {
	var p struct {
		Detail string `json:"detail"`
		Title  string `json:"title"`
	}
	if json.Unmarshal(text, &p) != nil || p.Detail+p.Title == "" {
		return ""
	}
	if p.Detail == "" {
		p.Detail = p.Title
	}
	return ": " + excerpt.Line(p.Detail, 200)
}
