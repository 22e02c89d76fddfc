package source

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lifeboat/internal/rescue/identity"
)

// inNamespace runs a function in a network namespace of its own, in which "card" is
// a card of ours and "far" its other end, with an address.
func inNamespace(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the namespace ends with the thread
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("unshare: %v", err)
			return
		}
		card := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "card", HardwareAddr: []byte{0x52, 0x54, 0, 0xaa, 0xbb, 1}}, PeerName: "far", PeerHardwareAddr: []byte{0x52, 0x54, 0, 0xaa, 0xbb, 2}}
		if err := netlink.LinkAdd(card); err != nil {
			t.Errorf("make cards: %v", err)
			return
		}
		far, err := netlink.LinkByName("far")
		if err != nil {
			t.Error(err)
			return
		}
		address, _ := netlink.ParseAddr("10.224.0.1/24")
		if err := errors.Join(netlink.AddrAdd(far, address), netlink.LinkSetUp(far), netlink.LinkSetUp(card)); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// The address comes from a real DHCP server, by a card that has no address.
func TestFromDHCP(t *testing.T) {
	dnsmasq, err := exec.LookPath("dnsmasq")
	if err != nil {
		t.Skip("needs dnsmasq (dnsmasq-base): serves DHCP")
	}
	for _, option := range []string{"https://fleet.example.com:8444", "", "ftp://nowhere"} {
		inNamespace(t, func() {
			cards, err := identity.Cards()
			if err != nil || len(cards) != 2 || cards[0].Name != "card" || cards[0].MAC != "52:54:00:aa:bb:01" || !cards[0].Up {
				t.Errorf("cards: %+v, %v", cards, err)
				return
			}
			dir := t.TempDir()
			args := []string{
				"--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=far", "--bind-dynamic", "--dhcp-range=10.224.0.10,10.224.0.20,1h", "--no-ping", "--dhcp-authoritative",
				"--dhcp-leasefile=" + filepath.Join(dir, "leases"), "--pid-file=" + filepath.Join(dir, "pid"), "--user=root", "--group=root", "--no-resolv", "--no-hosts",
			}
			if option != "" {
				args = append(args, "--dhcp-option=224,"+option)
			}
			server := exec.Command(dnsmasq, args...)
			var out strings.Builder
			server.Stderr = &out
			if err := server.Start(); err != nil {
				t.Error(err)
				return
			}
			defer func() {
				_ = server.Process.Kill()
				_ = server.Wait()
			}()
			// The server needs a while to come up, like the network of a rescue system.
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			var got string
			for {
				got, err = FromDHCP(ctx, cards[0], time.Second)
				if err == nil || ctx.Err() != nil || errors.Is(err, ErrNoOption) || errors.Is(err, ErrAddress) {
					break
				}
			}
			switch option {
			case "":
				if !errors.Is(err, ErrNoOption) {
					t.Errorf("no option: %q, %v\n%s", got, err, out.String())
				}
			case "ftp://nowhere":
				if !errors.Is(err, ErrAddress) {
					t.Errorf("a bad one: %q, %v", got, err)
				}
			default:
				if err != nil || got != option {
					t.Errorf("%q, %v\n%s", got, err, out.String())
				}
			}
			if leases, err := os.ReadFile(filepath.Join(dir, "leases")); err == nil && strings.Contains(string(leases), "10.224") {
				t.Errorf("a lease was taken: %s", leases)
			}
		})
	}
}
