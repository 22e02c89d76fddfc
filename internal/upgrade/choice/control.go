package choice

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// ControlFile is where the automatic upgrade looks for its control file on the system
// that is upgraded, when the boot parameter autoupgrade=1 comes without an address of
// one (SLES 11 SP4, Deployment Guide, "Running the Automated Upgrade").
const ControlFile = "/root/autoupg.xml"

// Control is the control file of AutoYaST for an upgrade to a version. Nothing in it
// is secret: a system that is registered keeps its registration. A licence that nobody
// has accepted is an error, since nobody would be there to read it.
func (q Choices) Control(version string) ([]byte, error) {
	if q.Of(License) != Accept {
		return nil, fmt.Errorf("the licence of the new release is not accepted: read it, then answer --answer %s=%s", License, Accept)
	}
	n, err := strconv.Atoi(version)
	if err != nil {
		return nil, fmt.Errorf("%q is no version", version)
	}
	p := profile{
		Namespace: "http://www.suse.com/1.0/yast2ns", Config: "http://www.suse.com/1.0/configns",
		Upgrade:  upgrade{Stop: boolean(true)},
		Register: registration{Do: boolean(q.Of(Registration) == Register)},
	}
	if n < 15 { // from 15 on the solver decides
		only := boolean(q.Of(Mode) == Update)
		p.Upgrade.Only = &only
	}
	if patterns := strings.Fields(q.Of(Patterns)); len(patterns) > 0 {
		p.Software = &software{Patterns: list{Type: "list", Pattern: patterns}}
	}
	text, err := xml.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the control file: %w", err)
	}
	return []byte(xml.Header + "<!DOCTYPE profile>\n" + string(text) + "\n"), nil
}

// profile is AutoYaST's control file, as far as an upgrade needs it.
type profile struct {
	XMLName   xml.Name     `xml:"profile"`
	Namespace string       `xml:"xmlns,attr"`
	Config    string       `xml:"xmlns:config,attr"`
	Upgrade   upgrade      `xml:"upgrade"`
	Software  *software    `xml:"software"`
	Register  registration `xml:"suse_register"`
}

type upgrade struct {
	Only *flag `xml:"only_installed_packages"`
	Stop flag  `xml:"stop_on_solver_conflict"`
}

type software struct {
	Patterns list `xml:"patterns"`
}

type list struct {
	Type    string   `xml:"config:type,attr"`
	Pattern []string `xml:"pattern"`
}

type registration struct {
	Do flag `xml:"do_registration"`
}

type flag struct {
	Type  string `xml:"config:type,attr"`
	Value bool   `xml:",chardata"`
}

func boolean(value bool) flag { return flag{"boolean", value} }
