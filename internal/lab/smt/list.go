package smt

import (
	"database/sql"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"lifeboat/internal/lab/machine"
)

// table prints rows in the frame of Text::ASCIITable.
func table(w io.Writer, head []string, rows [][]string) {
	width := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			for _, line := range strings.Split(cell, "\n") {
				width[i] = max(width[i], utf8.RuneCountInString(line))
			}
		}
	}
	rule := func(left, middle, right string) {
		parts := make([]string, len(width))
		for i, n := range width {
			parts[i] = strings.Repeat("-", n+2)
		}
		fmt.Fprintln(w, left+strings.Join(parts, middle)+right)
	}
	print := func(row []string) {
		lines := 1
		for _, cell := range row {
			lines = max(lines, strings.Count(cell, "\n")+1)
		}
		for l := range lines {
			var b strings.Builder
			b.WriteString("|")
			for i, cell := range row {
				text := ""
				if parts := strings.Split(cell, "\n"); l < len(parts) {
					text = parts[l]
				}
				b.WriteString(" " + text + strings.Repeat(" ", width[i]-utf8.RuneCountInString(text)) + " |")
			}
			fmt.Fprintln(w, b.String())
		}
	}
	rule(".", "-", ".")
	print(head)
	rule("+", "+", "+")
	for _, row := range rows {
		print(row)
	}
	rule("'", "-", "'")
}

// query runs a query and returns its rows as text, NULL as "".
func query(db *sql.DB, text string, args ...any) ([][]string, error) {
	rows, err := db.Query(text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all [][]string
	for rows.Next() {
		cells, ptrs := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range cells {
			ptrs[i] = &cells[i]
		}
		if err := rows.Scan(ptrs...); err != nil {
			return nil, err
		}
		row := make([]string, len(names))
		for i, c := range cells {
			row[i] = c.String
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// catalogs is a double for smt-catalogs and smt-repos: -o only enabled, -m only
// mirrorable, -e and -d NAME [TARGET] enable and disable.
func catalogs(_ *machine.Machine, c *machine.Call) int {
	db, _, err := connect()
	if err != nil {
		return c.Fail(1, "Cannot connect to database: %v", err)
	}
	defer db.Close()
	var where, words []string
	change := ""
	for _, a := range c.Args {
		switch a {
		case "-o", "--only-enabled":
			where = append(where, "DOMIRROR = 'Y'")
		case "-m", "--only-mirrorable":
			where = append(where, "MIRRORABLE = 'Y'")
		case "-e", "--enable-mirror":
			change = "Y"
		case "-d", "--disable-mirror":
			change = "N"
		default:
			if !strings.HasPrefix(a, "-") {
				words = append(words, a)
			}
		}
	}
	var args []any
	for i, w := range words {
		where, args = append(where, []string{"NAME = ?", "IFNULL(TARGET,'') = ?"}[min(i, 1)]), append(args, w)
	}
	cond := ""
	if len(where) > 0 {
		cond = " WHERE " + strings.Join(where, " AND ")
	}
	if change != "" {
		res, err := db.Exec("UPDATE Catalogs SET DOMIRROR = '"+change+"'"+cond, args...)
		if err != nil {
			return c.Fail(1, "%v", err)
		}
		n, _ := res.RowsAffected()
		c.Printf("%d repositories changed.\n", n)
		return 0
	}
	rows, err := query(db, "SELECT IF(DOMIRROR='Y','Yes','No'), CATALOGTYPE, NAME, IFNULL(NULLIF(TARGET,''),'-'), DESCRIPTION, IF(MIRRORABLE='Y','Yes','No') FROM Catalogs"+cond+" ORDER BY NAME, TARGET", args...)
	if err != nil {
		return c.Fail(1, "%v", err)
	}
	if len(rows) == 0 {
		c.Printf("No repositories found.\n")
		return 0
	}
	for i, r := range rows {
		rows[i] = []string{r[0], fmt.Sprint(i + 1), r[1], r[2], r[3], r[4], r[5]}
	}
	table(c.Stdout, []string{"Mirror?", "ID", "Type", "Name", "Target", "Description", "Can be Mirrored"}, rows)
	return 0
}

// registrations is a double for smt-list-registrations [-v].
func registrations(_ *machine.Machine, c *machine.Call) int {
	db, _, err := connect()
	if err != nil {
		return c.Fail(1, "Cannot connect to database: %v", err)
	}
	defer db.Close()
	on := "r.PRODUCTID = p.PRODUCTDATAID"
	if hasColumn(db, "Products", "ID") {
		on = "r.PRODUCTID = p.ID"
	}
	rows, err := query(db, `SELECT c.GUID, c.HOSTNAME, c.LASTCONTACT, GROUP_CONCAT(TRIM(CONCAT_WS(' ', p.PRODUCT, p.VERSION, p.REL, p.ARCH)) SEPARATOR '\n')
		FROM Clients c LEFT JOIN Registration r ON r.GUID = c.GUID LEFT JOIN Products p ON `+on+`
		GROUP BY c.GUID, c.HOSTNAME, c.LASTCONTACT ORDER BY c.LASTCONTACT, c.GUID`)
	if err != nil {
		return c.Fail(1, "%v", err)
	}
	if len(c.Args) > 0 && (c.Args[0] == "-v" || c.Args[0] == "--verbose") {
		for _, r := range rows {
			c.Printf("Unique ID     : %s\nHostname      : %s\nLast Contact  : %s\n%s\n%s\n", r[0], r[1], r[2], r[3], strings.Repeat("-", 70))
		}
		return 0
	}
	table(c.Stdout, []string{"Unique ID", "Hostname", "Last Contact", "Product"}, rows)
	return 0
}

// jobStatus are the words of JobQueue.STATUS.
var jobStatus = []string{"queued", "successful", "failed", "denied by client", "warning", "action needed", "reboot needed", "disabled"}

// jobs is a double for smt-job -l: nothing is printed for an empty queue, and 3
// is returned when it cannot be read.
func jobs(_ *machine.Machine, c *machine.Call) int {
	db, _, err := connect()
	if err != nil {
		return c.Fail(3, "Cannot connect to database: %v", err)
	}
	defer db.Close()
	rows, err := query(db, `SELECT j.ID, IFNULL(j.PARENT_ID,''), c.GUID, j.TYPE, j.NAME, j.STATUS FROM JobQueue j LEFT JOIN Clients c ON c.ID = j.GUID_ID ORDER BY j.ID, j.GUID_ID`)
	if err != nil {
		return c.Fail(3, "%v", err)
	}
	if len(rows) == 0 {
		return 0
	}
	for _, r := range rows {
		var n int
		if _, err := fmt.Sscan(r[5], &n); err == nil && n < len(jobStatus) {
			r[5] = jobStatus[n]
		}
	}
	table(c.Stdout, []string{"Id", "Parent", "Guid", "Type", "Name", "Status"}, rows)
	return 0
}
