package document_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/component/mysql"
	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/product/opsi/document"
	"lifeboat/internal/product/opsi/document/documenttest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(serverDir())
	os.Exit(code)
}

// serverDir is shared: making the server's data takes the time.
func serverDir() string {
	root := "/dev/shm"
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		root = os.TempDir()
	}
	return fmt.Sprintf("%s/opsi-document-%d", root, os.Getpid())
}

// staged loads the rows of a document into a real server, as an import does.
func staged(t *testing.T, d documenttest.Object) (*mysql.Staged, *document.Contents) {
	t.Helper()
	if _, err := host.Local().Look("mariadbd", "mysqld"); err != nil {
		t.Skip("needs mariadb-server")
	}
	dir := t.TempDir()
	c, err := document.Unpack(t.Context(), bytes.NewReader(write(t, d, documenttest.Form{Encoding: "msgpack", Compression: "lz4"})), dir, document.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dump, err := os.Open(filepath.Join(dir, document.Dump))
	if err != nil {
		t.Fatal(err)
	}
	defer dump.Close()
	st, err := mysql.Stage(t.Context(), dump, mysql.StageOptions{Database: "opsi", Product: &product.Product{}, State: t.TempDir(), Dir: serverDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close(t.Context()) })
	return st, c
}

// ask returns rows as text, cells separated by bars.
func ask(t *testing.T, st *mysql.Staged, statement string) []string {
	t.Helper()
	rows, err := st.Query(t.Context(), statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	var out []string
	for _, r := range rows {
		out = append(out, strings.Join(r, "|"))
	}
	return out
}

// TestRows: every class arrives in its table, each value as opsi itself writes it.
func TestRows(t *testing.T) {
	st, c := staged(t, documenttest.Sample())
	if len(st.Warnings)+len(st.Skipped)+len(c.Remarks) != 0 {
		t.Errorf("warnings %v, skipped %v, remarks %v", st.Warnings, st.Skipped, c.Remarks)
	}
	if st.Rows != c.Rows || st.Completed.Unix() != 1794000000 {
		t.Errorf("%d rows were made and %d are there; made at %v", c.Rows, st.Rows, st.Completed)
	}
	key := "0123456789abcdef0123456789abcdef"
	for statement, want := range map[string][]string{
		"SELECT * FROM `USER`": {"adminuser|2026-01-02 03:04:05|NULL|totp_active|JBSWY3DPEHPK3PXP"},
		"SELECT * FROM HOST ORDER BY hostId": {
			documenttest.ServerID + "|OpsiConfigserver|Config-Server für \"alle\"|Zeile 1\nZeile 2\\|00:16:3e:4f:6a:f8|192.0.2.10||NULL|NULL|" + key + "|NULL|NULL|0|file:///var/lib/opsi/depot|smb://opsi1.example.org/opsi_depot|webdavs://opsi1.example.org:4447/depot|file:///var/lib/opsi/repository|webdavs://opsi1.example.org:4447/repository|192.0.2.0/24|1|NULL|file:///var/lib/opsi/workbench|smb://opsi1.example.org/opsi_workbench",
			"pc1.example.org|OpsiClient|||NULL|NULL|A-1|2025-03-28 12:30:00|2026-11-06 20:00:00|11112222333344445555666677778888||NULL" + strings.Repeat("|NULL", 11),
			"pc2.example.org|OpsiClient|NULL|NULL|NULL|NULL|NULL|2025-03-29 12:30:00|NULL|99992222333344445555666677778888" + strings.Repeat("|NULL", 13),
		},
		"SELECT * FROM CONFIG ORDER BY configId": {"clientconfig.depot.drive|UnicodeConfig|Laufwerk|0|0", "clientconfig.depot.dynamic|BoolConfig|NULL|0|0", "clientconfig.depot.id|UnicodeConfig||1|1", "empty.one|UnicodeConfig||0|1"},
		"SELECT configId, value, isDefault FROM CONFIG_VALUE ORDER BY 1, 2": {
			"clientconfig.depot.drive|c:|0", "clientconfig.depot.drive|dynamic|0", "clientconfig.depot.drive|p:|1",
			"clientconfig.depot.dynamic|0|1", "clientconfig.depot.dynamic|1|0", "clientconfig.depot.id|opsi1.example.org|1",
		},
		"SELECT * FROM CONFIG_STATE ORDER BY configId": {
			`clientconfig.depot.drive|pc1.example.org|["\u00e4 \"b\" \ud83d\ude00", "x\\y", 1, 1.5, null]`,
			"clientconfig.depot.dynamic|pc1.example.org|[true]", `clientconfig.depot.id|pc1.example.org|["opsi1.example.org"]`,
		},
		"SELECT productId, type, licenseRequired, setupScript, uninstallScript, priority, changelog, pxeConfigTemplate FROM PRODUCT ORDER BY 1": {
			"7zip|LocalbootProduct|0|setup.opsiscript||-20|* neu\n* älter|NULL", "win11|NetbootProduct|1|setup.py|NULL|0|NULL|install",
		},
		"SELECT * FROM PRODUCT_PROPERTY ORDER BY propertyId":                                {"7zip|24.08|1|arch|UnicodeProductProperty|32 or 64|0|0", "7zip|24.08|1|icon|BoolProductProperty||0|0"},
		"SELECT propertyId, value, isDefault FROM PRODUCT_PROPERTY_VALUE ORDER BY 1, 2":     {"arch|32|0", "arch|64|1", "icon|0|0", "icon|1|1"},
		"SELECT * FROM PRODUCT_PROPERTY_STATE ORDER BY propertyId":                          {`7zip|arch|opsi1.example.org|["32"]`, "7zip|icon|pc1.example.org|[false]"},
		"SELECT * FROM PRODUCT_DEPENDENCY":                                                  {"7zip|24.08|1|setup|win11|NULL|NULL|NULL|installed|before"},
		"SELECT productId, productType, depotId, locked FROM PRODUCT_ON_DEPOT":              {"7zip|LocalbootProduct|opsi1.example.org|1"},
		"SELECT * FROM PRODUCT_ON_CLIENT":                                                   {"7zip|LocalbootProduct|pc1.example.org|NULL|installed|none|NULL|successful|setup|24.08|1|2026-11-05 10:00:00"},
		"SELECT * FROM `GROUP` ORDER BY groupId":                                            {"HostGroup|büro|NULL|Büro|", "HostGroup|büro oben|büro||"},
		"SELECT * FROM OBJECT_TO_GROUP":                                                     {"HostGroup|büro oben|pc1.example.org"},
		"SELECT * FROM SOFTWARE":                                                            {"7-Zip|24.08|||x64|7-zip|7-Zip 24.08|24.08|AuditSoftware|21474836480"},
		"SELECT * FROM SOFTWARE_CONFIG":                                                     {`pc1.example.org|7-Zip|24.08|||x64|"C:\Program Files\7-Zip\Uninstall.exe"||2026-01-01 00:00:00|2026-11-06 00:00:00|1|-1|NULL|`},
		"SELECT * FROM HARDWARE_DEVICE_HARDDISK_DRIVE":                                      {"1|Platte \"C\"|Festplatte|NULL|Größe 1'|121601|255|63"},
		"SELECT * FROM HARDWARE_CONFIG_HARDDISK_DRIVE":                                      {"1|pc1.example.org|1|2026-01-01 00:00:00|2026-11-06 00:00:00|1|S1|1000204886016|3", "2|pc2.example.org|1|2026-01-01 00:00:00|2026-11-06 00:00:00|1|S2|1000204886016|1"},
		"SELECT hostId, hardware_id, NumberOfCores, voltage FROM HARDWARE_CONFIG_PROCESSOR": {"pc1.example.org|1|8|1.5"},
		"SELECT * FROM LICENSE_CONTRACT":                                                    {"c1|LicenseContract|||Händler|2020-01-01 00:00:00|NULL|NULL"},
		"SELECT * FROM SOFTWARE_LICENSE ORDER BY 1":                                         {"l1|c1|OEMSoftwareLicense|pc1.example.org|1|NULL", "l2|c1|VolumeSoftwareLicense|NULL|0|2030-01-01 00:00:00"},
		"SELECT * FROM LICENSE_POOL ORDER BY 1":                                             {"p1|LicensePool|Pool", "p2|LicensePool|"},
		"SELECT * FROM PRODUCT_ID_TO_LICENSE_POOL ORDER BY 2":                               {"p1|7zip", "p1|win11"},
		"SELECT * FROM SOFTWARE_LICENSE_TO_LICENSE_POOL":                                    {"l1|p1|AAAA-BBBB"},
		"SELECT * FROM LICENSE_ON_CLIENT":                                                   {"l1|p1|pc1.example.org|AAAA-BBBB|"},
		"SELECT * FROM AUDIT_SOFTWARE_TO_LICENSE_POOL":                                      {"p1|7-Zip|24.08|||x64"},
		"SELECT version, updateEnded IS NOT NULL FROM OPSI_SCHEMA":                          {fmt.Sprintf("%d|1", document.SchemaVersion)},
	} {
		if got := ask(t, st, statement); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", statement, got, want)
		}
	}
	document.CheckSchema(t, func(statement string) []string { return ask(t, st, statement) })
}

// TestOddRows: what does not fit is told, by class and by object, and the rest arrives.
func TestOddRows(t *testing.T) {
	d := documenttest.Sample()
	objects := d["objects"].(documenttest.Object)
	add := func(class string, o documenttest.Object) {
		list, _ := objects[class].([]any)
		objects[class] = append(list, o)
	}
	add("Telepathy", documenttest.Object{"type": "Telepathy", "id": "t1"})
	add("Telepathy", documenttest.Object{"type": "Telepathy", "id": "t2"})
	add("Host", documenttest.Object{"type": "OpsiClient", "id": "pc3.example.org", "mood": "good", "description": strings.Repeat("ä", 120), "notes": "smile 😀", "maxBandwidth": "much", "created": "tomorrow"})
	add("Host", documenttest.Object{"type": "OpsiClient", "id": "pc4.example.org", "mood": "bad", "created": "2099-01-01 00:00:00"})
	add("Host", documenttest.Object{"type": "OpsiClient", "description": "nameless"})
	add("Host", documenttest.Object{"type": "OpsiClient", "id": "PC1.example.org", "description": "the same once more"})
	add("Host", documenttest.Object{"type": "OpsiClient", "id": "pc5.example.org", "systemUUID": "0A"})
	add("Host", documenttest.Object{"type": "OpsiClient", "id": "pc6.example.org", "systemUUID": "0a"})
	add("LicensePool", documenttest.Object{"type": "LicensePool", "id": "büro", "productIds": []any{"x", "X"}})
	add("LicensePool", documenttest.Object{"type": "LicensePool", "id": "buro"})
	add("Config", documenttest.Object{"type": "UnicodeConfig", "id": "clientconfig.depot.drive ", "possibleValues": []any{"twice"}})
	add("ConfigState", documenttest.Object{"configId": "x", "objectId": "pc1.example.org", "values": []any{strings.Repeat("y", 70_000)}})
	add("ConfigState", documenttest.Object{"configId": "none", "objectId": "pc1.example.org", "values": nil})
	add("Config", documenttest.Object{"type": "UnicodeConfig", "id": "stray", "possibleValues": []any{"a"}, "defaultValues": []any{"b"}})
	add("Product", documenttest.Object{"type": "LocalbootProduct", "id": "old", "productVersion": "1", "packageVersion": "1", "name": "Old", "windowsSoftwareIds": []any{"w1"}})
	add("ProductOnClient", documenttest.Object{"type": "ProductOnClient", "productId": "old", "productType": "LocalbootProduct", "clientId": "pc2.example.org"})
	add("AuditHardware", documenttest.Object{"hardwareClass": "MONITOR", "name": "M", "curvature": 1800})
	add("AuditHardware", documenttest.Object{"hardwareClass": "MONITOR", "name": "N"})
	add("AuditHardware", documenttest.Object{"hardwareClass": "ROBOT", "name": "R", "arms": 2})
	add("AuditHardware", documenttest.Object{"hardwareClass": "x`; DROP TABLE HOST; -- ", "name": "R"})
	add("AuditHardwareOnHost", documenttest.Object{"hardwareClass": "ROBOT", "hostId": "pc2.example.org", "name": "R", "arms": 2, "colour": "red"})
	add("AuditHardwareOnHost", documenttest.Object{"hardwareClass": "MONITOR", "hostId": "pc2.example.org", "name": "unseen"})
	add("AuditHardwareOnHost", documenttest.Object{"hardwareClass": "MONITOR", "hostId": "pc2.example.org", "name": "N", "a`b": 1})

	st, c := staged(t, d)
	var remarks []string
	for _, r := range c.Remarks {
		remarks = append(remarks, r.String())
	}
	all := strings.Join(remarks, "\n")
	for _, want := range []string{
		"Telepathy: the class is not known; its objects are left out: 2 (t1, t2)",
		"Host: attribute mood is not known; its values are left out: 2 (pc3.example.org, pc4.example.org)",
		"Host: description is longer than the column; it was cut to 100 characters: 1 (pc3.example.org)",
		"Host: notes holds characters that the tables of opsi cannot; they became question marks: 1 (pc3.example.org)",
		"Host: maxBandwidth holds what its column cannot; that value is left out: 1 (pc3.example.org)",
		"Host: created holds what its column cannot; that value is left out: 2 (pc3.example.org, pc4.example.org)",
		"Host: without id it is nothing; such objects are left out: 1",
		"Host: table HOST has a row of that key already (upper and lower case are one to the database); the first one is taken, such objects are left out: 2 (PC1.example.org, pc6.example.org)",
		"Config: table CONFIG has a row of that key already (upper and lower case are one to the database); the first one is taken, such objects are left out: 1 (clientconfig.depot.drive )",
		"LicensePool: productIds names a product twice; it is taken once: 1 (büro)",
		"ConfigState: values holds what its column cannot; such objects are left out: 1 (x;pc1.example.org)",
		"Product: opsi 4.3 has no column for attribute windowsSoftwareIds; its values are left out: 1 (old;1;1)",
		"ProductOnClient: modificationTime is not given; the time of the backup stands there: 1 (old;LocalbootProduct;pc2.example.org)",
		"AuditHardware: attribute curvature of hardware class MONITOR is not among those that opsi ships",
		"AuditHardware: hardware class ROBOT is not among those that opsi ships",
		"AuditHardware: it has no hardware class, or none that a table can be named after; such objects are left out: 1",
		"AuditHardwareOnHost: attribute colour of hardware class ROBOT is not among",
		"AuditHardwareOnHost: attribute a`b of hardware class MONITOR is not known; its values are left out: 1",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no remark %q in\n%s", want, all)
		}
	}
	// What only the server holds for one is counted, and not named.
	if !strings.Contains(strings.Join(st.Warnings, "\n"), "table LICENSE_POOL: 4 rows stand in the dump, 3 are loaded") {
		t.Errorf("the pool that stands twice is not told: %v", st.Warnings)
	}
	for statement, want := range map[string][]string{
		"SELECT CHAR_LENGTH(description), notes, created, maxBandwidth FROM HOST WHERE hostId LIKE 'pc3%'":                                                     {"100|smile ?|NULL|NULL"},
		"SELECT COUNT(*) FROM CONFIG_VALUE WHERE value = 'twice'":                                                                                              {"0"},
		"SELECT `values` FROM CONFIG_STATE WHERE configId = 'none'":                                                                                            {"[]"},
		"SELECT value, isDefault FROM CONFIG_VALUE WHERE configId = 'stray' ORDER BY 1":                                                                        {"a|0", "b|1"},
		"SELECT installationStatus, actionRequest FROM PRODUCT_ON_CLIENT WHERE productId = 'old'":                                                              {"not_installed|none"},
		"SELECT name, curvature FROM HARDWARE_DEVICE_MONITOR ORDER BY hardware_id":                                                                             {"M|1800", "N|NULL", "unseen|NULL"},
		"SELECT d.name FROM HARDWARE_CONFIG_MONITOR c JOIN HARDWARE_DEVICE_MONITOR d USING (hardware_id) ORDER BY 1":                                           {"N", "unseen"},
		"SELECT d.name, d.arms, c.colour, c.hostId, UNIX_TIMESTAMP(c.firstseen) FROM HARDWARE_CONFIG_ROBOT c JOIN HARDWARE_DEVICE_ROBOT d USING (hardware_id)": {"R|2|red|pc2.example.org|1794000000"},
	} {
		if got := ask(t, st, statement); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", statement, got, want)
		}
	}
}
