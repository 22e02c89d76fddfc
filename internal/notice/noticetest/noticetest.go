// Package noticetest has real servers for the tests of notices: one of mail with TLS
// and accounts, one for HTTPS, both with certificates of an authority of their own.
package noticetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Authority signs certificates for this machine's loopback.
type Authority struct {
	File string // PEM
	tls  *tls.Config
}

// NewAuthority makes one.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	check := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority of a test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	caBytes, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafBytes, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	check(err)
	a := &Authority{
		File: filepath.Join(tb.TempDir(), "ca.pem"),
		tls:  &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leafBytes}, PrivateKey: key}}},
	}
	check(os.WriteFile(a.File, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caBytes}), 0o600))
	return a
}

// Mail is a message that arrived.
type Mail struct {
	From, User string
	To         []string
	Text       string // with its header
	TLS        bool
}

// MailServer takes mail of one user, or of anybody where User is empty.
type MailServer struct {
	Addr           string
	User, Password string

	mu    sync.Mutex
	mails []Mail
	busy  int // so many are turned away for now
	gone  map[string]bool
	later []string // come again
	asked map[string]int
}

// How a MailServer secures its connections.
const (
	Plain    = "none"
	StartTLS = "starttls"
	TLS      = "tls"
)

// NewMailServer starts one on the loopback.
func NewMailServer(tb testing.TB, a *Authority, security, user, password string) *MailServer {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	m := &MailServer{Addr: l.Addr().String(), User: user, Password: password}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		_, secured := c.TLSConnectionState()
		return &session{server: m, mail: Mail{TLS: secured}}, nil
	}))
	server.Domain, server.ErrorLog = "127.0.0.1", log.New(io.Discard, "", 0)
	switch security {
	case StartTLS:
		server.TLSConfig = a.tls
	case TLS:
		l = tls.NewListener(l, a.tls)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	tb.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return m
}

// Busy has the server turn the next messages away for now.
func (m *MailServer) Busy(times int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy = times
}

// Mails are those that arrived so far.
func (m *MailServer) Mails() []Mail {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.mails)
}

type session struct {
	server *MailServer
	mail   Mail
}

func (s *session) AuthMechanisms() []string {
	if s.server.User == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.server.User || password != s.server.Password {
			return smtp.ErrAuthFailed
		}
		s.mail.User = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.mail.User != s.server.User {
		return smtp.ErrAuthRequired
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.server.busy > 0 {
		s.server.busy--
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "come again"}
	}
	s.mail.From = from
	return nil
}

// Refuse has the server know nobody of these addresses.
func (m *MailServer) Refuse(addresses ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = map[string]bool{}
	for _, a := range addresses {
		m.gone[a] = true
	}
}

// Defer has the server take nothing for these addresses for now.
func (m *MailServer) Defer(addresses ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.later = addresses
}

// Asked is how often a mail was offered for an address.
func (m *MailServer) Asked(address string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked[address]
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.server.asked == nil {
		s.server.asked = map[string]int{}
	}
	s.server.asked[to]++
	if slices.Contains(s.server.later, to) {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "come again"}
	}
	if s.server.gone[to] {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "nobody of that name"}
	}
	s.mail.To = append(s.mail.To, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mail.Text = string(text)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, s.mail)
	return nil
}

func (s *session) Reset()        { s.mail.To = nil }
func (s *session) Logout() error { return nil }

// Request is one that a WebServer got.
type Request struct {
	Path   string
	Header http.Header
	Body   string
}

// WebServer keeps what is sent to it.
type WebServer struct {
	URL string // https

	mu       sync.Mutex
	requests []Request
	answers  []int
}

// NewWebServer starts one on the loopback. It answers with the codes in their order,
// and then with 200.
func NewWebServer(tb testing.TB, a *Authority, codes ...int) *WebServer {
	tb.Helper()
	w := &WebServer{answers: codes}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.requests = append(w.requests, Request{Path: r.URL.RequestURI(), Header: r.Header, Body: string(body)})
		if len(w.answers) > 0 {
			out.Header().Set("Location", "/elsewhere")
			out.WriteHeader(w.answers[0])
			_, _ = io.WriteString(out, "you have sent "+string(body)+r.Header.Get("Authorization"))
			w.answers = w.answers[1:]
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = a.tls.Clone()
	server.StartTLS()
	tb.Cleanup(server.Close)
	w.URL = server.URL
	return w
}

// Requests are those that arrived so far.
func (w *WebServer) Requests() []Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.requests)
}
