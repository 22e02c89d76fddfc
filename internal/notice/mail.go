package notice

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"time"

	"github.com/wneessen/go-mail"

	"lifeboat/internal/config"
)

// mailTimeout bounds each read and write of an SMTP connection.
const mailTimeout = 15 * time.Second

type mailWay struct {
	config.Mail
	client   *mail.Client
	at       string
	password string
}

func newMail(ctx context.Context, m config.Mail) (way, error) {
	host, port, err := m.Address()
	if err != nil {
		return nil, err
	}
	w := &mailWay{Mail: m, at: net.JoinHostPort(host, strconv.Itoa(port))}
	options := []mail.Option{mail.WithPort(port), mail.WithTimeout(mailTimeout), mail.WithoutNoop()}
	switch m.Security {
	case "none":
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		trusted, err := trust(m.CAFile, host)
		if err != nil {
			return nil, err
		}
		options = append(options, mail.WithTLSConfig(trusted), mail.WithTLSPolicy(mail.TLSMandatory))
		if m.Security == "tls" {
			options = append(options, mail.WithSSL())
		}
	}
	if m.User != "" {
		if w.password, err = secret(ctx, m.Password); err != nil {
			return nil, err
		}
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(m.User), mail.WithPassword(w.password))
	}
	if w.client, err = mail.NewClient(host, options...); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return w, nil
}

func (w *mailWay) to() string        { return "mail server " + w.at }
func (w *mailWay) secrets() []string { return []string{w.password} }

func (w *mailWay) send(ctx context.Context, m Message) error {
	text := mail.NewMsg()
	if err := errors.Join(text.From(w.From), text.To(w.To...)); err != nil {
		return permanentError{err}
	}
	text.Subject("[lifeboat] " + m.Subject())
	text.SetDate()
	text.SetMessageID()
	// A machine wrote it, and wants no answer of another one (RFC 3834).
	text.SetGenHeader("Auto-Submitted", "auto-generated")
	text.SetBodyString(mail.TypeTextPlain, m.Subject()+"\n"+m.body())
	// The library heeds the context only while it connects; its own time limit ends
	// what is left behind here.
	sent := make(chan error, 1)
	go func() { sent <- w.client.DialAndSendWithContext(ctx, text) }()
	var err error
	select {
	case err = <-sent:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var refused *mail.SendError
	var answer *textproto.Error
	switch {
	case err == nil:
		return nil
	case isCertificate(err):
		return permanentError{fmt.Errorf("its certificate is not trusted: %w", err)}
	case errors.As(err, &refused) && !refused.IsTemp(), errors.As(err, &answer) && answer.Code >= 500:
		return permanentError{err}
	}
	return err
}
