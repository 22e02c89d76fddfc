// Package identity says by what a machine may be recognised: serial number and UUID
// of its firmware, the addresses of its network cards, its name. What many machines
// share is refused, with the reason. Who is asked with it, and what the answer is,
// must not enter.
package identity

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/fleet/record"
)

// Machine is what is known of this one.
type Machine struct {
	record.Identity
	Cards   []Card    // those whose addresses are in Identity, by name
	Refused []Refused // what was found and does not count
}

// Card is a network card.
type Card struct {
	Name string `json:"name"`
	MAC  string `json:"mac"`
	Kind string `json:"kind"` // device, veth, … as the kernel names it
	Up   bool   `json:"up"`
}

// Refused is a value that says nothing about which machine this is.
type Refused struct {
	What  string `json:"what"` // hostname, serial, uuid
	Value string `json:"value"`
	Why   string `json:"why"`
}

// Read looks at this machine. Root is where its files are, "/" but in tests. Serial
// number and UUID can only be read by root.
func Read(root string) (Machine, error) {
	cards, err := Cards()
	if err != nil {
		return Machine{}, err
	}
	m := files(root)
	m.Cards = cards
	for _, c := range cards {
		if !slices.Contains(m.MACs, c.MAC) {
			m.MACs = append(m.MACs, c.MAC)
		}
	}
	return m, nil
}

// dmi is where Linux shows what the firmware says (Documentation/ABI/testing/
// sysfs-class-dmi of the kernel); devices without DMI have a device tree.
const (
	dmi        = "sys/class/dmi/id"
	deviceTree = "sys/firmware/devicetree/base/serial-number"
	maxValue   = 4096
)

func files(root string) Machine {
	var m Machine
	take := func(what string, into *string, judge func(string) (string, error), paths ...string) {
		for _, p := range paths {
			text := value(filepath.Join(root, p))
			if text == "" {
				continue
			}
			good, err := judge(text)
			if err == nil {
				*into = good
				return
			}
			if r := (Refused{what, excerpt.Line(text, 60), err.Error()}); !slices.Contains(m.Refused, r) {
				m.Refused = append(m.Refused, r)
			}
		}
	}
	take("serial", &m.Serial, Serial, dmi+"/product_serial", dmi+"/chassis_serial", deviceTree)
	take("uuid", &m.UUID, UUID, dmi+"/product_uuid")
	take("hostname", &m.Hostname, Hostname, "etc/hostname", "proc/sys/kernel/hostname")
	return m
}

// value is the first line of a small file that is not a comment; "" if there is
// none.
func value(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxValue))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.Trim(line, " \t\r\n\x00"); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	return ""
}

// Cards lists the network cards whose addresses tell machines apart: those with
// hardware below them. In a container or namespace, which has none, a veth, macvlan
// or ipvlan is the card. A card that is part of a bond counts with its own address.
func Cards() ([]Card, error) {
	var links []netlink.Link
	var err error
	for range 10 {
		if links, err = netlink.LinkList(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list network cards: %w", err)
	}
	var real, virtual []Card
	for _, link := range links {
		a := link.Attrs()
		kind := link.Type()
		mac := a.PermHWAddr
		if _, err := MAC(mac.String()); err != nil {
			mac = a.HardwareAddr
		}
		address, err := MAC(mac.String())
		if err != nil || a.Flags&net.FlagLoopback != 0 || a.EncapType != "ether" && a.EncapType != "" {
			continue
		}
		c := Card{Name: a.Name, MAC: address, Kind: kind, Up: a.Flags&net.FlagUp != 0}
		switch kind {
		case "device":
			real = append(real, c)
		case "veth", "macvlan", "ipvlan":
			virtual = append(virtual, c)
		}
	}
	if len(real) == 0 {
		real = virtual
	}
	slices.SortFunc(real, func(a, b Card) int { return strings.Compare(a.Name, b.Name) })
	return real, nil
}

// Shared tells which parts of an identity two machines have in common: "serial",
// "uuid", "mac", "hostname".
func Shared(a, b record.Identity) []string {
	var shared []string
	same := func(what, x, y string) {
		if x != "" && x == y {
			shared = append(shared, what)
		}
	}
	same("serial", a.Serial, b.Serial)
	same("uuid", a.UUID, b.UUID)
	if slices.ContainsFunc(a.MACs, func(m string) bool { return slices.Contains(b.MACs, m) }) {
		shared = append(shared, "mac")
	}
	same("hostname", a.Hostname, b.Hostname)
	return shared
}

// Differ tells in which parts of their hardware two machines differ, where both say
// something of it: "serial", "uuid", "mac".
func Differ(a, b record.Identity) []string {
	var parts []string
	other := func(what, x, y string) {
		if x != "" && y != "" && x != y {
			parts = append(parts, what)
		}
	}
	other("serial", a.Serial, b.Serial)
	other("uuid", a.UUID, b.UUID)
	if len(a.MACs) > 0 && len(b.MACs) > 0 && !slices.ContainsFunc(a.MACs, func(m string) bool { return slices.Contains(b.MACs, m) }) {
		parts = append(parts, "mac")
	}
	return parts
}
