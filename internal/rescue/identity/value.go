package identity

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"lifeboat/internal/excerpt"
)

// maxText bounds a serial number or hostname, in bytes (253 is DNS's bound).
const maxText = 253

// placeholders are what makers leave where a serial number should be, in lower case
// and without anything but letters and digits. Collected from what dmidecode shows
// on boards of many makers.
var placeholders = []string{
	"tobefilledbyoem", "tobefilledbyo", "defaultstring", "systemserialnumber", "serialnumber", "chassisserialnumber", "baseboardserialnumber",
	"notspecified", "notavailable", "notapplicable", "notpresent", "notset", "none", "unknown", "undefined", "invalid", "empty", "blank", "null", "na", "nil",
	"oem", "default", "sernum", "serial", "123456789", "0123456789", "1234567890", "12345678", "1234567", "123456", "012345678", "abcdefgh", "systemproductname", "productserial",
	"xxxxx", "test", "sample", "googleinternal",
}

// Serial normalises a serial number, or says why it is none.
func Serial(text string) (string, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	bare := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, text)
	switch {
	case len(text) > maxText || !printable(text):
		return "", errors.New("it is too long or holds control characters")
	case len(bare) < 4:
		return "", errors.New("it is too short to tell machines apart")
	case slices.Contains(placeholders, bare), oneSign(bare):
		return "", errors.New("it is what makers leave in when they set none")
	}
	return text, nil
}

// sharedUUIDs are on many boards.
var sharedUUIDs = []string{
	"03000200-0400-0500-0006-000700080009", "00020003-0004-0005-0006-000700080009",
	"12345678-1234-5678-90ab-cddeefaabbcc", "12345678-1234-1234-1234-123456789abc", "00112233-4455-6677-8899-aabbccddeeff",
	"fefefefe-fefe-fefe-fefe-fefefefefefe", "01234567-8900-0000-0000-000000000000", "12345678-1234-5678-1234-567812345678",
}

// UUID normalises a UUID, or says why it is none that tells machines apart.
func UUID(text string) (string, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	bare := strings.ReplaceAll(text, "-", "")
	raw, err := hex.DecodeString(bare)
	if err != nil || len(raw) != 16 || len(text) != 36 && len(text) != 32 {
		return "", errors.New("it is no UUID")
	}
	text = strings.Join([]string{bare[:8], bare[8:12], bare[12:16], bare[16:20], bare[20:]}, "-")
	if oneSign(bare) || slices.Contains(sharedUUIDs, text) {
		return "", errors.New("it is what makers leave in when they set none")
	}
	return text, nil
}

// MAC normalises an Ethernet address, or says why it is none of a card.
func MAC(text string) (string, error) {
	raw, err := net.ParseMAC(strings.TrimSpace(text))
	if err != nil || len(raw) != 6 {
		return "", fmt.Errorf("%q is no Ethernet address", excerpt.Line(text, 60))
	}
	if raw[0]&1 != 0 || oneSign(hex.EncodeToString(raw)) {
		return "", fmt.Errorf("%s is no address of one card", raw)
	}
	return raw.String(), nil
}

// generic are names that installers, rescue systems and images give, without domain.
var generic = []string{
	"localhost", "localhost4", "localhost6", "ip6-localhost", "rescue", "rescuesystem", "rescue-system", "lifeboat", "recovery", "recover", "rear", "relax-and-recover",
	"sysresccd", "systemrescue", "sysrescue", "grml", "knoppix", "clonezilla", "gparted", "finnix", "kali", "tails", "live", "livecd", "live-cd", "installer", "install", "netinst",
	"linux", "gnu", "unix", "debian", "ubuntu", "ubuntu-server", "fedora", "centos", "rocky", "almalinux", "alma", "rhel", "redhat", "suse", "opensuse", "sles", "sle", "arch", "archiso", "archlinux",
	"alpine", "gentoo", "nixos", "void", "slackware", "mint", "buildroot", "yocto", "busybox", "bootstrap", "pxe", "netboot", "minint", "template", "image", "vm", "guest", "host", "server", "computer", "machine",
	"node", "client", "test", "default", "none", "unknown", "unassigned", "changeme", "amnesiac", "dhcp", "box",
}

// Hostname normalises a host's name, or says why it is no machine's own.
func Hostname(text string) (string, error) {
	text = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(text), "."))
	first, _, _ := strings.Cut(text, ".")
	switch {
	case text == "" || len(text) > maxText:
		return "", errors.New("it is empty or too long")
	case strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" || first == "" || strings.HasPrefix(text, "-") || strings.Contains(text, ".."):
		return "", errors.New("it is no host's name")
	}
	if _, err := netip.ParseAddr(text); err == nil || strings.Trim(text, "0123456789.") == "" {
		return "", errors.New("it is an address, not a name")
	}
	if slices.Contains(generic, first) || slices.Contains(numbered, strings.TrimRight(first, "0123456789-")) {
		return "", errors.New("every rescue system may be called so")
	}
	return text, nil
}

// numbered are rescue systems with a number behind it too, such as rescue2. Other
// words with a number (server17) may well be a machine's own.
var numbered = []string{"localhost", "rescue", "recovery", "live", "installer"}

func printable(text string) bool {
	for _, r := range text {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return true
}

// oneSign tells text of one repeated character.
func oneSign(text string) bool {
	return text != "" && strings.Trim(text, text[:1]) == ""
}
