package opsi

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"lifeboat/internal/lab/machine"
)

// writeDHCP writes the DHCP server's configuration with a block a client, as
// opsi's DHCP backend keeps it, and a file that it includes.
func (m *model) writeDHCP() error {
	server := m.servers[0]
	_, domain, _ := strings.Cut(server.id, ".")
	var b strings.Builder
	fmt.Fprintf(&b, "# written by hand, clients by opsi\nuse-host-decl-names on;\nddns-update-style none;\nauthoritative;\noption domain-name \"%s\";\n\ninclude \"/etc/dhcp/site options.conf\";\n\n", domain)
	fmt.Fprintf(&b, "subnet 192.0.2.0 netmask 255.255.255.0 {\n    option routers 192.0.2.1;\n    group {\n        next-server %s;\n        filename \"linux/pxelinux.0\";\n", server.id)
	for _, c := range m.clients {
		if c.mac == "" {
			continue
		}
		fmt.Fprintf(&b, "        host %s {\n            fixed-address %s;\n            hardware ethernet %s;\n        }\n", short(c.id), c.id, c.mac)
	}
	b.WriteString("    }\n}\n")
	return writeFiles([]file{
		{dhcpdConf, b.String(), 0o664, "root:opsiadmin"},
		{"/etc/dhcp/site options.conf", "# Büro Köln\noption ntp-servers " + server.ip + ";\n", 0o644, "root:root"},
	})
}

var include = regexp.MustCompile(`(?m)^\s*include\s+"([^"]+)"\s*;`)

// checkDHCP finds what would keep the DHCP server from starting: missing files and
// blocks without an end.
func checkDHCP(path string, depth int) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("dhcpd: can't open %s: %w", path, err)
	}
	if depth > 5 {
		return fmt.Errorf("dhcpd: %s includes itself", path)
	}
	text := string(raw)
	if strings.Count(text, "{") != strings.Count(text, "}") {
		return fmt.Errorf("dhcpd: %s: unmatched braces", path)
	}
	for _, found := range include.FindAllStringSubmatch(text, -1) {
		if err := checkDHCP(filepath.Clean(found[1]), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func dhcpdUnit() *machine.Unit {
	check := func(*machine.Machine) error { return checkDHCP(dhcpdConf, 0) }
	return &machine.Unit{Name: "isc-dhcp-server", Order: 40, Start: check, Reload: check}
}
