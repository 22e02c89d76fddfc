package zypper

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"lifeboat/internal/host"
)

// Notice is an update notice of a package repository (zypper calls it a patch): which
// packages are to be brought up to what, and why.
type Notice struct {
	Name     string   `json:"name"`
	Summary  string   `json:"summary,omitempty"`
	Severity string   `json:"severity,omitempty"`
	Status   string   `json:"status"` // needed, applied, not-needed, undetermined
	Issues   []Issue  `json:"issues"`
	Packages []Update `json:"packages,omitempty"`
}

// Issue is what a notice is about: Type is cve, bugzilla or another tracker.
type Issue struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// Update is the edition of a package from which on a notice is content.
type Update struct {
	Name    string `json:"name"`
	Edition string `json:"edition"`
}

// Needed tells whether the root lacks what the notice brings.
func (n Notice) Needed() bool { return n.Status == "needed" }

// plainIssue is what may stand in an argument: a list is separated by commas.
var plainIssue = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// maxNotices bounds how many notices are read, and how many issues of one.
const maxNotices = 5000

// Notices lists the update notices of the root's package repositories about issues:
// CVE numbers, and numbers of bugs. The caches are used as they are. (zypper's exit
// code is 0 for issues that no notice names, too.)
func (z *Zypper) Notices(ctx context.Context, cves, bugs []string) ([]Notice, error) {
	var list []Notice
	for _, ask := range []struct {
		option string
		ids    []string
	}{{"--cve=", cves}, {"--bugzilla=", bugs}} {
		if len(ask.ids) == 0 {
			continue
		}
		for _, id := range ask.ids {
			if !plainIssue.MatchString(id) {
				return nil, fmt.Errorf("%q is no number of a CVE or a bug", id)
			}
		}
		out, err := z.said(ctx, "--xmlout", "--no-refresh", "list-patches", "--all", ask.option+strings.Join(ask.ids, ","))
		if err != nil {
			return nil, fmt.Errorf("list update notices: %w", err)
		}
		found, err := readNotices(out)
		if err != nil {
			return nil, fmt.Errorf("list update notices: %w", err)
		}
		for _, n := range found {
			if !hasNotice(list, n.Name) {
				list = append(list, n)
			}
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list, z.packagesOf(ctx, list)
}

func hasNotice(list []Notice, name string) bool {
	for _, n := range list {
		if n.Name == name {
			return true
		}
	}
	return false
}

// said is what a call of zypper that changes nothing has printed.
func (z *Zypper) said(ctx context.Context, command ...string) ([]byte, error) {
	var out bytes.Buffer
	err := z.o.Runner.Run(ctx, host.Command{
		Args: append(z.arguments(), command...), Env: append(z.environment(), "LC_ALL=C"), Files: z.files(),
		Stdout: &limited{w: &out, left: maxOutput},
	})
	return out.Bytes(), err
}

func readNotices(data []byte) ([]Notice, error) {
	d := xml.NewDecoder(bytes.NewReader(printable(data)))
	d.Strict = false
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var list []Notice
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "update" {
			continue
		}
		var u struct {
			Kind     string `xml:"kind,attr"`
			Name     string `xml:"name,attr"`
			Status   string `xml:"status,attr"`
			Severity string `xml:"severity,attr"`
			Summary  string `xml:"summary"`
			Issues   []struct {
				Type string `xml:"type,attr"`
				ID   string `xml:"id,attr"`
			} `xml:"issue-list>issue"`
		}
		if err := d.DecodeElement(&u, &start); err != nil {
			return list, err
		}
		if u.Kind != "patch" || u.Name == "" || hasNotice(list, u.Name) {
			continue
		}
		if len(list) >= maxNotices || len(u.Issues) > maxNotices {
			return list, fmt.Errorf("there are more than %d notices, or issues of one", maxNotices)
		}
		n := Notice{Name: u.Name, Summary: tidy(u.Summary), Severity: u.Severity, Status: u.Status}
		for _, i := range u.Issues {
			n.Issues = append(n.Issues, Issue{Type: i.Type, ID: i.ID})
		}
		list = append(list, n)
	}
}

// packagesOf fills in what the notices are about. Only zypper's words tell it: a notice
// conflicts with all older editions.
func (z *Zypper) packagesOf(ctx context.Context, list []Notice) error {
	args := []string{"--no-refresh", "info", "--type", "patch"}
	for _, n := range list {
		if strings.HasPrefix(n.Name, "-") {
			return fmt.Errorf("%q is no name of an update notice", n.Name)
		}
		args = append(args, n.Name)
	}
	out, err := z.said(ctx, args...)
	if err != nil {
		return fmt.Errorf("look at update notices: %w", err)
	}
	updates := readUpdates(out)
	for i := range list {
		list[i].Packages = updates[list[i].Name]
	}
	return nil
}

var older = regexp.MustCompile(`^(\S+?)(?:\.(?:noarch|src|x86_64|i[3-6]86|ppc64|ppc64le|s390x?|ia64|aarch64))? < (\S+)$`)

func readUpdates(out []byte) map[string][]Update {
	updates := map[string][]Update{}
	name, conflicts := "", false
	for line := range strings.Lines(string(printable(out))) {
		line = strings.TrimRight(line, "\n")
		key, value, keyed := strings.Cut(line, ":")
		switch {
		case keyed && !strings.HasPrefix(line, " "):
			key, value = strings.TrimSpace(key), strings.TrimSpace(value)
			if conflicts = key == "Conflicts"; key == "Name" {
				name = value
			}
		default:
			value = strings.TrimSpace(line)
		}
		// Several stand below the key, behind their number in brackets.
		m := older.FindStringSubmatch(value)
		if conflicts && m != nil && m[1] != "srcpackage" {
			updates[name] = append(updates[name], Update{Name: m[1], Edition: m[2]})
		}
	}
	return updates
}

// Changelog is what rpm has of the changes of an installed package, the newest first,
// in rpm's own form.
func (z *Zypper) Changelog(ctx context.Context, name string) (string, error) {
	out, err := z.query(ctx, "--query", "--changelog", "--", name)
	if err != nil {
		return "", fmt.Errorf("changes of %s: %w", name, err)
	}
	return out, nil
}

// Documents lists the files of an installed package that are marked as documentation
// or lie where documentation does.
func (z *Zypper) Documents(ctx context.Context, name string) ([]string, error) {
	out, err := z.query(ctx, "--query", "--list", "--", name)
	if err != nil {
		return nil, fmt.Errorf("files of %s: %w", name, err)
	}
	var list []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "/usr/share/doc/") {
			list = append(list, line)
		}
	}
	return list, nil
}
