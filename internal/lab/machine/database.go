package machine

import (
	"database/sql"
	"fmt"

	"github.com/go-sql-driver/mysql"
)

// OpenRoot connects as the administrator over the socket. name may be "".
func OpenRoot(name string) (*sql.DB, error) { return OpenDB("root", "", name) }

// OpenDB connects over the socket and makes sure that the server answers.
func OpenDB(user, password, name string) (*sql.DB, error) {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName = user, password, "unix", Socket, name
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

type quiet struct{}

func (quiet) Print(...any) {}
