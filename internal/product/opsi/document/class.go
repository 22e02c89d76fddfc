package document

// class says which table the objects of a class are rows of. An attribute stands
// in the column of its name unless rename says otherwise.
type class struct {
	name   string
	table  string
	rename map[string]string
	// computed attributes are made by the server whenever it is asked; unused
	// ones have no column any more. Only a value in an unused one is worth a word.
	computed, unused []string
	// listed attributes are lists whose elements are rows of another table.
	listed []string
	rows   func(w *Writer, row map[string]string, o Object) error
}

func id(column string) map[string]string { return map[string]string{"id": column} }

// classes are those of opsiconfd 4.3, in the order in which it inserts them: what
// refers to something comes after it. The two of the hardware inventory have
// tables of their own making (hardware.go).
var classes = []class{
	{name: "User", table: "USER", rename: id("userId")},
	{name: "Host", table: "HOST", rename: id("hostId")},
	{name: "Config", table: "CONFIG", rename: id("configId"), listed: []string{"possibleValues", "defaultValues"}, rows: (*Writer).configValues},
	{name: "ConfigState", table: "CONFIG_STATE"},
	{name: "Product", table: "PRODUCT", rename: id("productId"), unused: []string{"productClassIds", "windowsSoftwareIds"}},
	{name: "ProductProperty", table: "PRODUCT_PROPERTY", listed: []string{"possibleValues", "defaultValues"}, rows: (*Writer).propertyValues},
	{name: "ProductDependency", table: "PRODUCT_DEPENDENCY"},
	{name: "ProductOnDepot", table: "PRODUCT_ON_DEPOT"},
	{name: "ProductOnClient", table: "PRODUCT_ON_CLIENT", computed: []string{"actionSequence"}},
	{name: "ProductPropertyState", table: "PRODUCT_PROPERTY_STATE"},
	{name: "Group", table: "GROUP", rename: id("groupId")},
	{name: "ObjectToGroup", table: "OBJECT_TO_GROUP"},
	{name: "AuditSoftware", table: "SOFTWARE"},
	{name: "AuditSoftwareOnClient", table: "SOFTWARE_CONFIG"},
	{name: "AuditHardware"},
	{name: "AuditHardwareOnHost"},
	{name: "LicenseContract", table: "LICENSE_CONTRACT", rename: id("licenseContractId")},
	{name: "SoftwareLicense", table: "SOFTWARE_LICENSE", rename: id("softwareLicenseId")},
	{name: "LicensePool", table: "LICENSE_POOL", rename: id("licensePoolId"), listed: []string{"productIds"}, rows: (*Writer).poolProducts},
	{name: "AuditSoftwareToLicensePool", table: "AUDIT_SOFTWARE_TO_LICENSE_POOL"},
	{name: "SoftwareLicenseToLicensePool", table: "SOFTWARE_LICENSE_TO_LICENSE_POOL"},
	{name: "LicenseOnClient", table: "LICENSE_ON_CLIENT"},
}

func classOf(name string) *class {
	for i := range classes {
		if classes[i].name == name {
			return &classes[i]
		}
	}
	return nil
}

// Classes lists the classes that a document of a 4.3 server has.
func Classes() []string {
	names := make([]string, len(classes))
	for i, c := range classes {
		names[i] = c.name
	}
	return names
}

// emptied are texts that stand as NULL when they are empty: systemUUID is a unique
// key, and opsi does the same to the other two.
var emptied = map[string]bool{"systemUUID": true, "ipAddress": true, "hardwareAddress": true}

// configValues and propertyValues write one row a possible value. A default that
// is not among the possible ones gets a row too: opsi would lose it.
func (w *Writer) configValues(row map[string]string, o Object) error {
	return w.splitValues("CONFIG_VALUE", []string{"configId"}, row, o)
}

func (w *Writer) propertyValues(row map[string]string, o Object) error {
	return w.splitValues("PRODUCT_PROPERTY_VALUE", []string{"productId", "productVersion", "packageVersion", "propertyId"}, row, o)
}

func (w *Writer) splitValues(table string, key []string, row map[string]string, o Object) error {
	t := w.tables[table]
	defaults := w.elements(t.column("value"), o, "defaultValues")
	possible := w.elements(t.column("value"), o, "possibleValues")
	isDefault, isPossible := map[string]bool{}, map[string]bool{}
	for _, v := range defaults {
		isDefault[v] = true
	}
	for _, v := range possible {
		isPossible[v] = true
	}
	for _, v := range defaults {
		if !isPossible[v] {
			isPossible[v] = true
			possible = append(possible, v)
		}
	}
	for _, v := range possible {
		value := map[string]string{"value": v, "isDefault": "0"}
		if isDefault[v] {
			value["isDefault"] = "1"
		}
		for _, k := range key {
			value[k] = row[k]
		}
		if err := w.insert(t, value); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) poolProducts(row map[string]string, o Object) error {
	t := w.tables["PRODUCT_ID_TO_LICENSE_POOL"]
	for _, v := range w.elements(t.column("productId"), o, "productIds") {
		if v == null {
			continue
		}
		pool := map[string]string{"licensePoolId": row["licensePoolId"], "productId": v}
		if w.twice(t, pool) {
			w.note("productIds names a product twice; it is taken once", w.ident)
			continue
		}
		if err := w.insert(t, pool); err != nil {
			return err
		}
	}
	return nil
}

// elements converts the elements of a list for a column.
func (w *Writer) elements(c *column, o Object, attribute string) []string {
	list, ok := o[attribute].([]any)
	if !ok && o[attribute] != nil {
		list = []any{o[attribute]}
	}
	var out []string
	for _, v := range list {
		sql, note, err := c.convert(v)
		if err != nil {
			w.note(attribute+" holds a value that no text can stand for; that value is left out", w.ident)
			continue
		}
		if note != "" {
			w.note("a value of "+attribute+" "+note, w.ident)
		}
		out = append(out, sql)
	}
	return out
}
