package backend

import (
	"path"
	"regexp"
	"slices"
)

var (
	dhcpComment = regexp.MustCompile(`(?m)("[^"\n]*")|#.*$`)
	dhcpInclude = regexp.MustCompile(`(?:^|[\s;{}])include\s+"(/[^"\n]+)"\s*;`)
)

// maxIncludes bounds the files that include each other.
const maxIncludes = 200

// DHCPFiles lists the configuration file of ISC's DHCP server and what it includes
// (dhcpd.conf(5)), as read gives their texts now, "" for one that is not there.
func DHCPFiles(conf string, read func(name string) string) []string {
	files := []string{conf}
	for i := 0; i < len(files) && len(files) < maxIncludes; i++ {
		text := dhcpComment.ReplaceAllString(read(files[i]), "$1")
		for _, m := range dhcpInclude.FindAllStringSubmatch(text, -1) {
			if f := path.Clean(m[1]); !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	}
	return files
}
