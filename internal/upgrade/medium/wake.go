package medium

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// ParseMAC reads the address of one Ethernet card.
func ParseMAC(text string) (net.HardwareAddr, error) {
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 || bytes.Equal(mac, make([]byte, 6)) {
		return nil, fmt.Errorf("%q is no address of an Ethernet card, such as 52:54:00:12:34:56", text)
	}
	return mac, nil
}

// Wake sends the packet that wakes a machine (AMD's magic packet: six times 0xff, then
// the card's address sixteen times) to a broadcast address, by one card or, with "", by
// the one that the routes lead to. Whether somebody wakes, nobody tells.
func Wake(ctx context.Context, mac net.HardwareAddr, card, to string) error {
	dial := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var bound error
		err := raw.Control(func(fd uintptr) {
			if card != "" {
				bound = unix.BindToDevice(int(fd), card)
			}
		})
		return errors.Join(err, bound)
	}}
	conn, err := dial.DialContext(ctx, "udp4", to)
	if err != nil {
		return fmt.Errorf("wake %s: %w", mac, err)
	}
	packet := append(bytes.Repeat([]byte{0xff}, 6), bytes.Repeat(mac, 16)...)
	for range 3 { // one may be lost
		if _, err = conn.Write(packet); err != nil {
			break
		}
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("wake %s: %w", mac, err)
	}
	return nil
}
