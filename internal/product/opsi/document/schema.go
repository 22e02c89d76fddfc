package document

import (
	_ "embed"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// SchemaVersion is the version of opsi's database schema that rows are made for.
// opsiconfd changes it to a newer one itself when it starts.
const SchemaVersion = 13

// firstSchema is that of the first opsi 4.3. The versions since differ in one wider
// column and in keys, which opsi's update makes when they are not there.
const firstSchema = 9

//go:embed schema.sql
var schemaSQL string

//go:embed hardware.txt
var hardwareText string

// kind is what a column holds.
type kind int

const (
	kindText kind = iota
	kindInt
	kindDouble
	kindTime
)

// column is what the making of rows has to know of a column.
type column struct {
	name    string
	kind    kind
	limit   int // characters of a text, or bytes when it is a TEXT; bits of an integer
	bytes   bool
	null    bool // NULL is allowed
	filled  bool // the server fills it in when it is left out
	counter bool // AUTO_INCREMENT
}

// table is one table with its columns in order.
type table struct {
	name    string
	columns []column
	key     []string
	unique  [][]string // further keys
}

func (t *table) column(name string) *column {
	for i := range t.columns {
		if t.columns[i].name == name {
			return &t.columns[i]
		}
	}
	return nil
}

var (
	createLine = regexp.MustCompile("^CREATE TABLE `([A-Z_]+)` \\($")
	columnLine = regexp.MustCompile("^  `([A-Za-z_]+)` ([A-Z]+)(?:[(]([0-9]+)[)])?(.*?),?$")
	keyLine    = regexp.MustCompile("^  (PRIMARY|UNIQUE) KEY (?:`[A-Za-z_]+` )?\\((.*)\\),?$")
)

// knownTables and inventory are what every Writer begins with; it changes neither.
var (
	knownTables = sync.OnceValue(tables)
	inventory   = sync.OnceValue(parseInventory)
)

// tables reads the columns out of schema.sql, so that they stand in one place.
func tables() map[string]*table {
	all := map[string]*table{}
	var t *table
	for line := range strings.Lines(schemaSQL) {
		line = strings.TrimSuffix(line, "\n")
		if m := createLine.FindStringSubmatch(line); m != nil {
			t = &table{name: m[1]}
			all[t.name] = t
		} else if m := columnLine.FindStringSubmatch(line); m != nil {
			t.columns = append(t.columns, parseColumn(m[1], m[2], m[3], m[4]))
		} else if m := keyLine.FindStringSubmatch(line); m != nil {
			key := strings.Split(strings.ReplaceAll(m[2], "`", ""), ", ")
			if m[1] == "PRIMARY" {
				t.key = key
			} else {
				t.unique = append(t.unique, key)
			}
		}
	}
	return all
}

var integerBits = map[string]int{"TINYINT": 8, "INT": 32, "BIGINT": 64}

func parseColumn(name, kind, size, rest string) column {
	c := column{
		name: name, null: !strings.Contains(rest, "NOT NULL"),
		filled:  strings.Contains(rest, "DEFAULT") && !strings.Contains(rest, "DEFAULT NULL"),
		counter: strings.Contains(rest, "AUTO_INCREMENT"),
	}
	switch kind {
	case "VARCHAR":
		c.limit, _ = strconv.Atoi(size)
	case "TEXT":
		c.limit, c.bytes = 1<<16-1, true
	case "TIMESTAMP":
		c.kind = kindTime
	case "DOUBLE":
		c.kind = kindDouble
	default:
		c.kind, c.limit = kindInt, integerBits[kind]
	}
	return c
}

// attribute is a column of a hardware class.
type attribute struct{ name, sqlType string }

// hardware is one class of the inventory: what describes a device, and what
// belongs to the device in one host.
type hardware struct {
	name   string
	device []attribute
	config []attribute
}

// parseInventory reads hardware.txt.
func parseInventory() map[string]*hardware {
	shared, classes := map[string][]string{}, map[string]*hardware{}
	for line := range strings.Lines(hardwareText) {
		words := strings.Fields(line)
		if words[0] == "#" {
			continue
		}
		var all []string
		for _, w := range words[1:] {
			if strings.HasPrefix(w, "$") {
				all = append(all, shared[w]...)
			} else {
				all = append(all, w)
			}
		}
		if strings.HasPrefix(words[0], "$") {
			shared[words[0]] = all
			continue
		}
		h := &hardware{name: words[0]}
		to := &h.device
		for _, w := range all {
			if w == "/" {
				to = &h.config
				continue
			}
			name, kind, _ := strings.Cut(w, ":")
			if _, err := strconv.Atoi(kind); err == nil {
				kind = "VARCHAR(" + kind + ")"
			}
			*to = append(*to, attribute{name, strings.ToUpper(kind)})
		}
		classes[h.name] = h
	}
	return classes
}

var typeWords = regexp.MustCompile(`^([A-Z]+)(?:\((\d+)\))?$`)

func attributeColumns(list []attribute) []column {
	var columns []column
	for _, a := range list {
		m := typeWords.FindStringSubmatch(a.sqlType)
		columns = append(columns, parseColumn(a.name, m[1], m[2], ""))
	}
	return columns
}

const (
	devicePrefix = "HARDWARE_DEVICE_"
	configPrefix = "HARDWARE_CONFIG_"
)

// tables makes the two tables of a hardware class and says how to create them.
func (h *hardware) tables() (device, config *table, sql string) {
	name := strings.ToUpper(h.name)
	device = &table{name: devicePrefix + name, columns: append([]column{
		{name: "hardware_id", kind: kindInt, limit: 32},
	}, attributeColumns(h.device)...), key: []string{"hardware_id"}}
	config = &table{name: configPrefix + name, columns: append([]column{
		{name: "config_id", kind: kindInt, limit: 32, counter: true},
		{name: "hostId", limit: 255},
		{name: "hardware_id", kind: kindInt, limit: 32},
		{name: "firstseen", kind: kindTime, filled: true},
		{name: "lastseen", kind: kindTime, filled: true},
		{name: "state", kind: kindInt, limit: 8, filled: true},
	}, attributeColumns(h.config)...), key: []string{"config_id"}}
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE `%s` (\n  `hardware_id` INT NOT NULL AUTO_INCREMENT,\n", device.name)
	writeAttributes(&b, h.device)
	b.WriteString("  PRIMARY KEY (`hardware_id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;\n\n")
	fmt.Fprintf(&b, "CREATE TABLE `%s` (\n  `config_id` INT NOT NULL AUTO_INCREMENT,\n  `hostId` VARCHAR(255) NOT NULL,\n  `hardware_id` INT NOT NULL,\n", config.name)
	b.WriteString("  `firstseen` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,\n  `lastseen` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,\n  `state` TINYINT NOT NULL DEFAULT 1,\n")
	writeAttributes(&b, h.config)
	fmt.Fprintf(&b, "  PRIMARY KEY (`config_id`),\n  FOREIGN KEY (`hardware_id`) REFERENCES `%s` (`hardware_id`) ON DELETE CASCADE ON UPDATE CASCADE\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;\n", device.name)
	return device, config, b.String()
}

func writeAttributes(b *strings.Builder, list []attribute) {
	for _, a := range list {
		fmt.Fprintf(b, "  `%s` %s NULL,\n", a.name, a.sqlType)
	}
}
