package preflight

import (
	"strings"

	"lifeboat/internal/upgrade/path"
)

// Wrong says, with the id of the finding, why nothing may be upgraded from the source; ""
// where nothing is known against it.
func (s *Source) Wrong(to path.Release) string {
	in := &Input{Source: s, To: to}
	for _, rule := range rules {
		if rule.id != "source-other-release" && rule.id != "source-refuted" {
			continue
		}
		if found := rule.look(in); found != nil {
			return rule.id + ": " + found.detail + " " + found.remedy
		}
	}
	return ""
}

func sourceOther(in *Input) *seen {
	if in.Source == nil || !in.Source.Other {
		return nil
	}
	return &seen{
		detail: in.Source.Address + " has " + strings.Join(in.Source.Has, ", ") + ", and " + in.To.Name() + " is wanted.",
		remedy: "Name the source of " + in.To.Name() + ", or the release that it has with --to.",
	}
}

func sourceRefuted(in *Input) *seen {
	if in.Source == nil || !in.Source.Refuted {
		return nil
	}
	return &seen{
		detail: in.Source.Address + " has a wrong signature, or files that are not those that it lists.", items: in.Source.Doubt,
		remedy: "Fetch the medium again, from the vendor; lifeboat upgrade source check says more.",
	}
}

func sourceUnproven(in *Input) *seen {
	if in.Source == nil || in.Source.Refuted || len(in.Source.Doubt) == 0 {
		return nil
	}
	return &seen{
		detail: "What " + in.Source.Address + " starts acts as root, on all disks.", items: in.Source.Doubt,
		remedy: "See lifeboat upgrade source check, which takes the vendor's key with --key; then accept this.",
	}
}
