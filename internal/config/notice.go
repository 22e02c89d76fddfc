package config

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"lifeboat/internal/strict"
)

// What a notice is sent on.
const (
	OnFailure = "failure"
	OnWarning = "warning" // failures too
	OnAlways  = "always"
)

// What notices tell of beside the jobs of a schedule.
const (
	ToldRecover = "recover"
	ToldRestore = "restore"
)

// Notice says who is told what became of a run. Exactly one way is given.
type Notice struct {
	Name string `yaml:"name" jsonschema:"required"`
	// On is the least that is told; for a ping what counts as a failure. Default
	// OnWarning, of a ping OnFailure.
	On      string   `yaml:"on,omitempty" jsonschema:"enum=failure,enum=warning,enum=always"`
	Systems []string `yaml:"systems,omitempty"` // default all
	// Jobs are what was done, by the names of a schedule, or recover or restore, which
	// only people call; default all.
	Jobs []string `yaml:"jobs,omitempty"`
	// ByHand also tells of what a person has called, who sees it anyway.
	ByHand  bool     `yaml:"by_hand,omitempty"`
	Mail    *Mail    `yaml:"mail,omitempty"`
	Webhook *Webhook `yaml:"webhook,omitempty"`
	Ping    *Ping    `yaml:"ping,omitempty"`
	Line    int      `yaml:"-"`
}

// Mail is a message by SMTP.
type Mail struct {
	Server string `yaml:"server" jsonschema:"required"` // host, or host:port
	// Security is starttls (port 587 unless said otherwise), tls from the beginning
	// (465) or none (25). Default starttls; a server without it gets nothing.
	Security string    `yaml:"security,omitempty" jsonschema:"enum=starttls,enum=tls,enum=none"`
	From     string    `yaml:"from" jsonschema:"required"`
	To       Files     `yaml:"to" jsonschema:"required"` // one or several
	User     string    `yaml:"user,omitempty"`
	Password *Password `yaml:"password,omitempty"`
	CAFile   string    `yaml:"ca_file,omitempty"` // PEM, of the only authorities trusted
}

// Address is a URL, or where it is: that of a ping or a webhook often is a secret.
type Address struct {
	URL     string    `yaml:"url,omitempty"`
	URLFrom *Password `yaml:"url_from,omitempty"`
}

// Webhook is a POST of JSON.
type Webhook struct {
	Address `yaml:",inline"`
	Token   *Password `yaml:"token,omitempty"`  // sent as Authorization: Bearer
	Secret  *Password `yaml:"secret,omitempty"` // key of the HMAC-SHA256 that signs the body
	CAFile  string    `yaml:"ca_file,omitempty"`
}

// Ping tells a service that waits for it when a run begins, succeeds and fails.
type Ping struct {
	Address `yaml:",inline"`
	CAFile  string `yaml:"ca_file,omitempty"`
}

func handleNotices(doc *strict.Document) {
	strict.Handle(doc, func(node *yaml.Node, n *Notice) {
		n.Line = node.Line
		doc.Fill(node, n)
	})
	strict.Handle(doc, func(node *yaml.Node, m *Metrics) { doc.Fill(node, m) })
	strict.Handle(doc, func(node *yaml.Node, m *Mail) { doc.Fill(node, m) })
	strict.Handle(doc, func(node *yaml.Node, w *Webhook) { doc.Fill(node, w) })
	strict.Handle(doc, func(node *yaml.Node, p *Ping) { doc.Fill(node, p) })
}

// Validate checks what a notice is made of.
func (n *Notice) Validate() error {
	var errs []error
	ways := 0
	for _, given := range []bool{n.Mail != nil, n.Webhook != nil, n.Ping != nil} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		errs = append(errs, fmt.Errorf("notice %s needs exactly one of mail, webhook, ping", n.Name))
	}
	if n.Ping != nil && n.On == OnAlways {
		errs = append(errs, fmt.Errorf("notice %s: a ping is sent of every run; on says what counts as a failure: failure, or warning", n.Name))
	}
	for _, job := range n.Jobs {
		if JobKind(job) == "" && job != ToldRecover && job != ToldRestore {
			errs = append(errs, fmt.Errorf("notice %s: jobs: there is no job %q%s", n.Name, job, strict.Suggest(job, append([]string{ToldRecover, ToldRestore}, jobKinds...))))
		}
	}
	return errors.Join(errs...)
}

