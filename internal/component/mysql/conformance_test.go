package mysql

import (
	"testing"

	"lifeboat/internal/component/componenttest"
	"lifeboat/internal/product"
	"lifeboat/internal/profile"
)

// TestConformance runs what every kind must pass, on a real server.
func TestConformance(t *testing.T) {
	l := newLab(t)
	opts := l.options()
	populate := func(testing.TB, string) {
		for _, d := range append(l.sides(), l.name) {
			l.run("DROP DATABASE IF EXISTS " + ident(d))
		}
		l.run("CREATE DATABASE "+ident(l.name)+" CHARACTER SET latin1", "USE "+ident(l.name),
			"CREATE TABLE a (x INT PRIMARY KEY, v VARCHAR(20)) ENGINE=InnoDB", "CREATE TABLE m (y BLOB) ENGINE=MyISAM",
			"INSERT INTO a VALUES (1, 'ä'), (2, NULL)", "INSERT INTO m VALUES (x'00ff')",
			"CREATE VIEW v AS SELECT x FROM a", "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.v = 'new'",
			"CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM m")
	}
	picture := func(testing.TB, string) string { return l.picture() }
	componenttest.Run(t, componenttest.Fixture{
		Kind: Kind(product.Make()),
		Spec: func(string) profile.Component {
			return profile.Component{Name: "database", Kind: "mysql", Importance: profile.Critical, Options: &opts}
		},
		Populate: populate,
		Alter: func(testing.TB, string) {
			l.run("DROP VIEW v", "DROP TRIGGER t", "INSERT INTO a VALUES (3, 'more')", "DROP TABLE m", "CREATE TABLE own (z INT)",
				"CREATE TRIGGER o BEFORE INSERT ON own FOR EACH ROW SET NEW.z = 1", "CREATE PROCEDURE p() SELECT 1")
		},
		Lose:  func(testing.TB, string) { l.run("DROP DATABASE " + ident(l.name)) },
		State: picture,
		Every: 4,
	})
}
