package profile

import (
	"cmp"
	"strconv"
	"strings"
	"unicode"
)

// compareVersions compares two versions as people read them: runs of digits by
// number, runs of letters by alphabet, everything else only separates. A version
// that goes on is newer than the one it starts with. It knows nothing of epochs.
func compareVersions(a, b string) int {
	as, bs := versionParts(a), versionParts(b)
	for i := range min(len(as), len(bs)) {
		x, xErr := strconv.ParseUint(as[i], 10, 64)
		y, yErr := strconv.ParseUint(bs[i], 10, 64)
		order := strings.Compare(as[i], bs[i])
		switch {
		case xErr == nil && yErr == nil:
			order = cmp.Compare(x, y)
		case xErr == nil:
			order = 1 // a number is newer than a word: 1.0.1 > 1.0.rc
		case yErr == nil:
			order = -1
		}
		if order != 0 {
			return order
		}
	}
	return cmp.Compare(len(as), len(bs))
}

func versionParts(v string) []string {
	var parts []string
	var last rune
	kind := func(r rune) rune {
		switch {
		case unicode.IsDigit(r):
			return '0'
		case unicode.IsLetter(r):
			return 'a'
		}
		return 0
	}
	for _, r := range v {
		k := kind(r)
		switch {
		case k == 0:
		case k == last:
			parts[len(parts)-1] += string(r)
		default:
			parts = append(parts, string(r))
		}
		last = k
	}
	return parts
}
