package recovery_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/backup/backuptest"
	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// aged is a site whose data is of another schema than what is installed.
func aged(t *testing.T, schema string) *backuptest.Site {
	t.Helper()
	s := backuptest.New(t, "")
	kind := s.Catalog.Kinds["files"]
	kind.Schema = func(r component.Record) (string, string) {
		if r.Name != "data" {
			return "", ""
		}
		return "app", schema
	}
	s.Catalog.Kinds["files"] = kind
	s.Catalog.Products = product.Make(&product.Product{
		Name: "app", Facts: func(schema string) map[string]string { return map[string]string{"schema": schema} },
		Comparisons: map[string]product.Comparison{"app-schema": {Compare: func(_ context.Context, _ *host.Host, point, installed string) (product.Verdict, error) {
			if point == installed {
				return product.Verdict{}, nil
			}
			return product.Verdict{Level: product.Refuses, Why: "data of " + point + ", installed is " + installed}, nil
		}}},
	})
	s.Catalog.Profile.Compares["app-schema"] = "same schema"
	text := strings.Replace(string(s.Profile.Text), "identity: {must_match: [hostname], warn: [os]}",
		"identity: {facts: {schema: {value: \"3\"}}, must_match: [hostname], compare: {schema: app-schema}}", 1)
	p, err := s.Catalog.Profile.Load("app.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s.Profile = p
	return s
}

// What a point holds is what its data is, whatever was installed beside it.
func TestSchemaOfTheData(t *testing.T) {
	s := aged(t, "4")
	b, run, err := s.Backup(t)
	if err != nil || run.State != runbook.StateWarnings {
		t.Fatal(run.State, err)
	}
	m := b.Point().Manifest
	if m.Identity["schema"] != "4" || !slices.ContainsFunc(m.Warnings, func(w string) bool { return strings.Contains(w, "data holds schema 4") }) {
		t.Errorf("identity %v, warnings %q", m.Identity, m.Warnings)
	}
	s.Write(t, "etc/app.conf", "fresh")
	for name, told := range map[string]string{"as written now": "4", "as older points have it": "3"} {
		_, book := s.Recovery(t, func(o *recovery.Options) {
			point, err := s.Vault.Find(t.Context(), "", vault.Filter{})
			if err != nil {
				t.Fatal(err)
			}
			point.Manifest.Identity["schema"] = told
			o.Point = point
		})
		run, err = s.Engine(nil).Start(t.Context(), book, runbook.Meta{})
		if runbook.ExitCode(run, err) != runbook.ExitRefused || !strings.Contains(err.Error(), "data of 4, installed is 3") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s.Read("etc/app.conf") != "fresh" {
		t.Error("something was changed")
	}
}
