package cli

import (
	"context"
	"encoding/json"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/host"
	"lifeboat/internal/rescue/disks"
)

// showDisks lays the disks of the lost host beside those of this machine. Nothing of
// them is changed: who prepares the machine decides.
func (a *app) showDisks(record json.RawMessage) {
	if len(record) == 0 {
		return
	}
	lost, err := disks.Parse(record)
	if err != nil {
		a.notices.warn(screen.Clean(err.Error()))
		return
	}
	if len(lost.Disks) == 0 {
		return
	}
	here, err := disks.Read(context.Background(), host.Local())
	if err != nil {
		a.notices.warn(screen.Clean(err.Error()))
		return
	}
	a.Printf("  disks of the lost host\n")
	for _, line := range lost.Lines() {
		a.Printf("    %s\n", line)
	}
	a.Printf("  disks of this machine\n")
	for _, line := range here.Lines() {
		a.Printf("    %s\n", line)
	}
	for _, text := range lost.Lacks(here) {
		a.Printf("  %s %s\n", screen.PainterFor(a.Out).Yellow("smaller disks:"), text)
	}
}
