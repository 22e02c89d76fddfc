package notice

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"lifeboat/internal/config"
)

// mailTimeout bounds each read and write of an SMTP connection.
const mailTimeout = 15 * time.Second

type mailWay struct {
	config.Mail
	client   *mail.Client
	left     []string // who has it not yet
	refused  []string // what was said of those whom the server will never take
	apart    bool     // one by one, as the server refused somebody
	at       string
	password string
}

func newMail(ctx context.Context, m config.Mail) (way, error) {
	host, port, err := m.Address()
	if err != nil {
		return nil, err
	}
	w := &mailWay{Mail: m, left: m.To, at: net.JoinHostPort(host, strconv.Itoa(port))}
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

// send sends one mail to all. Where the server refuses some of them, the library sends
// none, so each then gets one of their own, and those who are refused are named.
func (w *mailWay) send(ctx context.Context, m Message) error {
	if !w.apart {
		text, err := w.mail(m, w.To...)
		if err != nil {
			return permanentError{err}
		}
		err = w.deliver(ctx, text)
		var refused *mail.SendError
		if len(w.To) < 2 || !errors.As(err, &refused) || refused.Reason != mail.ErrSMTPRcptTo {
			return err
		}
		w.apart = true
	}
	return w.sendApart(ctx, m)
}

func (w *mailWay) sendApart(ctx context.Context, m Message) error {
	var texts []*mail.Msg
	for _, to := range w.left {
		text, err := w.mail(m, to)
		if err != nil {
			return permanentError{err}
		}
		texts = append(texts, text)
	}
	err := w.deliver(ctx, texts...)
	if ctx.Err() != nil {
		return err // the library may still be at it
	}
	var left, said []string
	for i, to := range w.left {
		if texts[i].IsDelivered() {
			continue
		}
		why := err
		if texts[i].HasSendError() {
			why = texts[i].SendError()
			if !texts[i].SendErrorIsTemp() { // nor is the next attempt to ask again
				w.refused = append(w.refused, to+": "+why.Error())
				continue
			}
		}
		left = append(left, to)
		if why != nil {
			said = append(said, to+": "+why.Error())
		}
	}
	w.left = left
	if len(left)+len(w.refused) == 0 {
		return nil
	}
	err = errors.New(strings.Join(slices.Concat(w.refused, said), "; "))
	if len(left)+len(w.refused) < len(w.To) {
		err = partialError{err}
	}
	if len(left) == 0 {
		err = permanentError{err}
	}
	return err
}

func (w *mailWay) mail(m Message, to ...string) (*mail.Msg, error) {
	text := mail.NewMsg()
	if err := errors.Join(text.From(w.From), text.To(to...)); err != nil {
		return nil, err
	}
	text.Subject("[lifeboat] " + m.Subject())
	text.SetDate()
	text.SetMessageID()
	// A machine wrote it, and wants no answer of another one (RFC 3834).
	text.SetGenHeader("Auto-Submitted", "auto-generated")
	text.SetBodyString(mail.TypeTextPlain, m.Subject()+"\n"+m.body())
	return text, nil
}

func (w *mailWay) deliver(ctx context.Context, texts ...*mail.Msg) error {
	// The library heeds the context only while it connects; its own time limit ends
	// what is left behind here.
	sent := make(chan error, 1)
	go func() { sent <- w.client.DialAndSendWithContext(ctx, texts...) }()
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
