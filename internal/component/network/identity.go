package network

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
)

// hosts reads /etc/hosts (hosts(5)) without loopback and multicast lines.
func (c *Component) hosts() []Entry {
	path, err := c.env.Host.Path("/etc/hosts")
	if err != nil {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	return parseHosts(io.LimitReader(f, maxStream))
}

func parseHosts(r io.Reader) []Entry {
	var all []Entry
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) < 2 {
			continue
		}
		address, err := netip.ParseAddr(fields[0])
		if err != nil || address.IsLoopback() || address.IsMulticast() || strings.HasPrefix(fields[1], "ip6-") {
			continue
		}
		all = append(all, Entry{Address: fields[0], Names: fields[1:]})
	}
	return all
}

func (e Entry) String() string { return e.Address + " " + strings.Join(e.Names, " ") }

// short is the identity in a few facts.
func (i Identity) short() map[string]string {
	short := map[string]string{"hostname": i.Hostname, "fqdn": i.FQDN}
	for name, list := range map[string][]string{
		"addresses": i.Addresses(), "gateways": gateways(i.Network), "name servers": i.DNS.Servers, "search": i.DNS.Search,
	} {
		if len(list) > 0 {
			short[name] = strings.Join(list, ", ")
		}
	}
	return short
}

func gateways(n host.Network) []string {
	var all []string
	for _, r := range n.DefaultRoutes() {
		if r.Gateway != "" {
			all = append(all, r.Gateway)
		}
	}
	return all
}

func macs(n host.Network) []string {
	var all []string
	for _, i := range n.Interfaces {
		if i.MAC != "" {
			all = append(all, i.Name+" "+i.MAC)
		}
	}
	return all
}

func routes(n host.Network) []string {
	var all []string
	for _, r := range n.Routes {
		if !strings.HasPrefix(r.Destination, "default") && r.Gateway != "" {
			all = append(all, r.Destination+" via "+r.Gateway)
		}
	}
	return all
}

func entries(list []Entry) []string {
	var all []string
	for _, e := range list {
		all = append(all, e.String())
	}
	return all
}

// Text is the identity for a person who sets a machine up by hand.
func (i Identity) Text() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "Host name\t%s\n", i.Hostname)
	fmt.Fprintf(w, "Full name\t%s\n", i.FQDN)
	fmt.Fprintf(w, "Name servers\t%s\n", strings.Join(i.DNS.Servers, ", "))
	fmt.Fprintf(w, "Search domains\t%s\n", strings.Join(i.DNS.Search, ", "))
	fmt.Fprintf(w, "\nInterface\tHardware address\tState\tMTU\tAddresses\n")
	for _, n := range i.Interfaces {
		state := "down"
		if n.Up {
			state = "up"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", n.Name, n.MAC, state, n.MTU, strings.Join(n.Addresses, ", "))
	}
	fmt.Fprintf(w, "\nRoute to\tGateway\tInterface\tMetric\n")
	for _, r := range i.Routes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\n", r.Destination, r.Gateway, r.Interface, r.Metric)
	}
	fmt.Fprintf(w, "\nHosts file\n")
	for _, e := range i.Hosts {
		fmt.Fprintf(w, "%s\t%s\n", e.Address, strings.Join(e.Names, " "))
	}
	w.Flush() // into memory
	return out.String()
}

// compare tells how this machine differs from what was recorded.
func (c *Component) compare(ctx context.Context, was Identity) ([]component.Check, error) {
	now, err := c.identity(ctx)
	if err != nil {
		return nil, err
	}
	var checks []component.Check
	for _, side := range sides(was, now, c.env.Host.IsLocal()) {
		checks = append(checks, all(c.spec.Name+": "+side.name, side.was, side.now, side.hint))
	}
	return checks, nil
}

// side is one property of two identities.
type side struct {
	name, hint string
	was, now   []string
}

// sides are the properties that are compared. Of a machine that is not this one
// only the names are known: the addresses would be those of the rescue system.
func sides(was, now Identity, local bool) []side {
	names := []side{
		{"host name", "set it with hostnamectl set-hostname or in /etc/HOSTNAME, if this machine takes the old one's place", []string{was.Hostname}, []string{now.Hostname}},
		{"full name", "clients and certificates know the old name; see /etc/hosts and the DNS", []string{was.FQDN}, []string{now.FQDN}},
	}
	if !local {
		return names
	}
	return append(names, []side{
		{"addresses", "give the machine its old addresses, or change the DNS and what clients have configured", was.Addresses(), now.Addresses()},
		{"default gateways", "clients in other networks may not be reached", gateways(was.Network), gateways(now.Network)},
		{"other routes", "networks behind these gateways may not be reached", routes(was.Network), routes(now.Network)},
		{"name servers", "see /etc/resolv.conf", was.DNS.Servers, now.DNS.Servers},
		{"search domains", "short names may not be found; see /etc/resolv.conf", was.DNS.Search, now.DNS.Search},
		{"hosts file", "names may not be found; see /etc/hosts", entries(was.Hosts), entries(now.Hosts)},
		{"hardware addresses", "new hardware: DHCP reservations, PXE and licenses may be bound to the old ones", macs(was.Network), macs(now.Network)},
	}...)
}

// all is met when everything recorded is there; more is no difference.
func all(name string, was, now []string, hint string) component.Check {
	check := component.Check{Name: name, OK: true, Expected: strings.Join(was, ", "), Found: strings.Join(now, ", ")}
	for _, w := range was {
		if !slices.Contains(now, w) {
			check.OK, check.Warning, check.Hint = false, true, hint
		}
	}
	if check.Found == "" {
		check.Found = "none"
	}
	return check
}
