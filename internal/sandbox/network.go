package sandbox

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
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
	if i.Network == "" { // else it was plugged in from outside
		// A dummy interface or, on kernels without that module, one end of a veth pair.
		if err := netlink.LinkAdd(&netlink.Dummy{LinkAttrs: attrs}); err != nil {
			if err2 := addVeth(attrs); err2 != nil {
				return fmt.Errorf("neither a dummy (%w) nor a veth pair: %w", err, err2)
			}
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

// elsewhere keeps the network namespaces of the far ends of veth pairs alive.
var elsewhere []*os.File

// addVeth makes one end of a veth pair. The other is put into a namespace of
// its own, where no program of the sandbox sees it.
func addVeth(attrs netlink.LinkAttrs) error {
	peer := "peer" + strconv.Itoa(len(elsewhere))
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peer}); err != nil {
		return err
	}
	var space *os.File
	err := onThread(func() (err error) {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			space, err = os.Open("/proc/thread-self/ns/net")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("namespace for the other end: %w", err)
	}
	elsewhere = append(elsewhere, space)
	other, err := netlink.LinkByName(peer)
	if err == nil {
		err = netlink.LinkSetNsFd(other, int(space.Fd()))
	}
	if err != nil {
		return err
	}
	return onThread(func() error {
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		other, err := netlink.LinkByName(peer)
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(other)
	})
}
