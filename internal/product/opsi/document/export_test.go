package document

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
)

// CheckSchema compares what the package believes of the columns with what a server
// made of schema.sql and of the inventory's tables.
func CheckSchema(t *testing.T, ask func(statement string) []string) {
	t.Helper()
	all := tables()
	for _, h := range inventory() {
		device, config, _ := h.tables()
		all[device.name], all[config.name] = device, config
	}
	var want []string
	for _, tb := range all {
		for _, c := range tb.columns {
			want = append(want, fmt.Sprintf("%s|%s|%v", tb.name, c.name, map[bool]string{true: "YES", false: "NO"}[c.null]))
		}
	}
	sort.Strings(want)
	got := ask("SELECT table_name, column_name, is_nullable FROM information_schema.columns WHERE table_schema = DATABASE()")
	sort.Strings(got)
	if !slices.Equal(got, want) {
		t.Errorf("the columns are\n%s\nand not\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, row := range ask("SELECT table_name, column_name, data_type, IFNULL(character_maximum_length, 0), IFNULL(column_default, 'NULL'), extra FROM information_schema.columns WHERE table_schema = DATABASE()") {
		p := strings.Split(row, "|")
		c := all[p[0]].column(p[1])
		kinds := map[string]kind{"varchar": kindText, "text": kindText, "timestamp": kindTime, "double": kindDouble, "int": kindInt, "tinyint": kindInt, "bigint": kindInt}
		ok := c.kind == kinds[p[2]] && c.counter == (p[5] == "auto_increment") && (c.filled == (p[4] != "NULL"))
		if c.kind == kindText {
			ok = ok && fmt.Sprint(c.limit) == p[3]
		}
		if !ok && c.name != "hardware_id" { // that one is counted here, and by the server later
			t.Errorf("%s is thought to be %+v", row, *c)
		}
	}
}
