package smt

import (
	"bytes"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
)

// name takes the lost machine's name from the address that SMT's clients know,
// when nothing better was saved.
func (f *finder) name(address string) {
	_, old := f.found["/etc/HOSTNAME"]
	_, now := f.found["/etc/hostname"]
	u, err := url.Parse(strings.TrimSpace(address))
	if old || now || err != nil {
		return
	}
	full := strings.ToLower(u.Hostname())
	short, domain, _ := strings.Cut(full, ".")
	if _, err := netip.ParseAddr(full); err == nil || short == "localhost" || !hostName.MatchString(full) {
		return
	}
	f.result.Facts = map[string]string{"hostname": short}
	if domain != "" {
		f.result.Facts["fqdn"] = full
	}
	f.result.Warnings = append(f.result.Warnings, fmt.Sprintf("the name of the lost machine, %s, is taken from smt.conf; if the machine had another one, save its /etc/HOSTNAME too", full))
}

// hostName is a name after RFC 1123, with or without a domain.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\.?$`)

// holdsName: a file that says nothing but the name of a machine.
func holdsName(file string) bool {
	info, err := os.Lstat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > 1<<10 {
		return false
	}
	text, err := os.ReadFile(file)
	return err == nil && hostName.Match(bytes.TrimSpace(text))
}
