package sandbox

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
)

// network brings the interfaces of the fresh network namespace up.
func network(interfaces []Interface) error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	for _, i := range interfaces {
		if err := i.up(); err != nil {
			return fmt.Errorf("interface %s: %w", i.Name, err)
		}
	}
	return nil
}

func (i Interface) up() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = i.Name
	if i.MAC != "" {
		mac, err := net.ParseMAC(i.MAC)
		if err != nil {
			return err
		}
		attrs.HardwareAddr = mac
	}
	// A dummy interface, or, on kernels without that module, one end of a veth
	// pair whose other end stays here too.
	if err := netlink.LinkAdd(&netlink.Dummy{LinkAttrs: attrs}); err != nil {
		peer := i.Name + "-peer"
		if len(peer) > 15 { // IFNAMSIZ
			peer = peer[len(peer)-15:]
		}
		if err2 := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peer}); err2 != nil {
			return fmt.Errorf("neither a dummy (%w) nor a veth pair: %w", err, err2)
		}
		other, err := netlink.LinkByName(peer)
		if err == nil {
			err = netlink.LinkSetUp(other)
		}
		if err != nil {
			return err
		}
	}
	link, err := netlink.LinkByName(i.Name)
	if err != nil {
		return err
	}
	for _, a := range i.Addresses {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	if i.Gateway == "" {
		return nil
	}
	gw := net.ParseIP(i.Gateway)
	if gw == nil {
		return fmt.Errorf("gateway %q is no address", i.Gateway)
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gw})
}
