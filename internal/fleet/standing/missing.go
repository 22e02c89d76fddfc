package standing

import (
	"encoding/json"

	"lifeboat/internal/fleet/record"
)

// Missing is what a host could not put into its newest recovery configuration: its
// newest report that came with one says it. Reports come the newest first.
func Missing(reports []record.Report) []string {
	for _, r := range reports {
		var detail struct {
			Missing []string `json:"missing"`
		}
		if r.Kind == "backup" && len(r.Detail) > 0 && json.Unmarshal(r.Detail, &detail) == nil && detail.Missing != nil {
			return detail.Missing
		}
	}
	return nil
}