// Validate checks addresses, and that no password goes in the clear.
func (m *Mail) Validate() error {
	_, _, err := m.Address()
	errs := []error{err, absolute("ca_file", m.CAFile)}
	if _, err := mail.ParseAddress(m.From); err != nil {
		errs = append(errs, fmt.Errorf("from: %q is no mail address", m.From))
	}
	if len(m.To) == 0 {
		errs = append(errs, errors.New("to: nobody is named"))
	}
	for _, to := range m.To {
		if _, err := mail.ParseAddress(to); err != nil {
			errs = append(errs, fmt.Errorf("to: %q is no mail address", to))
		}
	}
	switch {
	case (m.User == "") != (m.Password == nil):
		errs = append(errs, errors.New("user and password belong together"))
	case m.User != "" && m.Security == "none":
		errs = append(errs, errors.New("security: none would send the password in the clear"))
	case m.CAFile != "" && m.Security == "none":
		errs = append(errs, errors.New("ca_file has no meaning with security: none"))
	}
	return errors.Join(errs...)
}

// Address is the server's host and port.
func (m *Mail) Address() (host string, port int, err error) {
	host, port = m.Server, map[string]int{"": 587, "starttls": 587, "tls": 465, "none": 25}[m.Security]
	if h, p, splitErr := net.SplitHostPort(m.Server); splitErr == nil {
		n, convErr := strconv.ParseUint(p, 10, 16)
		if convErr != nil || n == 0 {
			return "", 0, fmt.Errorf("server: %q is no port", p)
		}
		host, port = h, int(n)
	}
	host = strings.Trim(host, "[]")
	if host == "" || strings.ContainsAny(host, "/@ ") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return "", 0, fmt.Errorf("server: %q is neither HOST nor HOST:PORT", m.Server)
	}
	return host, port, nil
}

// validate checks an address; secret says that something secret goes to it.
func (a *Address) validate(secret bool) error {
	if (a.URL == "") == (a.URLFrom == nil) {
		return errors.New("exactly one of url and url_from says where to")
	}
	if a.URL == "" {
		return nil
	}
	return CheckAddress(a.URL, secret)
}

// CheckAddress refuses what is no address of a web server, and one without TLS where
// something secret goes there. The error does not show it.
func CheckAddress(address string, secret bool) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("url: that is no address like https://host/path")
	case u.User != nil:
		return errors.New("url: it must hold no user and no password; use token")
	case u.Scheme != "https" && secret:
		return errors.New("url: a secret goes there, so it must be https")
	}
	return nil
}

// Validate checks the address.
func (w *Webhook) Validate() error {
	return errors.Join(w.validate(w.Token != nil), absolute("ca_file", w.CAFile))
}

// Validate checks the address.
func (p *Ping) Validate() error {
	return errors.Join(p.validate(false), absolute("ca_file", p.CAFile))
}

// checkNotices finds what is wrong with the notices among the rest.
func checkNotices(doc *strict.Document, c *Config) {
	systems := c.SystemNames()
	for _, n := range c.Notices {
		for _, s := range n.Systems {
			if !slices.Contains(systems, s) {
				doc.ProblemAt(n.Line, "notice %s: unknown system %s%s", n.Name, s, strict.Suggest(s, systems))
			}
		}
	}
}

// Notice finds a notice by name.
func (c *Config) Notice(name string) (Notice, bool) {
	for _, n := range c.Notices {
		if n.Name == name {
			return n, true
		}
	}
	return Notice{}, false
}
