package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// PackageVersion asks the machine's package databases, dpkg's and rpm's, for an
// installed package. The version is as the database says, with the release:
// 3.0.49-52.26.1. Not installed is no error.
func (h *Host) PackageVersion(ctx context.Context, name string) (version string, installed bool, err error) {
	if name == "" || strings.HasPrefix(name, "-") {
		return "", false, fmt.Errorf("%q is no package name", name)
	}
	// One line an architecture; a removed package that left its configuration
	// behind is listed too.
	out, err := h.ask(ctx, "dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}\n", "--", name)
	if err != nil {
		return "", false, fmt.Errorf("ask dpkg for package %s: %w", name, err)
	}
	for line := range strings.Lines(out) {
		if status, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok && status == "installed" {
			return version, true, nil
		}
	}
	// Several versions may be installed; the last line is the newest.
	out, err = h.ask(ctx, "rpm", "--query", "--queryformat", "%{VERSION}-%{RELEASE}\n", "--", name)
	if err != nil {
		return "", false, fmt.Errorf("ask rpm for package %s: %w", name, err)
	}
	lines := strings.Fields(out)
	if len(lines) == 0 {
		return "", false, nil
	}
	return lines[len(lines)-1], true, nil
}

// ask runs a query whose exit code 1 means that nothing was found. A machine
// without the program has nothing to be found by it.
func (h *Host) ask(ctx context.Context, args ...string) (string, error) {
	if _, err := h.Look(args[0]); err != nil {
		return "", nil
	}
	out, err := h.Output(ctx, args...)
	var exit *ExitError
	if errors.As(err, &exit) && exit.Code == 1 {
		return "", nil
	}
	return string(out), err
}
