package source

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"

	"lifeboat/internal/fleet/record"
)

// Target is one address to ask, and what of this machine stands in it.
type Target struct {
	URL  string
	Uses []string // such as "serial czc1234abc"
}

// variables are what an address may hold, as $NAME or ${NAME}.
var variables = []string{"HOSTNAME", "MAC_ADDRESS", "SERVER_ID", "SERIAL", "UUID"}

// ErrAddress says that an address cannot be used.
var ErrAddress = errors.New("the address of the recovery configuration cannot be used")

// ErrMissing says that this machine does not have what the address needs; cards may
// come up yet. It is an ErrAddress too.
var ErrMissing = fmt.Errorf("%w", ErrAddress)

const maxURL = 8192

// serverPath is where a fleet server answers.
const serverPath = "/recovery/v1/configuration"

// template is an address in the parts between which values are escaped differently.
type template struct {
	scheme    string
	authority string
	path      string
	query     string
}

func parse(text string) (template, error) {
	bad := func(format string, args ...any) (template, error) {
		return template{}, fmt.Errorf("%w: %s", ErrAddress, fmt.Sprintf(format, args...))
	}
	if len(text) > maxURL || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) || r == ' ' }) {
		return bad("it is too long, or holds blanks or control characters")
	}
	var t template
	var rest string
	var ok bool
	if t.scheme, rest, ok = strings.Cut(text, ":"); !ok {
		return bad("%q has no scheme; one looks like https://fleet.example.com:8444", text)
	}
	t.scheme = strings.ToLower(t.scheme)
	switch t.scheme {
	case "http", "https", "nfs":
		if rest, ok = strings.CutPrefix(rest, "//"); !ok {
			return bad("%q has no // behind its scheme", text)
		}
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		t.authority, rest = rest[:end], rest[end:]
		if t.authority == "" {
			return bad("%q names no server", text)
		}
		if strings.Contains(t.authority, "@") {
			return bad("it holds a user or password; the configuration is protected by its signature and the recovery code")
		}
	case "file":
		rest = strings.TrimPrefix(rest, "//")
		if !strings.HasPrefix(rest, "/") {
			return bad("%q is no file:///PATH", text)
		}
	default:
		return bad("%q is none of http:, https:, nfs: and file:", t.scheme+":")
	}
	if strings.Contains(rest, "#") {
		return bad("%q has a fragment (#), which no server sees", text)
	}
	t.path, t.query, ok = strings.Cut(rest, "?")
	if ok && t.scheme != "http" && t.scheme != "https" {
		return bad("%q has a query (?), which %s: does not know", text, t.scheme)
	}
	for _, part := range []string{t.authority, t.path, t.query} {
		if _, err := tokens(part); err != nil {
			return template{}, err
		}
	}
	return t, nil
}

// token is literal text or the name of a variable.
type token struct{ text, name string }

