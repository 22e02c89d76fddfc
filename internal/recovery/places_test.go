package recovery

import (
	"context"
	"strings"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/profile"
	"lifeboat/internal/vault"
)

// An imported point does not write where a foreign file wants it to, though it was
// made before the import refused that; of other points the machine itself has said
// where its data are.
func TestPlacesOfAnImportedPoint(t *testing.T) {
	p := &product.Product{Name: "x", Admit: func(_ context.Context, _ *host.Host, places []product.Place) (a product.Admission, _ error) {
		for _, place := range places {
			switch {
			case strings.HasPrefix(place.Path, "/etc"):
				a.Never = append(a.Never, place.Path)
			case strings.HasPrefix(place.Path, "/opt"):
				a.Taken = append(a.Taken, place.Path+" of "+place.Component+" is where another is")
			case strings.HasPrefix(place.Path, "/srv"):
				a.Strange = append(a.Strange, place.Path)
			}
		}
		return a, nil
	}}
	for _, c := range []struct {
		place   string
		trigger vault.Trigger
		force   string
		refused string
		warned  bool
	}{
		{"/var/x", vault.Imported, "", "", false},
		{"/srv/x", vault.Imported, "", "neither a usual place of x", false},
		{"/srv/x", vault.Imported, CheckPlaces, "", true},
		{"/srv/x", vault.Manual, "", "", false},
		{"/etc/cron.d/x", vault.Imported, "", "a place of the system", false},
		{"/etc/cron.d/x", vault.Imported, CheckPlaces, "a place of the system", false},
		{"/etc/cron.d/x", vault.Manual, "", "", false},
		{"/opt/x", vault.Imported, CheckPlaces, "/opt/x of data is where another is", false},
		{"/opt/x", vault.Manual, "", "", false},
	} {
		m := vault.Manifest{Trigger: c.trigger, Components: []component.Record{
			{Name: "data", Status: component.StatusCaptured, Paths: []string{"/var/y", c.place}},
			{Name: "other", Status: component.StatusCaptured, Paths: []string{"/etc/shadow"}},
		}}
		r := &Recovery{Options: Options{
			Manifest: &m, Profile: &profile.Profile{Name: "x"}, Catalog: &Catalog{Products: product.Make(p)}, Only: []string{"data"}, Force: []string{c.force},
		}}
		check, why, err := r.checkPlaces(t.Context())
		if err != nil || (why == "") != (c.refused == "") || !strings.Contains(why, c.refused) || (check != nil && check.Warning) != c.warned {
			t.Errorf("%s, %s, force %q: %+v, %q, %v", c.place, c.trigger, c.force, check, why, err)
		}
	}
}

// A configuration that the import has found to be unusable is restored only when that is
// said, and does not concern who restores something else.
func TestUnusableConfiguration(t *testing.T) {
	m := vault.Manifest{
		Components: []component.Record{{Name: "configuration", Status: component.StatusCaptured}, {Name: "data", Status: component.StatusCaptured}},
		Unusable:   map[string][]string{"configuration": {"no backend"}},
	}
	for _, c := range []struct {
		only, force     []string
		refused, warned bool
	}{
		{nil, nil, true, false},
		{[]string{"data"}, nil, false, false},
		{[]string{"configuration"}, nil, true, false},
		{nil, []string{CheckUsable}, false, true},
	} {
		r := &Recovery{Options: Options{Manifest: &m, Profile: &profile.Profile{Title: "X"}, Only: c.only, Force: c.force}}
		check, why, err := r.checkUsable(t.Context())
		if err != nil || (why != "") != c.refused || c.refused && !strings.Contains(why, "no backend") || (check != nil && check.Warning) != c.warned {
			t.Errorf("only %q, force %q: %+v, %q, %v", c.only, c.force, check, why, err)
		}
	}
}
