package lab

import (
	"encoding/json"
	"fmt"
	"strings"

	"lifeboat/internal/lab/machine"
	"lifeboat/internal/lab/opsi"
	"lifeboat/internal/lab/smt"
)

// Products that the lab plays.
const (
	SMT  = "smt"
	Opsi = "opsi"
)

// product is what the lab needs of one.
type product struct {
	family string
	plug   func(*machine.Machine) error
	// setup is the double that makes a full server of a bare system and prints a
	// client's identity, install the one that installs the product as an
	// administrator begins a recovery; "" where that is the story itself.
	setup, install string
	system         []string // doubles that every system of it has
	fill           func(*Options) error
	spec           func(*Options) any
}

var products = map[string]product{
	SMT: {
		family: machine.SUSE, plug: smt.Plug, setup: "setup-smt", system: smt.SystemCommands, fill: fillSMT,
		spec: func(o *Options) any {
			s := smt.Spec{
				Schema: o.Schema, Version: o.Version, UpdateVersion: o.Update, UpdateSchema: o.UpdateSchema, Password: o.Password,
				UID: 108, WWWUID: 430, WWWGID: 467, MirrorTo: o.MirrorTo, CAPassword: CAPassword, Local: o.Local, OldScript: o.OldScript,
				MirrorTime: o.MirrorTime.String(),
			}
			if o.Fresh {
				s.UID, s.WWWUID, s.WWWGID = 478, 481, 485
			}
			return s
		},
	},
	Opsi: {
		family: machine.Debian, plug: opsi.Plug, setup: "setup-opsi", install: "install-opsi", fill: fillOpsi,
		spec: func(o *Options) any {
			s := opsi.Spec{Variant: o.Variant, Version: o.Version, Password: o.Password, Large: o.Large, Update: o.Update, UID: 441, GID: 446}
			if o.Fresh {
				s.UID, s.GID = 551, 557
			}
			return s
		},
	},
}

// plug adds the product that a machine plays.
func plug(m *machine.Machine) error {
	p, ok := products[m.Spec.Plays]
	if !ok {
		return fmt.Errorf("the lab plays no product %q", m.Spec.Plays)
	}
	return p.plug(m)
}

func (o *Options) fill() error {
	if o.Product == "" {
		o.Product = SMT
	}
	p, ok := products[o.Product]
	if !ok {
		return fmt.Errorf("the lab plays no product %q: choose smt or opsi", o.Product)
	}
	if o.Installed && p.install == "" {
		return fmt.Errorf("%s is not installed beforehand: that is a part of its recovery", o.Product)
	}
	set(&o.Address, "192.0.2.10/24")
	set(&o.MAC, "52:54:00:5b:04:75")
	if err := p.fill(o); err != nil {
		return err
	}
	if !strings.Contains(o.Hostname, ".") {
		return fmt.Errorf("host name %q has no domain", o.Hostname)
	}
	if o.Password == "nasty" {
		o.Password = NastyPassword
	}
	return nil
}

func set(to *string, value string) {
	if *to == "" {
		*to = value
	}
}

// lines maps schema to line, and back.
var lines = map[string]string{"0.09": "10", "0.14": "11", "3.09": "12", "3.08": "12"}

func fillSMT(o *Options) error {
	if o.Schema == "" {
		o.Schema = map[string]string{"10": "0.09", "11": "0.14", "12": "3.09", "": "3.09"}[o.Line]
	}
	line, ok := lines[o.Schema]
	if !ok {
		return fmt.Errorf("no lab system has schema %q: choose 0.09, 0.14 or 3.09", o.Schema)
	}
	set(&o.Line, line)
	set(&o.Hostname, "smt1.example.com")
	set(&o.MirrorTo, "/srv/www/htdocs")
	set(&o.Password, "smt4711")
	set(&o.Version, map[string]string{"0.09": "1.0.13", "0.14": "1.1.8"}[o.Schema])
	set(&o.Version, "3.0.46")
	return nil
}

func fillOpsi(o *Options) error {
	set(&o.Variant, opsi.Hybrid)
	switch o.Variant {
	case opsi.File, opsi.Hybrid:
		set(&o.Version, "4.2.0.309-1")
	case opsi.MySQL:
		set(&o.Version, "4.3.24.1-1")
	default:
		return fmt.Errorf("no lab system is of variant %q: choose file, hybrid or mysql", o.Variant)
	}
	set(&o.Line, "12")
	set(&o.Hostname, "opsi.example.com")
	set(&o.Password, "0ps1")
	return nil
}

func (o *Options) spec() (machine.Spec, error) {
	p := products[o.Product]
	raw, err := json.Marshal(p.spec(o))
	return machine.Spec{
		Family: p.family, Line: o.Line, Hostname: o.Hostname, Address: o.Address, MAC: o.MAC, Gateway: "192.0.2.1", DNS: "192.0.2.53",
		Username: "SCC_d91a7be2c1c5", Password: "9c0f5e1b2a", RegCode: "REG-LAB-1", Plays: o.Product, Product: raw,
	}, err
}
