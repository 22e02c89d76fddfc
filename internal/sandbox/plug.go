package sandbox

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// plug connects the interfaces that lead somewhere. The init waits for its order
// meanwhile: it sees no network of the outer machine, and its own is there already.
func plug(pid int, interfaces []Interface) error {
	for n, i := range interfaces {
		if i.Network == "" {
			continue
		}
		port := "p" + strconv.Itoa(pid) + "-" + strconv.Itoa(n) // 15 bytes at most, the pid is its own
		if err := onThread(func() error { return i.plug(pid, port) }); err != nil {
			return fmt.Errorf("interface %s: plug it into the bridge %s of %s: %w", i.Name, i.Bridge, i.Network, err)
		}
	}
	return nil
}

// plug makes a veth pair from within the network: the near end is a port of its
// bridge, the far one the sandbox's interface. The kernel removes both when the
// sandbox's namespace goes. Must be called on a thread of its own.
func (i Interface) plug(pid int, port string) error {
	inside, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if err != nil {
		return err
	}
	defer inside.Close()
	network, err := os.Open(i.Network)
	if err != nil {
		return err
	}
	defer network.Close()
	if err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network: %w", err)
	}
	bridge, err := netlink.LinkByName(i.Bridge)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = port
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: i.Name, PeerNamespace: netlink.NsFd(inside.Fd())}
	if i.MAC != "" {
		if pair.PeerHardwareAddr, err = net.ParseMAC(i.MAC); err != nil {
			return err
		}
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	near, err := netlink.LinkByName(port)
	if err == nil {
		err = netlink.LinkSetMaster(near, bridge)
	}
	if err == nil {
		err = netlink.LinkSetUp(near)
	}
	return err
}
