package medium

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"lifeboat/internal/nfs/nfstest"
)

func TestTFTP(t *testing.T) {
	if !nfstest.Alone(t, "in.tftpd") {
		return
	}
	// It looks addresses up only where there is a network besides loopback.
	card := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "card"}, PeerName: "far"}
	if err := netlink.LinkAdd(card); err != nil {
		t.Fatal(err)
	}
	address, err := netlink.ParseAddr("10.224.0.1/24")
	if err = errors.Join(err, netlink.AddrAdd(card, address), netlink.LinkSetUp(card)); err != nil {
		t.Fatal(err)
	}
	suse := newVendor(t, "SUSE")
	dir := published(t, suse)
	nfstest.Serve(t, "in.tftpd", "--foreground", "--ipv4", "--secure", "--user", "nobody", "--address", "127.0.0.1:69", dir)
	conforms(t, "tftp://127.0.0.1/pub", suse, Login{})
}

// A server that is silent is given up, one that repeats itself is not read twice, and
// packets of others do not count.
func TestTFTPServer(t *testing.T) {
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	stranger, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	block := append([]byte{0, 3, 0, 1}, make([]byte, 512)...)
	go func() {
		buffer := make([]byte, 600)
		for {
			n, from, err := server.ReadFromUDP(buffer)
			if err != nil {
				return
			}
			if buffer[1] == 1 { // asked for
				_, _ = server.WriteToUDP(block, from)
				_, _ = server.WriteToUDP(block, from)
				continue
			}
			_, _ = stranger.WriteToUDP([]byte{0, 3, 0, 2, 'x'}, from)
			_, _ = server.WriteToUDP([]byte{0, 3, 0}, from)
			_, _ = server.WriteToUDP([]byte{0, 3, 0, 2, 'e', 'n', 'd'}, from)
			_ = n
		}
	}()
	d := dialer{t.Context(), time.Minute}
	f, err := trivial{d, server.LocalAddr().String(), "/"}.open(t.Context(), "file")
	if err != nil {
		t.Fatal(err)
	}
	text, err := bounded(f, 10_000)
	if err != nil || len(text) != 515 || string(text[512:]) != "end" {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (trivial{d, stranger.LocalAddr().String(), "/"}).open(ctx, "file"); !errors.Is(err, context.Canceled) {
		t.Errorf("silence: %v", err)
	}
	d.limit = time.Millisecond
	if _, err := (trivial{d, stranger.LocalAddr().String(), "/"}).open(t.Context(), "file"); err == nil {
		t.Error("silence is an answer")
	}
}
