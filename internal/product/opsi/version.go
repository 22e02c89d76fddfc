package opsi

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/product"
)

// packages hold opsi's version, the server's own first.
var packages = []string{"opsiconfd", "python3-opsi", "python-opsi", "opsi-server"}

// libraries hold the version of the library python-opsi, before opsi 4.3.
var libraries = []string{"python3-opsi", "python-opsi"}

var number = regexp.MustCompile(`^(?:[0-9]+:)?([0-9]+(?:\.[0-9]+)+)`)

// installedVersion is the version of opsi without the packager's part, "" when it
// is not installed.
func installedVersion(ctx context.Context, h *host.Host) (string, error) {
	return versionOf(ctx, h, packages)
}

// Installed is the version of opsi on a machine, "" where it is not installed.
func Installed(ctx context.Context, h *host.Host) (string, error) { return installedVersion(ctx, h) }

// libraryVersion is the version that opsi-backup writes into its archives: that of
// python-opsi. Since opsi 4.3 that is a part of other packages, and theirs is taken.
func libraryVersion(ctx context.Context, h *host.Host) (string, error) {
	return versionOf(ctx, h, slices.Concat(libraries, []string{"opsi-utils"}, packages))
}

func versionOf(ctx context.Context, h *host.Host, packages []string) (string, error) {
	for _, name := range packages {
		v, installed, err := h.PackageVersion(ctx, name)
		if err != nil {
			return "", fmt.Errorf("version of opsi: %w", err)
		}
		if m := number.FindStringSubmatch(v); installed && m != nil {
			return m[1], nil
		}
	}
	return "", nil
}

// version is one like 4.2.0.309; numbers that are missing are 0.
type version [4]int

func parseVersion(text string) (version, error) {
	var v version
	parts := strings.Split(text, ".")
	if len(parts) < 2 {
		return v, fmt.Errorf("%q is no version of opsi", text)
	}
	for i, part := range parts[:min(len(parts), len(v))] {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return v, fmt.Errorf("%q is no version of opsi", text)
		}
		v[i] = n
	}
	return v, nil
}

func (v version) less(w version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}

func (v version) line() string { return fmt.Sprintf("%d.%d", v[0], v[1]) }

// span is the schema versions that an opsi may expect.
type span struct{ least, most int }

const open = math.MaxInt // the end of a span that has none

func (s span) String() string {
	switch s.most {
	case open:
		return fmt.Sprintf("%d+", s.least)
	case s.least:
		return strconv.Itoa(s.least)
	}
	return fmt.Sprintf("%d-%d", s.least, s.most)
}

func parseSpan(text string) (span, error) {
	low, high, ranged := strings.Cut(text, "-")
	endless := strings.HasSuffix(low, "+")
	least, err := strconv.Atoi(strings.TrimSuffix(low, "+"))
	if err != nil || least < 0 || endless && ranged {
		return span{}, fmt.Errorf("%q is no schema version of opsi", text)
	}
	switch {
	case endless:
		return span{least, open}, nil
	case !ranged:
		return span{least, least}, nil
	}
	most, err := strconv.Atoi(high)
	if err != nil || most < least {
		return span{}, fmt.Errorf("%q is no schema version of opsi", text)
	}
	return span{least, most}, nil
}

// schemas says which schema opsi expects since which version, from the history of
// opsiconfd and python-opsi. Before 4.3 several are possible: opsiconfd 4.2 brought
// its own python-opsi, whose number is another one.
var schemas = []struct {
	since version
	span  span
}{
	{version{4, 0}, span{0, 2}},
	{version{4, 1}, span{2, 6}},
	{version{4, 2}, span{6, 7}},
	{version{4, 2, 0, 274}, span{7, 8}},
	{version{4, 2, 0, 280}, span{8, 8}},
	{version{4, 3, 0, 2}, span{9, 9}},
	{version{4, 3, 0, 25}, span{10, 10}},
	{version{4, 3, 0, 45}, span{11, 11}},
	{version{4, 3, 17, 6}, span{12, 12}},
	{version{4, 3, 21, 6}, span{13, 13}},
	{version{4, 3, 24, 2}, span{13, open}}, // not known yet
}

// expected is the schema that opsi of a version expects.
func expected(v version) span {
	found := schemas[0].span
	for _, s := range schemas {
		if !v.less(s.since) {
			found = s.span
		}
	}
	return found
}

// compareVersion lets opsi take over the data of the same or an earlier version.
func compareVersion(_ context.Context, _ *host.Host, point, installed string) (product.Verdict, error) {
	was, err1 := parseVersion(point)
	is, err2 := parseVersion(installed)
	both := fmt.Sprintf("the recovery point is of opsi %s, installed is opsi %s", point, installed)
	switch {
	case err1 != nil || err2 != nil:
		return product.Verdict{Level: product.Refuses, Why: both, Hint: "Install the opsi that the lost server had."}, nil
	case was == is:
		return product.Verdict{Level: product.Agrees, Why: both}, nil
	case was.line() == is.line() && is.less(was):
		return product.Verdict{Level: product.Warns, Why: both, Hint: "Update the installed opsi to the version of the lost server if you can."}, nil
	case was.line() == is.line():
		return product.Verdict{Level: product.Agrees, Why: both}, nil
	case is.less(was):
		return product.Verdict{Level: product.Refuses, Why: both, Hint: "Install opsi " + was.line() + ", then resume: an older opsi does not understand the data."}, nil
	}
	return product.Verdict{
		Level: product.Warns, Why: both + "; it will update database and configuration",
		Hint: "Safer is to recover opsi " + was.line() + " and to update it afterwards.",
	}, nil
}

// compareSchema lets opsi update an older database, and keeps a newer one from an
// opsi that does not know it.
func compareSchema(_ context.Context, _ *host.Host, point, installed string) (product.Verdict, error) {
	was, err1 := parseSpan(point)
	is, err2 := parseSpan(installed)
	both := fmt.Sprintf("the database in the recovery point has schema %s, the installed opsi expects %s", point, installed)
	switch {
	case err1 != nil || err2 != nil:
		return product.Verdict{Level: product.Refuses, Why: both, Hint: "Install the opsi that the lost server had."}, nil
	case was.least > is.most:
		return product.Verdict{Level: product.Refuses, Why: both, Hint: "Update the installed opsi to the version of the lost server, then resume."}, nil
	case was.most < is.least:
		return product.Verdict{
			Level: product.Warns, Why: both + "; `opsiconfd setup` updates it",
			Hint: "The database cannot go back to its old schema afterwards, but the recovery point can be restored again.",
		}, nil
	}
	return product.Verdict{Level: product.Agrees, Why: both}, nil
}

// compareBackends keeps data in files from an opsi that does not read them.
func compareBackends(ctx context.Context, h *host.Host, point, _ string) (product.Verdict, error) {
	installed, err := installedVersion(ctx, h)
	if err != nil {
		return product.Verdict{}, err
	}
	v, err := parseVersion(installed)
	if err != nil || v.less(version{4, 3}) || !holds(point, "file") {
		return product.Verdict{Level: product.Agrees}, nil
	}
	return product.Verdict{
		Level: product.Refuses,
		Why:   fmt.Sprintf("the recovery point has hosts and settings in the file backend, which the installed opsi %s does not read any more", installed),
		Hint:  "Install opsi 4.2 and recover there; then convert with opsi-convert and update.",
	}, nil
}

// holds tells whether a list separated by spaces has a word.
func holds(list, word string) bool {
	for w := range strings.FieldsSeq(list) {
		if w == word {
			return true
		}
	}
	return false
}
