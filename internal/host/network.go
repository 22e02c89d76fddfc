package host

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Network is the live network identity of a machine.
type Network struct {
	Interfaces []Interface `json:"interfaces,omitempty"` // without loopback, by name
	Routes     []Route     `json:"routes,omitempty"`     // of the main table, as the kernel lists them
	DNS        DNS         `json:"dns"`
}

// Interface is one network interface.
type Interface struct {
	Name      string   `json:"name"`
	MAC       string   `json:"mac,omitempty"`
	Type      string   `json:"type,omitempty"` // device, bridge, bond, vlan … as the kernel names it
	Up        bool     `json:"up"`
	MTU       int      `json:"mtu,omitempty"`
	Addresses []string `json:"addresses,omitempty"` // with prefix length; link-local ones left out
}

// Route is one route of the main table.
type Route struct {
	Destination string `json:"destination"` // a prefix, or "default" and "default6"
	Gateway     string `json:"gateway,omitempty"`
	Interface   string `json:"interface,omitempty"`
	Metric      int    `json:"metric,omitempty"`
}

// DNS is what resolv.conf(5) says.
type DNS struct {
	Servers []string `json:"servers,omitempty"`
	Search  []string `json:"search,omitempty"`
	Domain  string   `json:"domain,omitempty"`
}

// Addresses lists all addresses of the interfaces, without prefix length.
func (n Network) Addresses() []string {
	var all []string
	for _, i := range n.Interfaces {
		for _, a := range i.Addresses {
			plain, _, _ := strings.Cut(a, "/")
			all = append(all, plain)
		}
	}
	return all
}

// DefaultRoutes lists the routes to everywhere.
func (n Network) DefaultRoutes() []Route {
	var all []Route
	for _, r := range n.Routes {
		if strings.HasPrefix(r.Destination, "default") {
			all = append(all, r)
		}
	}
	return all
}

// Network reads interfaces and routes from the kernel and name servers from
// resolv.conf. Of a machine mounted below a root only the latter is known.
func (h *Host) Network(ctx context.Context) (Network, error) {
	n := Network{DNS: h.dns()}
	if err := ctx.Err(); err != nil || !h.IsLocal() {
		return n, err
	}
	links, err := dumped(netlink.LinkList)
	if err != nil {
		return n, fmt.Errorf("list network interfaces: %w", err)
	}
	names := map[int]string{}
	for _, link := range links {
		a := link.Attrs()
		names[a.Index] = a.Name
		if a.Flags&unix.IFF_LOOPBACK != 0 {
			continue
		}
		i := Interface{Name: a.Name, MAC: a.HardwareAddr.String(), Type: link.Type(), Up: a.Flags&unix.IFF_UP != 0, MTU: a.MTU}
		addresses, err := dumped(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_ALL) })
		if err != nil {
			return n, fmt.Errorf("list addresses of %s: %w", a.Name, err)
		}
		for _, address := range addresses {
			if address.IPNet != nil && !address.IP.IsLinkLocalUnicast() {
				i.Addresses = append(i.Addresses, address.IPNet.String())
			}
		}
		n.Interfaces = append(n.Interfaces, i)
	}
	slices.SortFunc(n.Interfaces, func(a, b Interface) int { return strings.Compare(a.Name, b.Name) })
	n.Routes, err = routes(names)
	return n, err
}

func routes(names map[int]string) ([]Route, error) {
	var all []Route
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := dumped(func() ([]netlink.Route, error) { return netlink.RouteList(nil, family) })
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, r := range list {
			to := Route{Interface: names[r.LinkIndex], Metric: r.Priority}
			if r.Gw != nil {
				to.Gateway = r.Gw.String()
			}
			switch {
			case r.Dst != nil && !r.Dst.IP.IsUnspecified():
				to.Destination = r.Dst.String()
			case family == netlink.FAMILY_V6:
				to.Destination = "default6"
			default:
				to.Destination = "default"
			}
			if ip, err := netip.ParsePrefix(to.Destination); err == nil && (ip.Addr().IsLinkLocalUnicast() || ip.Addr().IsMulticast()) {
				continue
			}
			all = append(all, to)
		}
	}
	return all, nil
}

// dumped repeats a listing that the kernel says changed while it was read.
func dumped[T any](list func() ([]T, error)) ([]T, error) {
	for range 5 {
		all, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return list()
}

// dns reads resolv.conf(5).
func (h *Host) dns() DNS {
	var d DNS
	for _, fields := range h.fields("/etc/resolv.conf") {
		switch fields[0] {
		case "nameserver":
			d.Servers = append(d.Servers, fields[1])
		case "search":
			d.Search = fields[1:]
		case "domain":
			d.Domain = fields[1]
		}
	}
	if d.Domain == "" && len(d.Search) > 0 {
		d.Domain = d.Search[0]
	}
	return d
}
