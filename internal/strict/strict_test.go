package strict

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

type inner struct {
	Name string `yaml:"name" short:"true" jsonschema:"required"`
	Size int    `yaml:"size,omitempty"`
}

type Shared struct {
	Host string `yaml:"host,omitempty"`
}

type outer struct {
	Text     string            `yaml:"text" jsonschema:"required"`
	Number   int8              `yaml:"number,omitempty"`
	Positive uint              `yaml:"positive,omitempty"`
	Ratio    float64           `yaml:"ratio,omitempty"`
	Flag     bool              `yaml:"flag,omitempty"`
	Span     time.Duration     `yaml:"span,omitempty"`
	Default  *string           `yaml:"default,omitempty"`
	List     []string          `yaml:"list,omitempty"`
	Map      map[string]string `yaml:"map,omitempty"`
	Inner    *inner            `yaml:"inner,omitempty"`
	Inners   []inner           `yaml:"inners,omitempty"`
	Choice   string            `yaml:"choice,omitempty" jsonschema:"enum=one,enum=two"`
	Free     any               `yaml:"free,omitempty"`
	Shared   `yaml:",inline"`
	Hidden   string `yaml:"-"`
}

func (o *outer) Validate() error {
	if o.Text == "bad" {
		return errors.Join(errors.New("text is bad"), errors.New("and so is all"))
	}
	return nil
}

func decode(t *testing.T, text string) (outer, error) {
	t.Helper()
	doc, err := Parse("x.yaml", []byte(text))
	if err != nil {
		return outer{}, err
	}
	var o outer
	doc.Decode(doc.Root, &o)
	return o, doc.Err()
}

func TestDecode(t *testing.T) {
	got, err := decode(t, `
text: 0640
number: -3
positive: 7
ratio: 1.5
flag: true
span: 1h30m
default: ""
list: [1.10, yes, "x"]
map: {a: 1, b: c}
inner: short
inners: [one, {name: two, size: 2}]
choice: two
free: {a: [1, x]}
host: h
`)
	if err != nil {
		t.Fatal(err)
	}
	empty := ""
	want := outer{
		Text: "0640", Number: -3, Positive: 7, Ratio: 1.5, Flag: true, Span: 90 * time.Minute, Default: &empty,
		List: []string{"1.10", "yes", "x"}, Map: map[string]string{"a": "1", "b": "c"},
		Inner: &inner{Name: "short"}, Inners: []inner{{Name: "one"}, {Name: "two", Size: 2}},
		Choice: "two", Free: map[string]any{"a": []any{1, "x"}}, Shared: Shared{Host: "h"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestProblems(t *testing.T) {
	tests := []struct{ text, want string }{
		{"txt: x", "x.yaml:1: unknown key txt; did you mean text?"},
		{"zzzzzzzz: x", "unknown key zzzzzzzz; known are choice"},
		{"number: 3", "text is missing"},
		{"text: x\nnumber: 300", `x.yaml:2: number: "300" must be a whole number`},
		{"text: x\npositive: -1", "must be a whole number, not negative"},
		{"text: x\nratio: much", "must be a number"},
		{"text: x\nflag: yes", `"yes" must be true or false`},
		{"text: x\nspan: 3 hours", "write one like 90s, 30min"},
		{"text: x\nspan: -3s", "is no duration"},
		{"text: x\nlist: one", `list: must be a list, like [one], not "one"`},
		{"text: x\nlist: {a: b}", "must be a list, like [one, two], not a mapping"},
		{"text: x\nmap: [a]", "map: must be a mapping (key: value), not a list"},
		{"text: [x]", "text: must be a single value, not a list"},
		{"text: x\ninner: {size: 1}", "name is missing"},
		{"text: x\ninners: [{nam: y}]", "unknown key nam; did you mean name?"},
		{"text: x\nchoice: three", `choice: "three" is none of one, two`},
		{"text: x\nlist:", "list: has no value; give it one or remove it"},
		{"text: x\nHidden: y", "unknown key Hidden"},
		{"text: bad", "and so is all"},
		{"text: x\ntext: y", "x.yaml:2: text is given twice; the first is in line 1"},
		{"just text", "must be a mapping"},
		{"", "x.yaml"},
		{"text: &a x", "anchors and aliases are not allowed"},
		{"text: !secret x", "the tag !secret is not allowed"},
		{"? [a]\n: x", "a key must be a word"},
		{"a: b\n---\nc: d", "x.yaml"},
		{"text: [", "x.yaml:"},
	}
	for _, test := range tests {
		_, err := decode(t, test.text)
		var problems Problems
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: want %q, got %v", test.text, test.want, err)
		}
	}
}

func TestEveryProblemInOrder(t *testing.T) {
	_, err := decode(t, "number: x\nflag: y\nnope: z\n")
	want := "x.yaml:1: text is missing"
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 4 || !strings.Contains(err.Error(), want) || !strings.HasPrefix(lines[3], "x.yaml:3:") {
		t.Errorf("got\n%v", err)
	}
}

func TestFillSharesAMapping(t *testing.T) {
	doc, err := Parse("x.yaml", []byte("text: a\nname: b\nnme: c\n"))
	if err != nil {
		t.Fatal(err)
	}
	var o outer
	var i inner
	doc.Fill(doc.Root, &o, &i)
	if o.Text != "a" || i.Name != "b" || doc.Count() != 1 || !strings.Contains(doc.Err().Error(), "unknown key nme; did you mean name?") {
		t.Errorf("%+v %+v %v", o, i, doc.Err())
	}
}

func TestHandle(t *testing.T) {
	doc, err := Parse("x.yaml", []byte("text: a\ninners: [x, y]\n"))
	if err != nil {
		t.Fatal(err)
	}
	Handle(doc, func(node *yaml.Node, into *inner) { into.Name = fmt.Sprintf("%s at %d", node.Value, node.Line) })
	var o outer
	doc.Decode(doc.Root, &o)
	if err := doc.Err(); err != nil || o.Inners[1].Name != "y at 2" {
		t.Errorf("%+v %v", o, err)
	}
}

func TestTooLarge(t *testing.T) {
	if _, err := Parse("x.yaml", make([]byte, maxSize+1)); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"files", "mysql", "network"}
	for word, want := range map[string]string{"file": "files", "mysq": "mysql", "Network": "network", "postgres": "", "x": ""} {
		if got := Nearest(word, known); got != want {
			t.Errorf("%s: %q", word, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("text: x\ninners: [one, {name: two}]\nmap: {a: b}\n")
	f.Add("a: &x [*x]")
	f.Fuzz(func(_ *testing.T, text string) {
		doc, err := Parse("x.yaml", []byte(text))
		if err != nil {
			return
		}
		var o outer
		doc.Decode(doc.Root, &o)
		_ = doc.Err()
	})
}
