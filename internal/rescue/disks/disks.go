// Package disks records which disks a machine has and what is on them: partition
// tables, RAID, LVM, encryption and file systems, as the tools of the machine tell. It
// is shown to who prepares a machine in the place of a lost one. It changes nothing, and
// no key of an encrypted disk and no content enters.
package disks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/host"
)

// Layout is a machine's disks.
type Layout struct {
	Disks   []Device `json:"disks"`
	Volumes []Volume `json:"volumes,omitempty"` // of LVM
	Notes   []string `json:"notes,omitempty"`   // what could not be read
}

// Device is a disk, or something on it.
type Device struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`           // lsblk's: disk, part, raid1, lvm, crypt, loop …
	Size     int64    `json:"size,omitempty"` // bytes
	Model    string   `json:"model,omitempty"`
	Serial   string   `json:"serial,omitempty"`
	WWN      string   `json:"wwn,omitempty"`
	Way      string   `json:"transport,omitempty"` // sata, nvme, fc …
	Spins    bool     `json:"rotates,omitempty"`
	FS       string   `json:"filesystem,omitempty"` // also what is no file system: LVM2_member, crypto_LUKS, swap
	Label    string   `json:"label,omitempty"`
	UUID     string   `json:"uuid,omitempty"`
	Mount    string   `json:"mountpoint,omitempty"`
	Table    *Table   `json:"table,omitempty"`
	Children []Device `json:"on_it,omitempty"`
}

// Table is a partition table.
type Table struct {
	Label      string      `json:"label"` // gpt, dos …
	ID         string      `json:"id,omitempty"`
	Sector     int64       `json:"sector,omitempty"` // bytes
	Partitions []Partition `json:"partitions,omitempty"`
}

// Partition is an entry of a table. Start and size are in sectors.
type Partition struct {
	Node     string `json:"node"`
	Start    int64  `json:"start"`
	Size     int64  `json:"size"`
	Type     string `json:"type,omitempty"`
	UUID     string `json:"uuid,omitempty"`
	Name     string `json:"name,omitempty"`
	Attrs    string `json:"attrs,omitempty"`
	Bootable bool   `json:"bootable,omitempty"`
}

// Volume is a logical volume.
type Volume struct {
	Group    string `json:"group"`
	Name     string `json:"name"`
	Size     int64  `json:"size"` // bytes
	Segments string `json:"segments,omitempty"`
}

// Bounds of what is taken over.
const (
	maxDevices = 1000
	maxText    = 200
	patience   = 30 * time.Second // for one tool; a disk that is dying may hold it
)

// Read asks the machine's tools. What cannot be read is noted; an error means that ctx
// is over.
func Read(ctx context.Context, h *host.Host) (Layout, error) {
	var l Layout
	out, err := ask(ctx, h, "lsblk", "--json", "--bytes", "--output", "NAME,TYPE,SIZE,MODEL,SERIAL,WWN,TRAN,ROTA,RM,FSTYPE,LABEL,UUID,MOUNTPOINT")
	if err == nil {
		l.Disks, err = parseDevices(out)
	}
	l.note(err)
	for i := range l.Disks {
		d := &l.Disks[i]
		device := "/dev/" + d.Name
		if !h.Exists(device) {
			continue
		}
		out, err := ask(ctx, h, "sfdisk", "--json", device)
		var exit *host.ExitError
		if errors.As(err, &exit) {
			continue // it has no table
		}
		if err == nil {
			d.Table, err = parseTable(out)
		}
		l.note(err)
	}
	l.Disks = slices.DeleteFunc(l.Disks, func(d Device) bool { return d.Type == "loop" && d.Table == nil && len(d.Children) == 0 })
	if _, err := h.Look("lvs"); err == nil && slices.ContainsFunc(l.Disks, Device.hasLVM) {
		out, err := ask(ctx, h, "lvs", "--reportformat", "json", "--units", "b", "--nosuffix", "--options", "vg_name,lv_name,lv_size,segtype")
		if err == nil {
			l.Volumes, err = parseVolumes(out)
		}
		l.note(err)
	}
	return l, ctx.Err()
}

func (l *Layout) note(err error) {
	if err != nil {
		l.Notes = append(l.Notes, excerpt.Line(err.Error(), maxText))
	}
}

func (d Device) hasLVM() bool {
	return d.FS == "LVM2_member" || slices.ContainsFunc(d.Children, Device.hasLVM)
}

func ask(ctx context.Context, h *host.Host, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return h.Output(ctx, args...)
}

// loose is a value that some versions of util-linux write as a text, and others not.
type loose string

func (v *loose) UnmarshalJSON(text []byte) error {
	if s := ""; json.Unmarshal(text, &s) == nil {
		*v = loose(excerpt.Line(strings.TrimSpace(s), maxText))
		return nil
	}
	if text = bytes.TrimSpace(text); len(text) > maxText || len(text) > 0 && (text[0] == '{' || text[0] == '[') {
		return errors.New("it is no single value")
	}
	if *v = loose(text); *v == "null" {
		*v = ""
	}
	return nil
}

func (v loose) is() bool { return v == "1" || v == "true" }

func (v loose) number() int64 {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// found is a device as lsblk(8) tells of it.
type found struct {
	Name, Type, Size, Model, Serial, WWN, Tran, Rota, RM, FSType, Label, UUID, MountPoint loose
	Children                                                                              []found
}

// parseDevices reads what lsblk --json prints. What comes and goes is left out: media
// that can be taken out, memory, and loop devices without anything on them.
func parseDevices(text []byte) ([]Device, error) {
	var all struct{ BlockDevices []found }
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("lsblk: %w", err)
	}
	left := maxDevices
	var disks []Device
	for _, f := range all.BlockDevices {
		passing := f.RM.is() || f.Tran == "usb" || f.Size.number() == 0 || f.Type == "rom" || f.Type == "loop" && f.FSType != "" && len(f.Children) == 0
		if passing || strings.HasPrefix(string(f.Name), "zram") || strings.HasPrefix(string(f.Name), "ram") || strings.ContainsAny(string(f.Name), "/ ") {
			continue
		}
		disks = append(disks, f.device(&left, 0))
	}
	if left < 0 {
		return nil, fmt.Errorf("lsblk: there are more than %d devices", maxDevices)
	}
	return disks, nil
}

func (f found) device(left *int, depth int) Device {
	d := Device{
		Name: string(f.Name), Type: string(f.Type), Size: f.Size.number(), Model: string(f.Model), Serial: string(f.Serial), WWN: string(f.WWN),
		Way: string(f.Tran), Spins: f.Rota.is() && depth == 0, FS: string(f.FSType), Label: string(f.Label), UUID: string(f.UUID), Mount: string(f.MountPoint),
	}
	if *left--; *left < 0 || depth > 20 {
		return d
	}
	for _, c := range f.Children {
		d.Children = append(d.Children, c.device(left, depth+1))
	}
	return d
}

// parseTable reads what sfdisk(8) --json prints.
func parseTable(text []byte) (*Table, error) {
	var all struct {
		PartitionTable struct {
			Label, ID  loose
			SectorSize loose
			Partitions []struct{ Node, Start, Size, Type, UUID, Name, Attrs, Bootable loose }
		}
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("sfdisk: %w", err)
	}
	from := all.PartitionTable
	if len(from.Partitions) > maxDevices {
		return nil, fmt.Errorf("sfdisk: there are more than %d partitions", maxDevices)
	}
	t := &Table{Label: string(from.Label), ID: string(from.ID), Sector: from.SectorSize.number()}
	if t.Sector == 0 || t.Sector > 1<<20 { // versions before 2.35 do not say
		t.Sector = 512
	}
	for _, p := range from.Partitions {
		t.Partitions = append(t.Partitions, Partition{
			Node: string(p.Node), Start: p.Start.number(), Size: p.Size.number(), Type: string(p.Type), UUID: string(p.UUID),
			Name: string(p.Name), Attrs: string(p.Attrs), Bootable: p.Bootable.is(),
		})
	}
	return t, nil
}

// parseVolumes reads what lvs(8) prints.
func parseVolumes(text []byte) ([]Volume, error) {
	var all struct {
		Report []struct {
			LV []struct {
				Group   loose `json:"vg_name"`
				Name    loose `json:"lv_name"`
				Size    loose `json:"lv_size"`
				Segment loose `json:"segtype"`
			}
		}
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("lvs: %w", err)
	}
	var list []Volume
	for _, r := range all.Report {
		for _, v := range r.LV[:min(len(r.LV), maxDevices)] {
			list = append(list, Volume{string(v.Group), string(v.Name), v.Size.number(), string(v.Segment)})
		}
	}
	return list, nil
}
