package preflight

import (
	"fmt"
	"strings"
)

// ServerFails is the id of the finding whose items are checks of systems that failed.
const ServerFails = "server-fails"

// serverFails is about what does not work already.
func serverFails(in *Input) *seen {
	var items, found []string
	for _, s := range in.Servers {
		items = append(items, s.Failed...)
		found = append(found, s.Found...)
	}
	if len(items) == 0 {
		return nil
	}
	return &seen{
		items: items, detail: strings.Join(found, "; "),
		remedy: "Mend it first: what the upgrade breaks could not be told from it. Accepted, it is a warning afterwards.",
	}
}

func serverStays(in *Input) *seen {
	var items []string
	for _, s := range in.Servers {
		items = append(items, s.Stays...)
	}
	if len(items) == 0 {
		return nil
	}
	return &seen{
		items:  items,
		detail: "What new packages do to it could not be taken back.",
		remedy: "Choose a way back that takes it along (--way-back point), or save it yourself and leave the system out (--without SYSTEM).",
	}
}

func servers(in *Input) *seen {
	var items []string
	for _, s := range in.Servers {
		items = append(items, fmt.Sprintf("%s (%s): %d checks passed", s.System, s.Title, s.Passed))
	}
	if len(items) == 0 {
		return nil
	}
	return &seen{
		items: items, detail: "Each is stopped, saved, started on the upgraded machine and checked again; a check that fails takes the upgrade back.",
		remedy: "Tell their users.",
	}
}
