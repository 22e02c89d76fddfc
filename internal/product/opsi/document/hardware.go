package document

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/excerpt"
)

// Bounds of what is made for hardware that is not known.
const (
	maxClasses    = 200
	maxAttributes = 100
	maxKept       = 512 << 20 // bytes of descriptions by which devices are found again
)

// inventoried is a hardware class in the dump. A device's row is found again by all
// that describes it, as opsiconfd finds it, to join the hosts to it.
type inventoried struct {
	*hardware
	device, config *table
	ids            map[string]int64
	next           int64
	// implied devices were made for a host's object before their own came.
	implied map[int64]bool
}

func (w *Writer) create(h *hardware) *inventoried {
	device, config, sql := h.tables()
	i := &inventoried{hardware: h, device: device, config: config, ids: map[string]int64{}, implied: map[int64]bool{}}
	w.tables[device.name], w.tables[config.name] = device, config
	w.hardware[strings.ToUpper(h.name)] = i
	w.print("%s\n", sql)
	return i
}

// aside are attributes of inventory objects that are no part of the hardware.
var aside = []string{"type", "hardwareClass", "hostId", "firstseen", "lastseen", "state", "hardware_id", "config_id"}

// inventoryObject writes an AuditHardware or an AuditHardwareOnHost.
func (w *Writer) inventoryObject(class string, o Object) error {
	name, _ := o["hardwareClass"].(string)
	host, _ := o["hostId"].(string)
	w.ident = identOf(o, "hardwareClass", "hostId", "name")
	onHost := class == "AuditHardwareOnHost"
	switch {
	case !plainName.MatchString(name):
		w.note("it has no hardware class, or none that a table can be named after; such objects are left out", w.ident)
		return w.err
	case onHost && host == "":
		w.note("without hostId it is nothing; such objects are left out", w.ident)
		return w.err
	}
	i := w.hardware[strings.ToUpper(name)]
	if i == nil {
		if len(w.hardware) >= maxClasses {
			w.note("there are too many unknown hardware classes; the objects of this one are left out", w.ident)
			return w.err
		}
		w.note("hardware class "+name+" is not among those that opsi ships; its tables are made after its objects, and opsihwaudit.conf must have it", "")
		i = w.create(&hardware{name: name})
	}
	w.learn(i, o, onHost)
	described := w.cells(i.device, o)
	key := described.key(i.device)
	row, known := i.ids[key]
	if !onHost && known && i.implied[row] {
		delete(i.implied, row)
		return w.err
	}
	if !onHost || !known { // a device that stands twice stays so
		i.next++
		if described["hardware_id"] = plainInt(i.next); !known {
			row, i.ids[key] = i.next, i.next
			i.implied[row] = onHost
			if w.kept += len(key); w.kept > maxKept {
				return fmt.Errorf("the devices of the inventory: %w", ErrTooLarge)
			}
		}
		if err := w.insert(i.device, described); err != nil {
			return err
		}
	}
	if !onHost {
		return w.err
	}
	own := w.cells(i.config, o)
	own["hardware_id"] = plainInt(row)
	return w.insert(i.config, own)
}

// cells are SQL values by their columns.
type cells map[string]string

func (c cells) key(t *table) string {
	var b strings.Builder
	for _, col := range t.columns {
		b.WriteString(c[col.name])
		b.WriteByte(0)
	}
	return b.String()
}

// cells converts what the table has columns for; ids are given by the caller.
func (w *Writer) cells(t *table, o Object) cells {
	row := cells{}
	for i := range t.columns {
		col := &t.columns[i]
		if col.name == "hardware_id" || col.name == "config_id" {
			continue
		}
		v, given := o[col.name]
		if !given {
			v = o[strings.ToLower(col.name)] // older inventories
		}
		sql, note, err := col.convert(v)
		if err != nil {
			w.note(excerpt.Line(col.name, 80)+" holds what its column cannot; that value is left out", w.ident)
			sql = null
		} else if note != "" {
			w.note(excerpt.Line(col.name, 80)+" "+note, w.ident)
		}
		if sql == null {
			sql = w.absent(col)
		}
		row[col.name] = sql
	}
	return row
}

// learn adds columns for attributes that are not known. What a device has
// describes it; what only a device in a host has belongs to the two together.
func (w *Writer) learn(i *inventoried, o Object, onHost bool) {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		v := o[name]
		if v == nil || slices.Contains(aside, name) || i.has(name) {
			continue
		}
		to, t := &i.hardware.device, i.device
		if onHost {
			to, t = &i.hardware.config, i.config
		}
		if !plainName.MatchString(name) || len(*to) >= maxAttributes {
			w.note("attribute "+excerpt.Line(name, 80)+" of hardware class "+i.name+" is not known; its values are left out", w.ident)
			continue
		}
		a := attribute{name, inferred(v)}
		w.note("attribute "+name+" of hardware class "+i.name+" is not among those that opsi ships; a column is made for it, and opsihwaudit.conf must have it", "")
		*to = append(*to, a)
		w.flush(t)
		t.columns = append(t.columns, attributeColumns([]attribute{a})...)
		w.print("ALTER TABLE `%s` ADD COLUMN `%s` %s NULL;\n", t.name, a.name, a.sqlType)
		if !onHost { // devices so far have NULL there
			again := make(map[string]int64, len(i.ids))
			for key, id := range i.ids {
				again[key+null+"\x00"] = id
			}
			i.ids = again
		}
	}
}

// has: MariaDB's columns differ by more than case, and so must attributes.
func (i *inventoried) has(name string) bool {
	same := func(c column) bool { return strings.EqualFold(c.name, name) }
	return slices.ContainsFunc(i.device.columns, same) || slices.ContainsFunc(i.config.columns, same)
}

func inferred(v any) string {
	switch v.(type) {
	case bool, int64, uint64:
		return "BIGINT"
	case float64:
		return "DOUBLE"
	}
	return "TEXT"
}

func plainInt(i int64) string {
	sql, _ := (&column{limit: 64}).integer(i)
	return sql
}
