package console

import (
	"net/url"
	"strconv"
	"strings"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/standing"
)

func hostURL(id record.HostID) string { return "/hosts/" + url.PathEscape(string(id)) }

func runURL(host record.HostID, run string) string {
	return hostURL(host) + "/runs/" + url.PathEscape(run)
}

func versionURL(host record.HostID, number int64) string {
	return hostURL(host) + "/configuration/" + strconv.FormatInt(number, 10)
}

func deskURL(id record.HostID) string { return "/desk/" + url.PathEscape(string(id)) }

// within tells whether the page belongs to an entry of the menu.
func (v *visit) within(entry string) bool {
	if entry == "/" {
		return v.Path == "/" || strings.HasPrefix(v.Path, "/hosts")
	}
	return v.Path == entry || strings.HasPrefix(v.Path, entry+"/")
}

// systemNames names a host's systems, the first ones of many.
func systemNames(all []standing.System) string {
	const most = 3
	var names []string
	for _, s := range all[:min(len(all), most)] {
		names = append(names, shown(s.System))
	}
	words := strings.Join(names, ", ")
	if n := len(all) - most; n > 0 {
		words += " and " + strconv.Itoa(n) + " more"
	}
	return words
}

// firstRuns keeps what may be long short.
func firstRuns(all []running) []running { return all[:min(len(all), 8)] }

func personURL(name string) string { return "/people/" + url.PathEscape(name) }

func escaped(part string) string { return url.PathEscape(part) }
