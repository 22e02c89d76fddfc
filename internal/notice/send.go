package notice

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/config"
)

// Sender sends messages. The zero value knows nobody to send to. Safe for concurrent
// use.
type Sender struct {
	Notices []config.Notice
	// Limit bounds one notice with all its attempts; default 45 s.
	Limit time.Duration
	// Pauses lie between the attempts, one more than there are pauses; default 1 s
	// and 4 s.
	Pauses []time.Duration
}

// Outcome is what became of one notice.
type Outcome struct {
	Name     string
	To       string // where it went, without what is secret in it
	Attempts int
	Err      error // holds no secret
	Partly   bool  // all but those whom Err names have it
}

const limit = 45 * time.Second

var pauses = []time.Duration{time.Second, 4 * time.Second}

// Send sends the message to all who want it, at the same time, and returns when all
// have it or were given up. Where an answer is lost, a message may arrive twice.
func (s Sender) Send(ctx context.Context, m Message) []Outcome {
	m = m.Bounded()
	var wanted []config.Notice
	for _, n := range s.Notices {
		if Wants(n, m) {
			wanted = append(wanted, n)
		}
	}
	outcomes := make([]Outcome, len(wanted))
	var wait sync.WaitGroup
	for i, n := range wanted {
		wait.Go(func() { outcomes[i] = s.one(ctx, n, m) })
	}
	wait.Wait()
	return outcomes
}

// way is one way to send.
type way interface {
	// to is where it goes, without what is secret in it.
	to() string
	// send sends once. permanentError ends the attempts.
	send(ctx context.Context, m Message) error
	// secrets must not stand in an error.
	secrets() []string
}

// permanentError is one that the next attempt would have too.
type permanentError struct{ err error }

func (e permanentError) Error() string { return e.err.Error() }
func (e permanentError) Unwrap() error { return e.err }

// partialError is one that only some of those meant have to do with.
type partialError struct{ err error }

func (e partialError) Error() string { return e.err.Error() }
func (e partialError) Unwrap() error { return e.err }

func (s Sender) one(ctx context.Context, n config.Notice, m Message) Outcome {
	o := Outcome{Name: n.Name}
	most, between := s.Limit, s.Pauses
	if most <= 0 {
		most = limit
	}
	if between == nil {
		between = pauses
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	w, err := wayOf(ctx, n)
	if err != nil {
		o.Err = err
		return o
	}
	o.To = w.to()
	for {
		o.Attempts++
		err := w.send(ctx, m)
		if err == nil {
			o.Err, o.Partly = nil, false
			return o
		}
		if ctx.Err() == nil || o.Err == nil { // else the error before says more
			var partial partialError
			o.Partly = errors.As(err, &partial)
			o.Err = fmt.Errorf("%s: %s", o.To, conceal(err.Error(), w.secrets()))
		}
		var permanent permanentError
		if errors.As(err, &permanent) || o.Attempts > len(between) {
			return o
		}
		select {
		case <-ctx.Done():
			return o
		case <-time.After(between[o.Attempts-1]):
		}
	}
}

func wayOf(ctx context.Context, n config.Notice) (way, error) {
	switch {
	case n.Mail != nil:
		return newMail(ctx, *n.Mail)
	case n.Webhook != nil:
		return newWebhook(ctx, *n.Webhook)
	case n.Ping != nil:
		return newPing(ctx, n)
	}
	return nil, errors.New("it has neither mail nor webhook nor ping")
}

// secret reads a secret, or none.
func secret(ctx context.Context, p *config.Password) (string, error) {
	if p == nil {
		return "", nil
	}
	text, err := p.Read(ctx)
	defer clear(text)
	return string(text), err
}

// conceal is a safeguard: no error is made of a secret, but some are made of what a
// server says.
func conceal(text string, secrets []string) string {
	for _, s := range secrets {
		if len(s) > 3 {
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	return plain(text)
}

// trust is how a server's certificate is checked: by the authorities of a PEM file,
// or those of the system.
func trust(file, host string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if file == "" {
		return c, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("certificate authorities: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("certificate authorities: no certificate in PEM form in %s", file)
	}
	return c, nil
}

// isCertificate tells whether a certificate was refused: no repetition helps.
func isCertificate(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}
