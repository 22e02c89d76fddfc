package sandbox

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A sandbox is plugged into a bridge at each start, and out again when it ends.
func TestNetwork(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for namespaces and mounts")
	}
	var space *os.File
	if err := onThread(func() (err error) {
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "lan"
		bridge := &netlink.Bridge{LinkAttrs: attrs}
		if err = netlink.LinkAdd(bridge); err != nil {
			return err
		}
		address, err := netlink.ParseAddr("192.0.2.1/24")
		if err == nil {
			err = netlink.AddrAdd(bridge, address)
		}
		if err == nil {
			err = netlink.LinkSetUp(bridge)
		}
		if err == nil {
			space, err = os.Open("/proc/thread-self/ns/net")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer space.Close()
	card := Interface{
		Name: "eth0", MAC: "52:54:00:00:00:07", Addresses: []string{"192.0.2.7/24"},
		Network: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), space.Fd()), Bridge: "lan",
	}
	s := started(t, Options{Interfaces: []Interface{card}})
	for range 2 {
		if got := sh(t, s, "ls /sys/class/net | xargs; cat /sys/class/net/eth0/address /sys/class/net/eth0/operstate"); got != "eth0 lo\n52:54:00:00:00:07\nup" {
			t.Error(got)
		}
		// The bridge's address answers: nothing listens there, which it says itself.
		out, err := try(t, s, "bash -c 'echo >/dev/tcp/192.0.2.1/9'")
		if err == nil || !strings.Contains(out, "refused") {
			t.Errorf("%s %v", out, err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		start(t, s)
	}
	card.Bridge = "none"
	if err := create(t, Options{Interfaces: []Interface{card}}).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "bridge none") {
		t.Error(err)
	}
}