func tokens(text string) ([]token, error) {
	var all []token
	for text != "" {
		at := strings.IndexByte(text, '$')
		if at < 0 {
			return append(all, token{text: text}), nil
		}
		if at > 0 {
			all = append(all, token{text: text[:at]})
		}
		text = text[at+1:]
		name, braced := text, strings.HasPrefix(text, "{")
		if braced {
			end := strings.IndexByte(text, '}')
			if end < 0 {
				return nil, fmt.Errorf("%w: a ${ has no }", ErrAddress)
			}
			name, text = text[1:end], text[end+1:]
		} else {
			end := strings.IndexFunc(text, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') })
			if end < 0 {
				end = len(text)
			}
			name, text = text[:end], text[end:]
		}
		if !slices.Contains(variables, name) {
			return nil, fmt.Errorf("%w: $%s is unknown; there are $%s", ErrAddress, name, strings.Join(variables, ", $"))
		}
		all = append(all, token{name: name})
	}
	return all, nil
}

// uses tells whether a variable occurs.
func (t template) uses(name string) bool {
	for _, part := range []string{t.authority, t.path, t.query} {
		list, _ := tokens(part)
		if slices.ContainsFunc(list, func(k token) bool { return k.name == name }) {
			return true
		}
	}
	return false
}

// Expand makes the addresses to ask of one with variables in it: one for each card
// if $MAC_ADDRESS occurs. A fleet server that is named alone gets everything that is
// known, in one request. Server is the id or name that a person gave; "" is none.
func Expand(text string, id record.Identity, server string) ([]Target, error) {
	t, err := parse(text)
	if err != nil {
		return nil, err
	}
	plain := !strings.Contains(text, "$")
	if plain && (t.scheme == "http" || t.scheme == "https") && strings.Trim(t.path, "/") == "" && t.query == "" {
		return t.whole(id, server)
	}
	values := map[string]string{"HOSTNAME": id.Hostname, "SERVER_ID": server, "SERIAL": id.Serial, "UUID": id.UUID}
	var used, missing []string
	for _, name := range variables {
		switch {
		case !t.uses(name):
		case name == "MAC_ADDRESS":
			if len(id.MACs) == 0 {
				missing = append(missing, "$"+name)
			}
		case values[name] == "":
			missing = append(missing, "$"+name)
		default:
			used = append(used, strings.ToLower(name)+" "+values[name])
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%w: it needs %s, which this machine does not have or which says nothing about it; name the host (lifeboat rescue fetch ID)", ErrMissing, strings.Join(missing, " and "))
	}
	if !t.uses("MAC_ADDRESS") {
		u, err := t.fill(values)
		if err != nil {
			return nil, err
		}
		return []Target{{u, used}}, nil
	}
	var all []Target
	for _, mac := range id.MACs {
		values["MAC_ADDRESS"] = mac
		u, err := t.fill(values)
		if err != nil {
			return nil, err
		}
		all = append(all, Target{u, append(slices.Clone(used), "mac_address "+mac)})
	}
	return all, nil
}

// whole is the request that a fleet server understands.
func (t template) whole(id record.Identity, server string) ([]Target, error) {
	q := url.Values{}
	var used []string
	add := func(key, value string) {
		if value != "" {
			q.Add(key, value)
			used = append(used, key+" "+value)
		}
	}
	add("id", server)
	add("serial", id.Serial)
	add("uuid", id.UUID)
	for _, mac := range id.MACs {
		add("mac", mac)
	}
	add("hostname", id.Hostname)
	if len(used) == 0 {
		return nil, fmt.Errorf("%w: this machine has neither a serial number nor a card or name that says which one it is; name the host (lifeboat rescue fetch ID)", ErrMissing)
	}
	return []Target{{t.scheme + "://" + t.authority + serverPath + "?" + q.Encode(), used}}, nil
}

// fill puts values in, each escaped for its place: what they hold never becomes
// another server, directory or parameter.
func (t template) fill(values map[string]string) (string, error) {
	var b strings.Builder
	b.WriteString(t.scheme + ":")
	if t.scheme != "file" {
		authority, err := put(t.authority, values, label)
		if err != nil {
			return "", err
		}
		b.WriteString("//" + authority)
	}
	escape := func(v string) (string, error) { return url.PathEscape(v), nil }
	if t.scheme == "file" || t.scheme == "nfs" {
		escape = segment
	}
	where, err := put(t.path, values, escape)
	if err != nil {
		return "", err
	}
	if err := steady(where); err != nil {
		return "", err
	}
	b.WriteString(where)
	if t.query != "" {
		query, err := put(t.query, values, func(v string) (string, error) { return url.QueryEscape(v), nil })
		if err != nil {
			return "", err
		}
		b.WriteString("?" + query)
	}
	return b.String(), nil
}

func put(text string, values map[string]string, escape func(string) (string, error)) (string, error) {
	list, err := tokens(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, k := range list {
		part := k.text
		if k.name != "" {
			if part, err = escape(values[k.name]); err != nil {
				return "", fmt.Errorf("%w: $%s: %w", ErrAddress, k.name, err)
			}
		}
		b.WriteString(part)
	}
	return b.String(), nil
}

// label is a value within a server's name.
func label(value string) (string, error) {
	if strings.Trim(strings.ToLower(value), "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
		return "", errors.New("it holds what no server's name may hold")
	}
	return value, nil
}

// segment is a value within a path that is used as it is.
func segment(value string) (string, error) {
	if strings.ContainsFunc(value, func(r rune) bool { return r == '/' || r == '\\' || !unicode.IsPrint(r) }) {
		return "", errors.New("it holds what no file's name may hold")
	}
	return value, nil
}

// steady refuses paths that values have made to climb.
func steady(where string) error {
	plain, err := url.PathUnescape(where)
	if err != nil {
		plain = where
	}
	for _, part := range strings.Split(plain, "/") {
		if part == "." || part == ".." {
			return fmt.Errorf("%w: its path climbs (%s)", ErrAddress, path.Clean(plain))
		}
	}
	return nil
}
