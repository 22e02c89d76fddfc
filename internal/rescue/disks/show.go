package disks

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/excerpt"
)

// Parse reads a record that another machine has made.
func Parse(text []byte) (Layout, error) {
	var l Layout
	if len(text) > 1<<20 {
		return l, fmt.Errorf("the record of the disks has more than %d bytes", 1<<20)
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return Layout{}, fmt.Errorf("the record of the disks: %w", err)
	}
	return l, nil
}

// maxLines bounds what is shown.
const maxLines = 400

// Lines show the layout to people, one device a line, fit for a terminal.
func (l Layout) Lines() []string {
	var lines []string
	for _, d := range l.Disks {
		lines = d.lines(lines, 0)
	}
	for _, v := range l.Volumes {
		lines = append(lines, fmt.Sprintf("volume %s in group %s: %s, %s", v.Name, v.Group, size(v.Size), v.Segments))
	}
	for _, n := range l.Notes {
		lines = append(lines, "not known: "+n)
	}
	if len(lines) > maxLines {
		lines = append(lines[:maxLines], fmt.Sprintf("… and %d more", len(lines)-maxLines))
	}
	for i := range lines {
		indent := len(lines[i]) - len(strings.TrimLeft(lines[i], " "))
		lines[i] = lines[i][:indent] + excerpt.Line(lines[i][indent:], 300)
	}
	return lines
}

func (d Device) lines(lines []string, depth int) []string {
	if len(lines) > maxLines+1 || depth > 20 {
		return lines
	}
	text := strings.Repeat("  ", depth) + d.Name + "  " + size(d.Size)
	add := func(format string, value string) {
		if value != "" {
			text += "  " + fmt.Sprintf(format, value)
		}
	}
	if d.Type != "disk" && d.Type != "part" {
		add("%s", d.Type)
	}
	add("%s", strings.TrimSpace(d.Model))
	add("serial %s", d.Serial)
	add("%s", d.Way)
	if d.Table != nil {
		add("%s", d.Table.Label)
	}
	add("%s", d.FS)
	add("%q", d.Label)
	add("%s", d.Mount)
	lines = append(lines, text)
	for _, c := range d.Children {
		lines = c.lines(lines, depth+1)
	}
	if d.Table != nil && len(d.Children) == 0 { // where nobody has made their devices
		for _, p := range d.Table.Partitions {
			lines = append(lines, strings.Repeat("  ", depth+1)+p.Node[strings.LastIndexByte(p.Node, '/')+1:]+"  "+size(p.Size*d.Table.Sector)+"  "+p.Name)
		}
	}
	return lines
}

// Lacks tells what of the lost machine's disks this one has not: the largest is laid
// beside the largest, and so on.
func (l Layout) Lacks(here Layout) []string {
	sizes := func(l Layout) []Device {
		list := slices.DeleteFunc(slices.Clone(l.Disks), func(d Device) bool { return d.Type != "disk" })
		slices.SortStableFunc(list, func(a, b Device) int { return int(min(max(b.Size-a.Size, -1), 1)) })
		return list
	}
	mine := sizes(here)
	var lacks []string
	for i, d := range sizes(l) {
		switch {
		case i >= len(mine):
			lacks = append(lacks, fmt.Sprintf("there is no disk for what was on %s (%s)", d.Name, size(d.Size)))
		case mine[i].Size < d.Size:
			lacks = append(lacks, fmt.Sprintf("%s (%s) is smaller than %s was (%s)", mine[i].Name, size(mine[i].Size), d.Name, size(d.Size)))
		}
	}
	for i := range lacks {
		lacks[i] = excerpt.Line(lacks[i], 300)
	}
	return lacks
}

// size writes bytes as people say them.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	f, i := float64(n), 0
	for ; f >= 1024 && i < len(units)-1; i++ {
		f /= 1024
	}
	text := fmt.Sprintf("%.1f", f)
	return strings.TrimSuffix(text, ".0") + " " + units[i]
}
