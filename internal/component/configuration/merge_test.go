package configuration

import (
	"bytes"
	"strings"
	"testing"
)

func parse(t *testing.T, text string) *ini {
	t.Helper()
	f, ok := parseINI([]byte(text))
	if !ok {
		t.Fatalf("not understood:\n%s", text)
	}
	return f
}

func TestMerge(t *testing.T) {
	const fresh = "# new comment\n[NU]\nNUUrl = https://scc.suse.com\nNUUser=\n\n[DB]\n; where\npass = wizard\n"
	for _, c := range []struct {
		name, saved, fresh, shipped string
		prefer                      []string
		want                        string
		conflicts                   string // keys
	}{
		{
			"saved settings go into the fresh file, its order and comments stay",
			"[DB]\npass=old\n[NU]\nNUUser=me\nNUUrl = https://scc.suse.com\n", fresh, "", nil,
			"# new comment\n[NU]\nNUUrl = https://scc.suse.com\nNUUser=me\n\n[DB]\n; where\npass = old\n", "",
		},
		{
			"a key and a section that only the saved file has are added",
			"[NU]\nNUUrl = https://scc.suse.com\nNUUser=\nmine = 1\n[LOCAL]\nurl=x", fresh, "", nil,
			"# new comment\n[NU]\nNUUrl = https://scc.suse.com\nNUUser=\nmine = 1\n\n[DB]\n; where\npass = wizard\n\n[LOCAL]\nurl=x\n", "",
		},
		{
			"with the shipped file: an unchanged setting gives way to a new default",
			"[a]\nx=1\ny=mine\n", "[a]\nx=2\ny=1\nz=new\n", "[a]\nx=1\ny=1\n", nil,
			"[a]\nx=2\ny=mine\nz=new\n", "",
		},
		{
			"changed on both sides is a conflict, the saved setting wins",
			"[a]\nx=mine\n", "[a]\nx=theirs\n", "[a]\nx=1\n", nil, "[a]\nx=mine\n", "[a] x",
		},
		{
			"unless the profile prefers the fresh one",
			"[a]\nx=mine\ny=2\n", "[a]\nx=theirs\ny=1\n", "",
			[]string{"a.x"},
			"[a]\nx=theirs\ny=2\n", "",
		},
		{
			"a setting that was removed stays away",
			"[a]\ny=1\n", "[a]\nx=1\ny=1\n", "[a]\nx=1\ny=1\n", nil, "[a]\ny=1\n", "",
		},
		{
			"removed here and changed there is a conflict",
			"[a]\ny=1\n", "[a]\nx=2\ny=1\n", "[a]\nx=1\ny=1\n", nil, "[a]\ny=1\n", "[a] x",
		},
		{
			"changed here and removed there is a conflict",
			"[a]\nx=2\ny=1\n", "[a]\ny=1\n", "[a]\nx=1\ny=1\n", nil, "[a]\ny=1\nx=2\n", "[a] x",
		},
		{
			"shell assignments",
			"HTTP_PROXY=\"http://mine\"\n", "# proxy\nHTTP_PROXY=\"\"\nNO_PROXY='localhost'", "", nil,
			"# proxy\nHTTP_PROXY=\"http://mine\"\nNO_PROXY='localhost'", "",
		},
		{
			"a key without a value",
			"[mysqld]\nskip-networking\nx=1\n", "[mysqld]\nx=1\n", "", nil, "[mysqld]\nx=1\nskip-networking\n", "",
		},
		{
			"line ends of the fresh file stay",
			"[a]\nx=2\n", "[a]\r\nx=1\r\n", "", nil, "[a]\r\nx=2\r\n", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var shipped *ini
			if c.shipped != "" {
				shipped = parse(t, c.shipped)
			}
			got, changes := merge(parse(t, c.saved), parse(t, c.fresh), shipped, c.prefer)
			if string(got) != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			conflicts := Change{Keys: changes}.Conflicts()
			var keys []string
			for _, k := range conflicts {
				keys = append(keys, k.Key)
			}
			if strings.Join(keys, ",") != c.conflicts {
				t.Errorf("conflicts %q, want %q", keys, c.conflicts)
			}
		})
	}
}

func TestNotINI(t *testing.T) {
	for name, text := range map[string]string{
		"apache":          "<VirtualHost *>\nServerName x\n</VirtualHost>\n",
		"a script":        "#!/bin/sh\nA=1\necho $A\n",
		"shell expansion": "A=$(id) B=2\n",
		"twice a key":     "[a]\nx=1\nx=2\n",
		"continued":       "[a]\nx=1 \\\n  2\n",
		"include":         "[mysqld]\n!includedir /etc/my.cnf.d\n",
		"empty":           "# nothing\n",
		"crontab":         "*/15 * * * * root /usr/bin/smt-register\n",
		"yaml":            "a:\n  b: c\n",
		"multi-line":      "A=\"one\ntwo\"\n",
	} {
		if _, ok := parseINI([]byte(text)); ok {
			t.Errorf("%s is taken for an ini file", name)
		}
	}
}

func TestSecretsAreMasked(t *testing.T) {
	_, changes := merge(parse(t, "[DB]\npass=geheim\nurl=http://u:geheim@h/\n"), parse(t, "[DB]\npass=fresh-geheim\nurl=x\n"), nil, nil)
	for _, c := range changes {
		if strings.Contains(c.Saved+c.Fresh, "geheim") {
			t.Errorf("a secret is shown: %+v", c)
		}
	}
	diff := maskDiff("@@ -1 +1 @@\n-password: geheim\n+  SSLPassPhrase geheim x\n db = mysql://smt:geheim@localhost/\n+NUPass=geheim\n-key\n+-----BEGIN PRIVATE KEY-----\n+geheim\n+-----END PRIVATE KEY-----\n+port=3306\n")
	if strings.Contains(diff, "geheim") || !strings.Contains(diff, "port=3306") {
		t.Errorf("masked diff:\n%s", diff)
	}
}

func FuzzINI(f *testing.F) {
	f.Add([]byte("[a]\nx=1\n"), []byte("[b]\nx = 2\n# c\n"))
	f.Add([]byte("A='1'\n"), []byte("A=\"2\"\nB=3"))
	f.Add([]byte("[a]\nbare\nx=1"), []byte("[a]\r\nbare=1\r\n"))
	f.Fuzz(func(t *testing.T, saved, fresh []byte) {
		s, ok1 := parseINI(saved)
		n, ok2 := parseINI(fresh)
		if !ok1 || !ok2 {
			return
		}
		if !bytes.Equal(s.bytes(), saved) {
			t.Fatalf("reading and writing changes %q to %q", saved, s.bytes())
		}
		before := n.settings()
		merged, _ := merge(s, n, nil, nil)
		m, ok := parseINI(merged)
		if !ok {
			t.Fatalf("merged file is not understood: %q", merged)
		}
		got := m.settings()
		for id, value := range s.settings() {
			if have, ok := got[id]; !ok || have != value {
				t.Fatalf("saved %v=%q became %q (there: %v) in %q", id, value, have, ok, merged)
			}
		}
		for id := range before {
			if _, ok := got[id]; !ok {
				t.Fatalf("fresh %v is gone in %q", id, merged)
			}
		}
	})
}
