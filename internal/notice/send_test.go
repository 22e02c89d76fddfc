package notice_test

import (
	"encoding/json"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/notice"
	"lifeboat/internal/notice/noticetest"
)

const password = "a password of the test"

// failure is a message that everybody wants.
var failure = notice.Message{
	Type: notice.AboutRun, Host: "smt1", Systems: []string{"smt"}, Job: "backup", Result: notice.Failed, State: "failed", Exit: 1,
	Scheduled: true, Version: "1", Problems: []string{"the disk of the database is full: Größe 0"}, Next: []string{"lifeboat schedule run smt backup"},
}

func file(t *testing.T, text string) *config.Password {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &config.Password{File: name}
}

// send sends to one, with no time lost between the attempts.
func send(t *testing.T, n config.Notice, m notice.Message) notice.Outcome {
	t.Helper()
	n.Name = "one"
	if n.Mail != nil {
		if err := n.Mail.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	sender := notice.Sender{Notices: []config.Notice{n}, Pauses: []time.Duration{time.Millisecond, time.Millisecond}, Limit: time.Minute}
	outcomes := sender.Send(t.Context(), m)
	if len(outcomes) != 1 {
		t.Fatalf("%d outcomes", len(outcomes))
	}
	if err := outcomes[0].Err; err != nil && strings.Contains(err.Error(), password) {
		t.Errorf("a secret stands in: %v", err)
	}
	return outcomes[0]
}

func TestMail(t *testing.T) {
	a := noticetest.NewAuthority(t)
	for _, security := range []string{noticetest.StartTLS, noticetest.TLS, noticetest.Plain} {
		t.Run(security, func(t *testing.T) {
			m := config.Mail{Security: security, From: "Lifeboat <lifeboat@example.com>", To: config.Files{"admin@example.com", "boss@example.com"}}
			if security != noticetest.Plain {
				m.User, m.Password, m.CAFile = "lifeboat", file(t, password), a.File
			}
			server := noticetest.NewMailServer(t, a, security, m.User, password)
			m.Server = server.Addr
			server.Busy(1)
			if o := send(t, config.Notice{Mail: &m}, failure); o.Err != nil || o.Attempts != 2 {
				t.Fatalf("%+v", o)
			}
			got := server.Mails()
			if len(got) != 1 || got[0].From != "lifeboat@example.com" || strings.Join(got[0].To, " ") != "admin@example.com boss@example.com" || got[0].TLS == (security == noticetest.Plain) {
				t.Fatalf("%+v", got)
			}
			read, err := mail.ReadMessage(strings.NewReader(got[0].Text))
			if err != nil {
				t.Fatal(err)
			}
			if read.Header.Get("Subject") != "[lifeboat] smt1: backup of smt: failed" || read.Header.Get("Auto-Submitted") != "auto-generated" || read.Header.Get("Date") == "" || read.Header.Get("Message-ID") == "" {
				t.Errorf("%v", read.Header)
			}
			if !strings.Contains(got[0].Text, "lifeboat schedule run smt backup") {
				t.Error(got[0].Text)
			}
		})
	}
}

func TestMailIsNotSent(t *testing.T) {
	a := noticetest.NewAuthority(t)
	from, to := "lifeboat@example.com", config.Files{"admin@example.com"}
	for name, c := range map[string]struct {
		security, caFile, password, says string
		attempts                         int
	}{
		"an authority that is not trusted": {noticetest.StartTLS, "", password, "certificate is not trusted", 1},
		"no STARTTLS":                      {noticetest.Plain, a.File, password, "STARTTLS", 3},
		"another password":                 {noticetest.StartTLS, a.File, "another " + password, "535", 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := noticetest.NewMailServer(t, a, c.security, "lifeboat", password)
			m := config.Mail{Server: server.Addr, From: from, To: to, User: "lifeboat", Password: file(t, c.password), CAFile: c.caFile}
			o := send(t, config.Notice{Mail: &m}, failure)
			if o.Err == nil || !strings.Contains(o.Err.Error(), c.says) || !strings.Contains(o.Err.Error(), server.Addr) || o.Attempts != c.attempts {
				t.Errorf("%d attempts: %v", o.Attempts, o.Err)
			}
			if len(server.Mails()) != 0 {
				t.Error("it was sent")
			}
		})
	}
	gone := config.Mail{Server: "127.0.0.1:1", Security: "none", From: from, To: to}
	if o := send(t, config.Notice{Mail: &gone}, failure); o.Err == nil || o.Attempts != 3 {
		t.Errorf("no server: %+v", o)
	}
	missing := config.Mail{Server: "127.0.0.1:1", From: from, To: to, User: "u", Password: &config.Password{File: "/nowhere/secret"}}
	if o := send(t, config.Notice{Mail: &missing}, failure); o.Err == nil || !strings.Contains(o.Err.Error(), "/nowhere/secret is not there") {
		t.Errorf("no password: %+v", o)
	}
}

