package notice

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lifeboat/internal/config"
)

// webTimeout bounds one request.
const webTimeout = 15 * time.Second

// SignatureHeader of a webhook's POST has sha256= and the HMAC-SHA256 of the body in
// hexadecimal.
const SignatureHeader = "X-Lifeboat-Signature"

// web reaches one address.
type web struct {
	address string
	client  *http.Client
}

func newWeb(ctx context.Context, a config.Address, caFile string, confidential bool) (*web, error) {
	w := &web{address: a.URL}
	if a.URLFrom != nil {
		var err error
		if w.address, err = secret(ctx, a.URLFrom); err != nil {
			return nil, err
		}
		if err := config.CheckAddress(w.address, confidential); err != nil {
			return nil, err
		}
	}
	trusted, err := trust(caFile, "")
	if err != nil {
		return nil, err
	}
	w.client = &http.Client{
		Timeout: webTimeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: trusted, DisableKeepAlives: true,
			TLSHandshakeTimeout: webTimeout,
		},
		// Wherever it leads, nobody has said that our token may go there.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w, nil
}

// place is the address without its path, which often is the secret that lets one in.
func (w *web) place() string {
	u, err := url.Parse(w.address)
	if err != nil {
		return "a web server"
	}
	return u.Scheme + "://" + u.Host
}

// hidden is what must not be told of the address.
func (w *web) hidden() []string {
	u, err := url.Parse(w.address)
	if err != nil {
		return []string{w.address}
	}
	return []string{w.address, u.RequestURI()}
}

// post sends a body, and reads no more of the answer than its status: what a server
// says may hold what it was sent.
func (w *web) post(ctx context.Context, address, kind string, body []byte, header http.Header) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return permanentError{errors.New("the address cannot be used")}
	}
	for key, values := range header {
		req.Header[key] = values
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("User-Agent", "lifeboat")
	resp, err := w.client.Do(req)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) { // it shows the address
			err = at.Err
		}
		if isCertificate(err) {
			return permanentError{fmt.Errorf("its certificate is not trusted: %w", err)}
		}
		return err
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	resp.Body.Close()
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500 && code != http.StatusNotImplemented:
		return fmt.Errorf("the server answers %d %s", code, http.StatusText(code))
	case code >= 300 && code < 400:
		return permanentError{fmt.Errorf("the server answers %d %s: it leads elsewhere, which is not followed", code, http.StatusText(code))}
	default:
		return permanentError{fmt.Errorf("the server answers %d %s", code, http.StatusText(code))}
	}
}

type webhook struct {
	*web
	token, key string
}

func newWebhook(ctx context.Context, c config.Webhook) (way, error) {
	at, err := newWeb(ctx, c.Address, c.CAFile, c.Token != nil)
	if err != nil {
		return nil, err
	}
	w := &webhook{web: at}
	if w.token, err = secret(ctx, c.Token); err != nil {
		return nil, err
	}
	if w.key, err = secret(ctx, c.Secret); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *webhook) to() string        { return w.place() }
func (w *webhook) secrets() []string { return append(w.hidden(), w.token, w.key) }

func (w *webhook) send(ctx context.Context, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return permanentError{err}
	}
	header := http.Header{}
	if w.token != "" {
		header.Set("Authorization", "Bearer "+w.token)
	}
	if w.key != "" {
		header.Set(SignatureHeader, Signature(body, w.key))
	}
	return w.post(ctx, w.address, "application/json", body, header)
}

// Signature is the value of SignatureHeader for a body.
func Signature(body []byte, key string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// ping is one of a service such as healthchecks: the address for success, with /start
// and /fail behind its path for the others
// (https://healthchecks.io/docs/http_api/).
type ping struct {
	*web
	notice config.Notice
}

func newPing(ctx context.Context, n config.Notice) (way, error) {
	at, err := newWeb(ctx, n.Ping.Address, n.Ping.CAFile, false)
	if err != nil {
		return nil, err
	}
	return &ping{web: at, notice: n}, nil
}

func (p *ping) to() string        { return p.place() }
func (p *ping) secrets() []string { return p.hidden() }

// mostPinged bounds the body of a ping, in bytes: such services keep little.
const mostPinged = 8 << 10

func (p *ping) send(ctx context.Context, m Message) error {
	text := m.Text
	if len(text) > mostPinged {
		text = strings.ToValidUTF8(text[:mostPinged], "")
	}
	address := p.address
	switch {
	case m.Type == AboutTrial: // nothing may count as done that was not
		address = p.below("log")
	case m.Result == Begun:
		address, text = p.below("start"), ""
	case isFailure(p.notice, m):
		address = p.below("fail")
	}
	return p.post(ctx, address, "text/plain; charset=utf-8", []byte(text), nil)
}

// below is the address with a word behind its path.
func (p *ping) below(word string) string {
	u, err := url.Parse(p.address)
	if err != nil {
		return p.address
	}
	return u.JoinPath(word).String()
}
