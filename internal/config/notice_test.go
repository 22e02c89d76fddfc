package config

import (
	"reflect"
	"strings"
	"testing"
)

const noticed = good + `notices:
  - name: admins
    on: failure
    mail: {server: mail.example.com, from: Lifeboat <l@example.com>, to: a@example.com, user: l, password: {file: /etc/p}}
  - name: chat
    systems: [smt1]
    jobs: [backup, verify-b]
    by_hand: true
    webhook: {url_from: {file: /etc/url}, token: {credential: token}, secret: {env: KEY}, ca_file: /etc/ca.pem}
  - {name: watch, ping: {url: "http://watch.example.com/1234"}}
`

func TestNotices(t *testing.T) {
	c, err := Parse("lifeboat.yaml", []byte(noticed))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Notices) != 3 || c.Notices[0].Mail.To[0] != "a@example.com" || c.Notices[1].Webhook.URLFrom.File != "/etc/url" || c.Notices[2].Ping.URL == "" || !c.Notices[1].ByHand {
		t.Errorf("%+v", c.Notices)
	}
	text, err := Format(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for i := range c.Notices {
		c.Notices[i].Line, again.Notices[i].Line = 0, 0
	}
	if !reflect.DeepEqual(c.Notices, again.Notices) {
		t.Errorf("%+v\n%s", again.Notices, text)
	}
	for security, want := range map[string]int{"": 587, "tls": 465, "none": 25} {
		m := Mail{Server: "mail.example.com", Security: security}
		if host, port, err := m.Address(); err != nil || host != "mail.example.com" || port != want {
			t.Errorf("%s: %s %d, %v", security, host, port, err)
		}
	}
	v6 := Mail{Server: "[::1]:2525"}
	if host, port, err := v6.Address(); err != nil || host != "::1" || port != 2525 {
		t.Errorf("%s %d, %v", host, port, err)
	}
}

func TestWrongNotices(t *testing.T) {
	for says, change := range map[string][2]string{
		"exactly one of mail, webhook, ping":      {"watch, ping: {url: \"http://watch.example.com/1234\"}", "watch"},
		"a ping is sent of every run":             {"watch, ping", "watch, on: always, ping"},
		"no job \"bakup\"; did you mean backup?":  {"[backup, verify-b]", "[bakup]"},
		"unknown system smd1; did you mean smt1?": {"[smt1]", "[smd1]"},
		"is there twice":                          {"name: chat", "name: admins"},
		"is no mail address":                      {"to: a@example.com", "to: nobody"},
		"belong together":                         {", password: {file: /etc/p}", ""},
		"in the clear":                            {"user: l", "user: l, security: none"},
		"neither HOST nor HOST:PORT":              {"server: mail.example.com", "server: mail/x"},
		"is no port":                              {"server: mail.example.com", "server: 'mail:99999'"},
		"exactly one of url and url_from":         {"url_from: {file: /etc/url}, ", ""},
		"must be https":                           {"url_from: {file: /etc/url}", "url: http://chat.example.com/"},
		"no address like":                         {"http://watch.example.com/1234", "watch.example.com"},
		"no user and no password":                 {"http://watch", "http://me:secret@watch"},
		"ca_file: \"ca\" is not absolute":         {"/etc/ca.pem", "ca"},
		"exactly one of file, command":            {"token: {credential: token}", "token: {credential: token, file: /x}"},
	} {
		_, err := Parse("lifeboat.yaml", []byte(strings.Replace(noticed, change[0], change[1], 1)))
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v", says, err)
		}
	}
}
