package profile

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

func TestSchema(t *testing.T) {
	text, err := Schema(testRegistry())
	if err != nil {
		t.Fatal(err)
	}
	again, err := Schema(testRegistry())
	if err != nil || !bytes.Equal(text, again) {
		t.Error("the schema differs from one time to the next")
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("profile.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("profile.json")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	validate := func(text string) error {
		t.Helper()
		var tree any
		if err := yaml.Load([]byte(text), &tree); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(value)
	}
	if err := validate(good); err != nil {
		t.Errorf("%v", err)
	}
	for _, change := range [][2]string{
		{"title: The", "titel: The"},
		{"kind: mysql", "kind: mysq"},
		{"importance: optional", "importance: optinal"},
		{"- restore: files", "- restor: files"},
		{"repeat: safe", "repeat: always"},
		{"{value: \"${root}/tree\"}", "{valu: \"${root}/tree\"}"},
		{"done: {package: app}", "done: {pakage: app}"},
		{"    loss: All records.\n", ""},
		{"lock: /run/app.pid", "lok: /run/app.pid"},
	} {
		if err := validate(strings.Replace(good, change[0], change[1], 1)); err == nil {
			t.Errorf("%s: accepted", change[1])
		}
	}
}
