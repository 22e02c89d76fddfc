package medium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"lifeboat/internal/excerpt"
)

// web is a server of HTTP.
type web struct {
	client *http.Client
	base   url.URL
	login  Login
}

func newWeb(d dialer, p place, l Login) tree {
	base := url.URL{Scheme: p.scheme, Host: p.server(), Path: strings.TrimSuffix(p.path, "/") + "/", RawQuery: p.query}
	if p.port == "" {
		base.Host = strings.TrimSuffix(base.Host, ":"+schemes[p.scheme])
	}
	return &web{base: base, login: l, client: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: d.dial, TLSHandshakeTimeout: d.limit, ResponseHeaderTimeout: d.limit,
			MaxResponseHeaderBytes: 64 << 10, DisableCompression: true, MaxIdleConnsPerHost: 1,
		},
		// Download servers send to mirrors: what comes is compared with what is signed,
		// so that is no danger.
		CheckRedirect: func(next *http.Request, before []*http.Request) error {
			if len(before) > 5 || next.URL.Scheme != "https" && before[len(before)-1].URL.Scheme == "https" {
				return fmt.Errorf("the server sends us to %s", excerpt.Line(next.URL.Redacted(), 200))
			}
			if next.URL.Host != before[0].URL.Host {
				next.Header.Del("Authorization")
			}
			return nil
		},
	}}
}

func (w *web) open(ctx context.Context, name string) (io.ReadCloser, error) {
	target := w.base
	target.Path += name
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept-Encoding", "identity")
	if w.login.User != "" {
		request.SetBasicAuth(w.login.User, w.login.Password)
	}
	response, err := w.client.Do(request)
	if err != nil {
		return nil, err
	}
	switch code := response.StatusCode; {
	case code == http.StatusNotFound || code == http.StatusGone:
		err = fs404(code)
	case code != http.StatusOK:
		err = fmt.Errorf("the server says %d %s", code, http.StatusText(code))
	case response.Header.Get("Content-Encoding") != "" && response.Header.Get("Content-Encoding") != "identity":
		// A server that packs files by their names: these are to be had as they are.
		if !strings.HasSuffix(name, ".gz") {
			err = errors.New("the server compresses the file, which nobody asked for")
		}
	}
	if err != nil {
		return nil, errors.Join(err, response.Body.Close())
	}
	return response.Body, nil
}

func fs404(code int) error { return missing(fmt.Errorf("%d %s", code, http.StatusText(code))) }

func (w *web) Close() error {
	w.client.CloseIdleConnections()
	return nil
}
