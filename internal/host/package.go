package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// PackageVersion asks the machine's package database for an installed package:
// dpkg's where the machine has one, else rpm's. The version is as the database
// says, with the release: 3.0.49-52.26.1. Not installed is no error.
func (h *Host) PackageVersion(ctx context.Context, name string) (version string, installed bool, err error) {
	if name == "" || strings.HasPrefix(name, "-") {
		return "", false, fmt.Errorf("%q is no package name", name)
	}
	switch {
	case h.exists("/var/lib/dpkg/status"):
		out, err := h.ask(ctx, "dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}\n", "--", name)
		if err != nil {
			return "", false, fmt.Errorf("ask dpkg for package %s: %w", name, err)
		}
		// One line an architecture; a removed package that left its configuration
		// behind is listed too.
		for line := range strings.Lines(out) {
			if status, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok && status == "installed" {
				return version, true, nil
			}
		}
		return "", false, nil
	case h.exists("/var/lib/rpm"), h.exists("/usr/lib/sysimage/rpm"):
		out, err := h.ask(ctx, "rpm", "--query", "--queryformat", "%{VERSION}-%{RELEASE}\n", "--", name)
		if err != nil {
			return "", false, fmt.Errorf("ask rpm for package %s: %w", name, err)
		}
		// Several versions may be installed; the last line is the newest.
		lines := strings.Fields(out)
		if len(lines) == 0 {
			return "", false, nil
		}
		return lines[len(lines)-1], true, nil
	}
	return "", false, nil
}

// ask runs a query whose exit code 1 means that nothing was found.
func (h *Host) ask(ctx context.Context, args ...string) (string, error) {
	out, err := h.Output(ctx, args...)
	var exit *ExitError
	if errors.As(err, &exit) && exit.Code == 1 {
		return "", nil
	}
	return string(out), err
}
