package medium

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// listenAll receives all frames of a card.
func listenAll(card string) (*os.File, error) {
	const all = 0x0300 // ETH_P_ALL, in the order of the network
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all)
	if err != nil {
		return nil, err
	}
	far, err := net.InterfaceByName(card)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: far.Index})
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), card), nil
}
