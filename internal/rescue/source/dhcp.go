package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"

	"lifeboat/internal/rescue/identity"
)

// DHCPOption is the number of the option that carries the address, one of those that
// sites may give a meaning to (RFC 3942: 224 to 254).
const DHCPOption = 224

// ErrNoOption says that a DHCP server answered and knows no address.
var ErrNoOption = errors.New("the DHCP server names no recovery configuration")

// FromDHCP asks the DHCP servers behind a card, which must be up. It looks at an
// offer and takes no lease, so the network of the machine stays as it is.
func FromDHCP(ctx context.Context, card identity.Card, wait time.Duration) (string, error) {
	mac, err := net.ParseMAC(card.MAC)
	if err != nil {
		return "", fmt.Errorf("ask for DHCP by %s: %w", card.Name, err)
	}
	client, err := nclient4.New(card.Name, nclient4.WithTimeout(wait), nclient4.WithRetry(1), nclient4.WithHWAddr(mac))
	if err != nil {
		return "", fmt.Errorf("ask for DHCP by %s: %w", card.Name, err)
	}
	defer client.Close()
	option := dhcpv4.GenericOptionCode(DHCPOption)
	offer, err := client.DiscoverOffer(ctx, dhcpv4.WithRequestedOptions(option))
	if err != nil {
		return "", fmt.Errorf("ask for DHCP by %s: %w", card.Name, err)
	}
	text := strings.TrimRight(string(offer.Options.Get(option)), "\x00") // as some servers end it
	if text == "" {
		return "", fmt.Errorf("%s: %w (option %d)", card.Name, ErrNoOption, DHCPOption)
	}
	if _, err := parse(text); err != nil {
		return "", fmt.Errorf("option %d of DHCP by %s: %w", DHCPOption, card.Name, err)
	}
	return text, nil
}
