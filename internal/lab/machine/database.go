package machine

import (
	"database/sql"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// OpenRoot connects as the administrator over the socket. name may be "".
func OpenRoot(name string) (*sql.DB, error) { return OpenDB("root", "", name) }

// OpenDB connects over the socket and makes sure that the server answers.
func OpenDB(user, password, name string) (*sql.DB, error) {
	return Connect("unix", Socket, user, password, name)
}

// Connect is OpenDB over another socket, or with network "tcp".
func Connect(network, address, user, password, name string) (*sql.DB, error) {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName = user, password, network, address, name
	cfg.MultiStatements = true
	cfg.ParseTime = false
	cfg.Logger = quiet{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	if err := db.Ping(); err != nil {
		db.Close()
		return nil, fmt.Errorf("connect to database %s as %s: %w", name, user, err)
	}
	return db, nil
}

// Batch collects rows for one table.
type Batch struct {
	rows int
	args []any
}

// Add adds a row.
func (b *Batch) Add(values ...any) {
	b.rows++
	b.args = append(b.args, values...)
}

// Insert writes the rows, in as few statements as the protocol's 65535
// placeholders allow.
func (b *Batch) Insert(db *sql.DB, table, columns string) error {
	if b.rows == 0 {
		return nil
	}
	width := len(b.args) / b.rows
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", width), ",") + ")"
	for args := b.args; len(args) > 0; {
		n := min(len(args)/width, 65535/width)
		marks := strings.TrimSuffix(strings.Repeat(row+",", n), ",")
		if _, err := db.Exec("INSERT INTO "+table+" ("+columns+") VALUES "+marks, args[:n*width]...); err != nil {
			return fmt.Errorf("fill %s: %w", table, err)
		}
		args = args[n*width:]
	}
	return nil
}

type quiet struct{}

func (quiet) Print(...any) {}
