package backend

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseConf(t *testing.T) {
	for _, test := range []struct {
		name, text string
		module     string
		config     map[string]any
	}{
		{
			"plain", "# -*- coding: utf-8 -*-\n\nmodule = 'MySQL'\nconfig = {\n    \"address\":  \"127.0.0.1\",\n    \"password\": \"opsi\"\n}\n",
			"MySQL",
			map[string]any{"address": "127.0.0.1", "password": "opsi"},
		},
		{
			"prefixes", `module = u'File'; config = {u"baseDir": u"/srv/\u00e4 b", "raw": r'a\n', "joined": "a" 'b' + "c"}`,
			"File",
			map[string]any{"baseDir": "/srv/ä b", "raw": `a\n`, "joined": "abc"},
		},
		{
			"odd passwords", `module = "MySQL"` + "\n" + `config = {"password": "it's \"q#uo;te' \\d = b$", "other": '# no comment'} # one`,
			"MySQL",
			map[string]any{"password": `it's "q#uo;te' \d = b$`, "other": "# no comment"},
		},
		{
			"numbers", "module = 'x'\nconfig = {'a': 20, 'b': -1.5, 'c': 0x10, 'd': True, 'e': False, 'f': None, 'g': 1_000, 'h': [1, (2), ()],}",
			"x",
			map[string]any{
				"a": int64(20), "b": -1.5, "c": int64(16), "d": true, "e": false, "f": nil, "g": int64(1000),
				"h": []any{int64(1), int64(2), []any{}},
			},
		},
		{
			"names", "import socket; import os # ;\nmodule = 'DHCPD'\nlocalip = socket.gethostbyname(socket.getfqdn())\nfile = '/etc/dhcp/dhcpd.conf'\n" +
				"config = {'dhcpdConfigFile': file, 'defaultClientParameters': {'next-server': localip, 'filename': 'linux/pxelinux.0'}}\nconfig['enabled'] = True\n",
			"DHCPD",
			map[string]any{
				"dhcpdConfigFile": "/etc/dhcp/dhcpd.conf", "enabled": true,
				"defaultClientParameters": map[string]any{"next-server": Opaque{3}, "filename": "linux/pxelinux.0"},
			},
		},
		{
			"calculated", "module = 'MySQL'\nconfig = {\n'password': open('/etc/secret').read().strip(),\n'size': 4 * 5,\n'f': f'{x}', 'g': f'x', 'h': a if b else 'c'}",
			"MySQL",
			map[string]any{"password": Opaque{3}, "size": Opaque{4}, "f": Opaque{5}, "g": "x", "h": Opaque{5}},
		},
		{"three quotes", "'''about\nthis'''\nmodule = \"\"\"File\"\"\"\nconfig = {}", "File", map[string]any{}},
		{"no config", "\ufeffmodule = 'HostControl'\r\n", "HostControl", map[string]any{}},
		{"continued", "module = \\\n  'File'\nconfig = {'a': 'x\\\ny', 'b': '\\x41\\101\\q'}", "File", map[string]any{"a": "xy", "b": `AA\q`}},
		{"one line", "import os; module = 'File'; config = {'a': 1}", "File", map[string]any{"a": int64(1)}},
		{"call", "module = 'x'\nprint('hello', end='')\nconfig = dict(a=1) or {}", "x", nil},
	} {
		module, config, err := parseConf([]byte(test.text))
		if test.config == nil {
			if err == nil {
				t.Errorf("%s: %v", test.name, config)
			}
			continue
		}
		if err != nil || module != test.module || !reflect.DeepEqual(config, test.config) {
			t.Errorf("%s: %q %#v, %v", test.name, module, config, err)
		}
	}
}

func TestParseConfRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                                      "no text to the name module",
		"module = 'x'\nconfig = 5":                              "no dictionary",
		"module = x.y\nconfig = {}":                             "no text to the name module",
		"module = 'x'\nif a:\n  b = 1":                          "line 2: is a program",
		"module = 'x'\n  config = {}":                           "line 2: is a program",
		"module = 'x\nconfig = {}":                              "line 1: a text is not closed",
		"module = 'x'\nconfig = {'a' 1":                         "line 2: a key without a value",
		"module = 'x'\nconfig = {'a': ":                         "a value is missing",
		"module = 'x'\nconfig = [1":                             "a bracket is not closed",
		"module = 'x'\nconfig = {'a': [x for x in y]}":          "line 2: is a program",
		"module = 'x'\nconfig = {'a': lambda: 3}":               "line 2: is a program",
		"module = 'x'\nconfig = {'a': 1, 2}":                    "a key without a value",
		"module = 'x'\nconfig = 'a', 'b'":                       "without brackets",
		"a = b = 'x'":                                           "is a program",
		"module 'x'":                                            "is a program",
		"module = 'x'\nconfig = {'a': '\\ud800'}":               "no character",
		"module = 'x'\nconfig = {'a': \"\\N{DIGIT ONE}\"":       "by its name",
		"module = 'x'\nconfig = " + strings.Repeat("[", 100):    "nested too deeply",
		"module = 'x'\nconfig = " + strings.Repeat("not ", 100): "nested too deeply",
		"module = 'x'\n\xff":                                    "not UTF-8",
		"module = 'x'\n" + strings.Repeat("#", 1<<16):           "larger than",
		"module = 09x":                                          "no number",
	} {
		if _, config, err := parseConf([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", text[:min(len(text), 60)], config, err)
		}
	}
}

// A message must not hold what may be a password.
func TestMessagesHoldNoValue(t *testing.T) {
	c := Conf{File: "mysql.conf", Module: "MySQL", Config: map[string]any{"password": []any{"geheim"}}}
	if _, err := c.Database(); err == nil || strings.Contains(err.Error(), "geheim") {
		t.Error(err)
	}
	_, _, err := parseConf([]byte("module = 'x'\nconfig = {'password': 'geheim"))
	if err == nil || strings.Contains(err.Error(), "geheim") {
		t.Error(err)
	}
}

func FuzzConf(f *testing.F) {
	for _, seed := range []string{
		"module = 'MySQL'\nconfig = {\"a\": u\"b\", 'c': [1, -2.5, None], 'd': f(x).y[3:4]}\nconfig['e'] = 'f' 'g' + \"h\"\n",
		"import os\nx = '''a\nb'''; module = r'\\x'\n# c\nconfig = {('a'): not b, **c}",
		"module='\\x41\\u00e4\\101'\nconfig = {'a': b if c else d, 'e': *f, 'g': h == i}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		module, config, err := parseConf(text)
		if err != nil {
			return
		}
		if module == "" || config == nil {
			t.Errorf("%q: %q, %v", text, module, config)
		}
		c := Conf{File: "x.conf", Module: module, Config: config}
		if d, err := c.Database(); err == nil && d.Socket != "" && d.Socket[0] != '/' {
			t.Errorf("%q: %+v", text, d)
		}
		if b, err := c.FileBackend(); err == nil && (b.BaseDir[0] != '/' || b.BaseDir == "/") {
			t.Errorf("%q: %+v", text, b)
		}
	})
}
