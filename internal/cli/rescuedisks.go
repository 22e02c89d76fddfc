package cli

import (
	"context"
	"encoding/json"

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
		a.notices.warn(clean(err.Error()))
		return
	}
	if len(lost.Disks) == 0 {
		return
	}
	here, err := disks.Read(context.Background(), host.Local())
	if err != nil {
		a.notices.warn(clean(err.Error()))
		return
	}
	a.printf("  disks of the lost host\n")
	for _, line := range lost.Lines() {
		a.printf("    %s\n", line)
	}
	a.printf("  disks of this machine\n")
	for _, line := range here.Lines() {
		a.printf("    %s\n", line)
	}
	for _, text := range lost.Lacks(here) {
		a.printf("  %s %s\n", painterFor(a.out).yellow("smaller disks:"), text)
	}
}
