package opsi

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/product/opsi/backend"
)

// KeysLost names the file of this machine's host keys if a restore of components
// that found describes would put /etc/opsi without any keys in the place of one that
// has them; "" otherwise. Without the configuration they stay.
func KeysLost(ctx context.Context, h *host.Host, found *product.Import, components []string) (string, error) {
	if !slices.Contains(components, Configuration) || !slices.Contains(strings.Fields(found.Settings["backends"]), string(backend.File)) {
		return "", nil
	}
	v, err := lookAt(ctx, h)
	if err != nil {
		return "", err
	}
	c, used := v.first(backend.File)
	if !used {
		return "", nil
	}
	at, err := c.FileBackend()
	if err != nil || !within(at.HostKeyFile, backend.Dir) || !v.there(at.HostKeyFile) {
		return "", nil // nothing that opsi uses here would go
	}
	for _, f := range found.Files {
		if f.Path == found.Settings["host_keys"] && slices.Contains(components, f.Component) {
			return "", nil
		}
	}
	rel := strings.TrimPrefix(at.HostKeyFile, backend.Dir)
	if info, err := os.Lstat(filepath.Join(found.Dir, configurationDir, rel)); err == nil && !info.IsDir() {
		return "", nil
	}
	return at.HostKeyFile, nil
}