// Whom the server refuses is named, and the others have the mail.
func TestRefusedRecipient(t *testing.T) {
	server := noticetest.NewMailServer(t, noticetest.NewAuthority(t), noticetest.Plain, "", "")
	server.Refuse("gone@example.com")
	m := config.Mail{Server: server.Addr, Security: "none", From: "lifeboat@example.com", To: config.Files{"admin@example.com", "gone@example.com", "boss@example.com"}}
	o := send(t, config.Notice{Mail: &m}, failure)
	if o.Err == nil || !o.Partly || o.Attempts != 1 || !strings.Contains(o.Err.Error(), "gone@example.com: ") || !strings.Contains(o.Err.Error(), "nobody of that name") || strings.Contains(o.Err.Error(), "admin@") {
		t.Errorf("%+v", o)
	}
	var to []string
	for _, mail := range server.Mails() {
		to = append(to, mail.To...)
	}
	if strings.Join(to, " ") != "admin@example.com boss@example.com" {
		t.Errorf("it went to %v", to)
	}
	// Who has it, or will never be taken, is not asked again while another is to come again.
	asked := server.Asked("gone@example.com")
	server.Defer("boss@example.com")
	if o := send(t, config.Notice{Mail: &m}, failure); o.Err == nil || !o.Partly || o.Attempts != 3 || !strings.Contains(o.Err.Error(), "nobody of that name") || !strings.Contains(o.Err.Error(), "come again") {
		t.Errorf("%+v", o)
	}
	if n := server.Asked("gone@example.com"); n != asked+2 { // together with the others, and alone
		t.Errorf("one who is refused was asked for %d times, after %d", n, asked)
	}
	server.Defer()
	server.Refuse("admin@example.com", "gone@example.com", "boss@example.com")
	if o := send(t, config.Notice{Mail: &m}, failure); o.Err == nil || o.Partly || o.Attempts != 1 {
		t.Errorf("all are refused: %+v", o)
	}
}

func TestWebhook(t *testing.T) {
	a := noticetest.NewAuthority(t)
	server := noticetest.NewWebServer(t, a, 503, 429)
	hook := config.Webhook{Address: config.Address{URLFrom: file(t, server.URL+"/hooks/x7q9")}, Token: file(t, password), Secret: file(t, "a key"), CAFile: a.File}
	if o := send(t, config.Notice{Webhook: &hook}, failure); o.Err != nil || o.Attempts != 3 || o.To != server.URL {
		t.Fatalf("%+v", o)
	}
	got := server.Requests()[2]
	if got.Path != "/hooks/x7q9" || got.Header.Get("Authorization") != "Bearer "+password || got.Header.Get(notice.SignatureHeader) != notice.Signature([]byte(got.Body), "a key") {
		t.Errorf("%+v", got)
	}
	var read notice.Message
	if err := json.Unmarshal([]byte(got.Body), &read); err != nil || read.Result != notice.Failed || read.Systems[0] != "smt" || !strings.Contains(read.Text, "lifeboat schedule run smt backup") {
		t.Errorf("%+v, %v", read, err)
	}
	for code, says := range map[int]string{404: "404 Not Found", 302: "leads elsewhere", 401: "401 Unauthorized"} {
		server := noticetest.NewWebServer(t, a, code)
		hook.URLFrom = file(t, server.URL+"/hooks/x7q9")
		o := send(t, config.Notice{Webhook: &hook}, failure)
		if o.Err == nil || o.Attempts != 1 || !strings.Contains(o.Err.Error(), says) || strings.Contains(o.Err.Error(), "x7q9") {
			t.Errorf("%d: %+v", code, o)
		}
		if len(server.Requests()) != 1 {
			t.Errorf("%d: %d requests", code, len(server.Requests()))
		}
	}
	hook.CAFile, hook.URLFrom = "", file(t, server.URL+"/hooks/x7q9")
	if o := send(t, config.Notice{Webhook: &hook}, failure); o.Err == nil || o.Attempts != 1 || !strings.Contains(o.Err.Error(), "certificate is not trusted") || strings.Contains(o.Err.Error(), "x7q9") {
		t.Errorf("another authority: %+v", o)
	}
	hook.URLFrom = file(t, "http://127.0.0.1:1/hooks/x7q9")
	if o := send(t, config.Notice{Webhook: &hook}, failure); o.Err == nil || !strings.Contains(o.Err.Error(), "must be https") {
		t.Errorf("without TLS: %+v", o)
	}
}

func TestPing(t *testing.T) {
	a := noticetest.NewAuthority(t)
	server := noticetest.NewWebServer(t, a)
	n := config.Notice{Ping: &config.Ping{Address: config.Address{URL: server.URL + "/7f0a?create=1"}, CAFile: a.File}}
	begun, done, trial := failure, failure, failure
	begun.Result, done.Result, trial.Type = notice.Begun, notice.Done, notice.AboutTrial
	for _, m := range []notice.Message{begun, done, failure, trial} {
		if o := send(t, n, m); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	got := server.Requests()
	for i, path := range []string{"/7f0a/start?create=1", "/7f0a?create=1", "/7f0a/fail?create=1", "/7f0a/log?create=1"} {
		if got[i].Path != path || (got[i].Body == "") != (i == 0) {
			t.Errorf("%d: %+v", i, got[i])
		}
	}
	if !strings.Contains(got[2].Body, "the disk of the database is full") {
		t.Error(got[2].Body)
	}
}

// Servers that take a connection and say nothing more are given up in time, and all
// at once.
func TestSilentServers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := l.Addr().String()
	outcomes := notice.Sender{Limit: 200 * time.Millisecond, Notices: []config.Notice{
		{Name: "mail", Mail: &config.Mail{Server: at, Security: "none", From: "a@example.com", To: config.Files{"b@example.com"}}},
		{Name: "secure", Mail: &config.Mail{Server: at, Security: "tls", From: "a@example.com", To: config.Files{"b@example.com"}}},
		{Name: "webhook", Webhook: &config.Webhook{Address: config.Address{URL: "https://" + at}}},
		{Name: "ping", Ping: &config.Ping{Address: config.Address{URL: "http://" + at}}},
	}}.Send(t.Context(), failure)
	if len(outcomes) != 4 {
		t.Fatalf("%+v", outcomes)
	}
	for _, o := range outcomes {
		if o.Err == nil {
			t.Errorf("%s was sent", o.Name)
		}
	}
}
