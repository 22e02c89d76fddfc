package profile

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	settings := map[string]string{"root": "/srv", "empty": "", "odd": "${root} $$"}
	tests := []struct{ in, want, err string }{
		{"${root}/repo", "/srv/repo", ""},
		{"/repo/$RCE/$releasever/x", "/repo/$RCE/$releasever/x", ""},
		{"$${root} and ${root}", "${root} and /srv", ""},
		{"a${empty}b", "ab", ""},
		{"${odd}", "${root} $$", ""}, // values are not expanded again
		{"$", "$", ""},
		{"$$", "$$", ""},
		{"", "", ""},
		{"${root", "", "no closing brace"},
		{"${Root}", "", "no setting name"},
		{"${}", "", "no setting name"},
		{"${none}", "", "${none}: setting has no value"},
	}
	for _, test := range tests {
		got, err := Expand(test.in, settings)
		if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%q: got %q, %v", test.in, got, err)
		}
	}
	if _, err := Expand("${none}", settings); !errors.Is(err, ErrNoSetting) {
		t.Errorf("got %v", err)
	}
}

type expandInner struct {
	File string `yaml:"file"`
	Note string `yaml:"note"`
}

type expandOuter struct {
	Paths  []string          `yaml:"paths"`
	Plain  []string          `yaml:"plain"`
	Inner  *expandInner      `yaml:"inner"`
	None   *expandInner      `yaml:"none"`
	Map    map[string]string `yaml:"map"`
	Lists  [][]string        `yaml:"lists"`
	Free   any               `yaml:"free"`
	When   Condition         `yaml:"when"`
	Number int               `yaml:"number"`
	hidden string
}

func TestExpandOptions(t *testing.T) {
	settings := map[string]string{"a": "/srv", "b": "x y"}
	condition := Condition{Predicate: "file", Options: &fileOptions{File: "${a}"}}
	in := &expandOuter{
		Paths: []string{"${a}/one", "/two/$RCE"}, Plain: []string{"${b}"},
		Inner: &expandInner{File: "${a}/f", Note: "$${a}"},
		Map:   map[string]string{"k": "${b}"}, Lists: [][]string{{"${a}"}, {}},
		Free: []any{"${b}", 1}, When: condition, Number: 3, hidden: "${a}",
	}
	got, err := ExpandOptions(in, settings)
	if err != nil {
		t.Fatal(err)
	}
	want := &expandOuter{
		Paths: []string{"/srv/one", "/two/$RCE"}, Plain: []string{"x y"},
		Inner: &expandInner{File: "/srv/f", Note: "${a}"},
		Map:   map[string]string{"k": "x y"}, Lists: [][]string{{"/srv"}, {}},
		Free: []any{"x y", 1}, When: condition, Number: 3, hidden: "${a}",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if in.Paths[0] != "${a}/one" || in.Inner.File != "${a}/f" || in.Map["k"] != "${b}" {
		t.Error("the original was changed")
	}
	if out, err := ExpandOptions(nil, settings); out != nil || err != nil {
		t.Errorf("nil: %v, %v", out, err)
	}
}

// Settings recorded in a hostile recovery point must not lead a path elsewhere.
func TestExpandOptionsRefusesPaths(t *testing.T) {
	for _, value := range []string{"../etc", "relative", "/srv/../etc", "/a\x00b"} {
		_, err := ExpandOptions(&expandOuter{Paths: []string{"${a}"}}, map[string]string{"a": value})
		if err == nil || !strings.Contains(err.Error(), "paths:") {
			t.Errorf("%q: %v", value, err)
		}
		if _, err := ExpandOptions(&expandOuter{Inner: &expandInner{File: "${a}"}}, map[string]string{"a": value}); err == nil {
			t.Errorf("%q in a nested file", value)
		}
		if _, err := ExpandOptions(&expandOuter{Plain: []string{"${a}"}}, map[string]string{"a": value}); err != nil {
			t.Errorf("%q where no path is meant: %v", value, err)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"1.10", "1.9", 1},
		{"0.09", "0.10", -1},
		{"3.0.49-52.26.1", "3.0", 1},
		{"2.08", "2.8", 0},
		{"", "0.1", -1},
		{"1.0.rc1", "1.0.1", -1},
		{"1.0a", "1.0b", -1},
	} {
		if got := compareVersions(test.a, test.b); got != test.want {
			t.Errorf("%s with %s: %d", test.a, test.b, got)
		}
	}
}

// A setting of several lines is several paths where it is a path alone, and stays
// one text elsewhere.
func TestASettingOfSeveralPaths(t *testing.T) {
	type options struct {
		Paths []string `yaml:"paths" pattern:"true"`
		Words []string `yaml:"words"`
	}
	settings := map[string]string{"list": "/etc/a\n/etc/[b]", "one": "/etc/c"}
	got, err := ExpandOptions(&options{[]string{"/x", "${list}", "${one}/d", "${list}/e"}, []string{"${list}"}}, settings)
	if err != nil {
		t.Fatal(err)
	}
	want := &options{[]string{"/x", "/etc/a", `/etc/\[b\]`, "/etc/c/d", "/etc/a\n/etc/\\[b\\]/e"}, []string{"/etc/a\n/etc/[b]"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if got, err := ExpandOptions(&options{Paths: []string{"${list}"}}, map[string]string{"list": "/etc/a\n../b"}); err == nil {
		t.Errorf("%+v", got)
	}
}
