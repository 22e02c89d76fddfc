package medium

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"lifeboat/internal/nfs/nfstest"
)

// The packet leaves by the card that was named, although no route leads there.
func TestWake(t *testing.T) {
	if !nfstest.Alone(t) {
		return
	}
	card := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "card"}, PeerName: "far"}
	if err := netlink.LinkAdd(card); err != nil {
		t.Fatal(err)
	}
	far, err := netlink.LinkByName("far")
	if err != nil {
		t.Fatal(err)
	}
	address, err := netlink.ParseAddr("10.224.0.1/24")
	if err = errors.Join(err, netlink.AddrAdd(card, address), netlink.LinkSetUp(card), netlink.LinkSetUp(far)); err != nil {
		t.Fatal(err)
	}
	wire, err := listenAll("far")
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	if err := wire.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	mac, err := ParseMAC("52:54:00:12:34:56")
	if err != nil {
		t.Fatal(err)
	}
	want := append(bytes.Repeat([]byte{0xff}, 6), bytes.Repeat(mac, 16)...)
	if err := Wake(t.Context(), mac, "card", "255.255.255.255:9"); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 2048)
	for {
		n, err := wire.Read(frame)
		if err != nil {
			t.Fatalf("nothing came: %v", err)
		}
		if bytes.Contains(frame[:n], want) && bytes.HasPrefix(frame[:n], want[:6]) {
			break // to the broadcast address of Ethernet
		}
	}
	if err := Wake(t.Context(), mac, "none", "255.255.255.255:9"); err == nil {
		t.Error("a card that is not there is taken")
	}
}

func TestParseMAC(t *testing.T) {
	for text, good := range map[string]bool{
		"52:54:00:12:34:56": true, "52-54-00-12-34-56": true, "5254.0012.3456": true,
		"ff:ff:ff:ff:ff:ff": false, "00:00:00:00:00:00": false, "01:00:5e:00:00:01": false, "52:54:00:12:34": false, "02:00:5e:10:00:00:00:01": false, "": false, "x": false,
	} {
		if mac, err := ParseMAC(text); (err == nil) != good {
			t.Errorf("%q: %v, %v", text, net.HardwareAddr(mac), err)
		}
	}
}
