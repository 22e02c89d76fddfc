package opsi

import (
	"context"
	"slices"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/product/opsi/backend"
	"lifeboat/internal/product/opsi/rename"
)

// Remaining lists the backends with data that opsi uses after a restore and that
// are not restored: what is in them is of another moment. The settings are those
// of the archive; they say what is used when its configuration is restored, too.
func Remaining(ctx context.Context, h *host.Host, saved map[string]string, components []string, configuration bool) ([]string, error) {
	kinds := strings.Fields(saved["backends"])
	if !configuration {
		v, err := lookAt(ctx, h)
		if err != nil {
			return nil, err
		}
		kinds = v.kinds()
	}
	var remaining []string
	for _, known := range saveable {
		// What the DHCP server has is made of the others.
		if known.kind != backend.DHCP && slices.Contains(kinds, string(known.kind)) && !slices.Contains(components, known.component) {
			remaining = append(remaining, string(known.kind))
		}
	}
	return remaining, nil
}

// NamesBackends tells whether backends are asked for by their names alone, such
// that what is left out is left out on purpose.
func NamesBackends(asked []string) bool {
	return len(asked) > 0 && !slices.Contains(asked, Auto) && !slices.Contains(asked, All)
}

// CheckServerID refuses what opsi would not take for a server's id.
func CheckServerID(id string) error { return rename.CheckID(id) }
