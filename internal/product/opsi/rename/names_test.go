package rename

import "testing"

func TestRewrite(t *testing.T) {
	n := Names{Old: "opsi.old.example", New: "depot2.new.example"}
	for text, want := range map[string]string{
		"opsi.old.example":                             "depot2.new.example",
		"OPSI.old.example":                             "depot2.new.example",
		`["opsi.old.example", "x"]`:                    `["depot2.new.example", "x"]`,
		`["https://opsi.old.example:4447/rpc"]`:        `["https://depot2.new.example:4447/rpc"]`,
		"smb://opsi/opsi_depot":                        "smb://depot2/opsi_depot",
		"smb://opsi/opsi":                              "smb://depot2/opsi",
		"smb://172.16.0.1/opsi_depot":                  "smb://172.16.0.1/opsi_depot",
		"webdavs://opsi:4447/depot/opsi/x":             "webdavs://depot2:4447/depot/opsi/x",
		"webdavs://user@opsi:4447/depot":               "webdavs://user@depot2:4447/depot",
		"file:///var/lib/opsi/depot":                   "file:///var/lib/opsi/depot",
		"file:///opsi.old.example/depot":               "file:///opsi.old.example/depot",
		"/srv/opsi.old.example/depot":                  "/srv/opsi.old.example/depot",
		`\\opsi\opsi_depot`:                            `\\depot2\opsi_depot`,
		`["\\\\opsi\\opsi_depot"]`:                     `["\\\\depot2\\opsi_depot"]`,
		`C:\opsi\opsi`:                                 `C:\opsi\opsi`,
		`["C:\\opsi\\opsi"]`:                           `["C:\\opsi\\opsi"]`,
		"opsi":                                         "opsi",
		"opsi.old.example.org":                         "opsi.old.example.org",
		"myopsi.old.example":                           "myopsi.old.example",
		"my.opsi.old.example":                          "my.opsi.old.example",
		"my-opsi.old.example":                          "my-opsi.old.example",
		"opsi.old.example:0123456789abcdef":            "depot2.new.example:0123456789abcdef",
		"Ask opsi.old.example. Or opsi.":               "Ask depot2.new.example. Or opsi.",
		"http://opsi-two/x":                            "http://opsi-two/x",
		"http://opsi.other.example/x":                  "http://opsi.other.example/x",
		"ökopsi.old.example":                           "ökopsi.old.example",
		"admin@opsi.old.example":                       "admin@depot2.new.example",
		`"https:\/\/opsi:4447\/rpc"`:                   `"https:\/\/depot2:4447\/rpc"`,
		"a opsi.old.example b opsi.old.example":        "a depot2.new.example b depot2.new.example",
		"http://x/?next=https://opsi.old.example/opsi": "http://x/?next=https://depot2.new.example/opsi",
	} {
		if got := n.Rewrite(text); got != want {
			t.Errorf("Rewrite(%q) = %q, want %q", text, got, want)
		}
		if got := n.Rewrite(want); got != want {
			t.Errorf("a second Rewrite(%q) = %q", want, got)
		}
	}
}

// The new name may hold the old one, and the other way round.
func TestRewriteTwice(t *testing.T) {
	for _, n := range []Names{
		{"opsi.example.com", "opsi.example.com.au"},
		{"opsi.example.com", "new.opsi.example.com"},
		{"opsi.example.com", "opsi-2.example.com"},
		{"opsi.sub.example.com", "sub.example.com"},
		{"opsi.example.com", "opsi.example.org"},
	} {
		once := n.Rewrite("https://opsi:4447/ and " + n.Old + ":1")
		if twice := n.Rewrite(once); twice != once {
			t.Errorf("%v: %q became %q", n, once, twice)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, n := range []Names{
		{"opsi.example.com", "opsi"},
		{"opsi.example.com", "opsi.example"},
		{"opsi.example.com", "Opsi.example.org"},
		{"opsi.example.com", "opsi.example.com"},
		{"opsi.example.com", "-a.example.com"},
		{"opsi.example.com", "a.example.com; rm -rf /"},
		{"", "a.example.com"},
	} {
		if n.Validate() == nil {
			t.Errorf("%v is accepted", n)
		}
	}
	if err := (Names{"opsi.example.com", "depot.example.com"}).Validate(); err != nil {
		t.Error(err)
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add(`["https://opsi.old.example:4447/rpc", "\\\\opsi\\x"]`)
	n := Names{Old: "opsi.old.example", New: "depot2.new.example"}
	f.Fuzz(func(t *testing.T, text string) {
		once := n.Rewrite(text)
		if twice := n.Rewrite(once); twice != once {
			t.Errorf("%q became %q and then %q", text, once, twice)
		}
	})
}
