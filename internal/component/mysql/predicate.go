package mysql

import (
	"context"
	"errors"
	"fmt"

	"lifeboat/internal/profile"
)

// DatabaseOptions are the options of the predicate database.
type DatabaseOptions struct {
	Name   string `yaml:"name" short:"true" jsonschema:"required"`
	Access `yaml:",inline"`
}

// SQLOptions are the options of the predicate sql.
type SQLOptions struct {
	Query    string `yaml:"query" short:"true" jsonschema:"required"`
	Database string `yaml:"database,omitempty"`
	Equals   string `yaml:"equals,omitempty"` // of the first column of the first row
	Access   `yaml:",inline"`
}

// Predicates are what profiles may ask of a database server.
func Predicates() map[string]profile.Predicate {
	return map[string]profile.Predicate{
		"database": {
			Definition: profile.Definition{
				Summary: "A MariaDB or MySQL server of this machine has the database",
				Options: func() any { return new(DatabaseOptions) },
			},
			Holds: holdsDatabase,
		},
		"sql": {
			Definition: profile.Definition{
				Summary: "A query answers with equals, or without equals with anything but nothing, 0 and NULL",
				Options: func() any { return new(SQLOptions) },
			},
			Holds: holdsSQL,
		},
	}
}

func holdsDatabase(ctx context.Context, scope profile.Scope, options any) (bool, string, error) {
	o, ok := options.(*DatabaseOptions)
	if !ok {
		return false, "", fmt.Errorf("predicate database: options are %T", options)
	}
	s, err := connect(ctx, scope.Host, o.Access, "")
	if err != nil {
		if ctx.Err() != nil {
			return false, "", ctx.Err()
		}
		return false, "no database server answers: " + err.Error(), nil
	}
	defer s.close()
	exists, err := s.exists(ctx, o.Name)
	if err != nil {
		return false, "", err
	}
	if !exists {
		return false, "the database server has no database " + o.Name, nil
	}
	return true, "the database server has database " + o.Name, nil
}

func holdsSQL(ctx context.Context, scope profile.Scope, options any) (bool, string, error) {
	o, ok := options.(*SQLOptions)
	if !ok {
		return false, "", fmt.Errorf("predicate sql: options are %T", options)
	}
	if o.Query == "" {
		return false, "", errors.New("predicate sql: query is empty")
	}
	rows, err := Query(ctx, scope.Host, o.Access, o.Database, o.Query)
	if err != nil {
		return false, "", err
	}
	if len(rows) == 0 || len(rows[0]) == 0 {
		return false, "the query answers with no row", nil
	}
	found := rows[0][0]
	why := fmt.Sprintf("the query answers with %q", found)
	if o.Equals != "" {
		return found == o.Equals, why, nil
	}
	return found != "" && found != "0" && found != "NULL", why, nil
}
