package rescue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/rescue/identity"
	"lifeboat/internal/rescue/source"
)

// Address says where the address of the recovery configuration may come from, in this
// order: what a person gave, the kernel command line, the medium, DHCP.
type Address struct {
	Given       string
	CommandLine string // the whole of it
	Medium      string // of rescue.yaml
	MediumFile  string
	DHCP        bool
	Wait        time.Duration // for each DHCP server
}

// Known tells whether there is an address without asking the network.
func (a Address) Known() bool {
	return a.Given != "" || a.Medium != "" || source.FromCommandLine(a.CommandLine) != ""
}

// Find gives the address and where it comes from.
func (a Address) Find(ctx context.Context, m identity.Machine) (url, from string, err error) {
	switch line := source.FromCommandLine(a.CommandLine); {
	case a.Given != "":
		return a.Given, "the command", nil
	case line != "":
		return line, "the kernel command line", nil
	case a.Medium != "":
		return a.Medium, a.MediumFile, nil
	case !a.DHCP:
		return "", "", nil
	}
	var errs []error
	for _, c := range m.Cards {
		if !c.Up {
			errs = append(errs, fmt.Errorf("card %s is down", c.Name))
			continue
		}
		url, err := source.FromDHCP(ctx, c, a.Wait)
		if err == nil {
			return url, fmt.Sprintf("DHCP option %d by %s", source.DHCPOption, c.Name), nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return "", "", nil
	}
	return "", "", fmt.Errorf("%w (%s)", errNoAddress, strings.ReplaceAll(errors.Join(errs...).Error(), "\n", "; "))
}
