package path

import (
	"strings"
	"testing"

	"lifeboat/internal/strict"
)

const small = `
sources: {book: {title: A book, url: "https://example.com/book"}}
products:
  - {name: OS, title: A System, ids: [os]}
architectures: {x86_64: {bits: 64, order: little, family: x86}}
methods: {online: {title: Online, by: zypper}}
releases:
  - {release: "1", products: [OS], architectures: [x86_64], published: 2020-01-01, general: 2021-01-01, source: book}
  - {release: "2", products: [OS], architectures: [x86_64], source: book}
edges:
  - {to: "2", from: ["1"], methods: [online], source: book}
refusals:
  no-path: {text: x, source: book}
  skips-releases: {text: x, source: book}
  other-architecture: {text: x, source: book}
  word-size: {text: x, source: book}
  byte-order: {text: x, source: book}
  not-built-for: {text: x, source: book}
  older-release: {text: x, source: book}
  other-product: {text: x, source: book}
  other-method: {text: x, source: book}
repositories:
  - {release: "2", products: [OS], required: [os2], source: book}
support:
  columns: [{id: a, title: A, stage: recent, from: 1, to: 5}]
  levels: [{service: S, given: ["yes"]}]
  source: book
`

func fill(t *testing.T, text string) (*Catalogue, error) {
	t.Helper()
	doc, err := strict.Parse("os.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c := new(Catalogue)
	doc.Fill(doc.Root, c)
	return c, doc.Err()
}

func TestValidate(t *testing.T) {
	if _, err := fill(t, small); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ old, new, want string }{
		{`methods: [online], source: book}`, `methods: [onlin], source: book}`, "edge to 2: method onlin is unknown; did you mean online?"},
		{`from: ["1"]`, `from: ["3"]`, "edge to 2 from 3: no product has both"},
		{`to: "2", from: ["1"]`, `to: "1", from: ["2"]`, "edge to 1 does not lead on from OS 2"},
		{`to: "2", from: ["1"]`, `to: latest, from: ["1"]`, `"latest" is no version`},
		{`from: ["1"], methods`, `from: ["3"], products: [OS], methods`, "edge to 2 from OS 3: one of the two releases is unknown"},
		{`from: ["1"], methods`, `from: [], methods`, "from or methods is empty"},
		{`release: "2", products: [OS], arch`, `release: "1", products: [OS], arch`, "release OS 1 is there twice"},
		{`architectures: [x86_64], source`, `architectures: [x86], source`, "release 2: architecture x86 is unknown"},
		{`published: 2020-01-01`, `published: 2022-01-01`, "release 1: the days are not in their order"},
		{`published: 2020-01-01`, `published: January`, `"January" is no day`},
		{`  byte-order: {text: x, source: book}` + "\n", ``, "refusals: byte-order is missing"},
		{`older-release: {text: x, source: book}`, `older-release: {text: x, source: look}`, "refusal older-release: source look is unknown; did you mean book?"},
		{`{release: "2", products: [OS], required`, `{release: "4", products: [OS], required`, "repositories of 4: there is no release OS 4"},
		{`given: ["yes"]`, `given: []`, "support: S has 0 values for 1 columns"},
		{`  - {name: OS, title: A System, ids: [os]}`, "  - {name: OS, title: A System, ids: [os]}\n  - {name: Other, title: B, ids: [os]}", "os is a word for two products, OS and Other"},
		{`family: x86}`, `family: x86, also: [x86_64]}`, "x86_64 is a word for two architectures"},
	} {
		if !strings.Contains(small, test.old) {
			t.Fatalf("%q is not there", test.old)
		}
		if _, err := fill(t, strings.Replace(small, test.old, test.new, 1)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s:\n got %v\nwant %s", test.new, err, test.want)
		}
	}
}
