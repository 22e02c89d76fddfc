package redact

import "testing"

func TestURL(t *testing.T) {
	for in, want := range map[string]string{
		"/srv/a:b@c":                      "/srv/a:b@c",
		"./x://a:b@c":                     "./x://a:b@c",
		"local:/srv/a:b@c":                "local:/srv/a:b@c",
		"relative":                        "relative",
		"rest:https://host/repo/":         "rest:https://host/repo/",
		"rest:https://me:secret@host/r/":  "rest:https://me@host/r/",
		"rest:https://me:se/cret@host/r/": "rest:…",
		"rest:https://me:s%zz@host/":      "rest:…",
		"rest:me:secret@host":             "rest:…",
		"sftp:me@host:/srv":               "sftp:me@host:/srv",
		"sftp://me:secret@host//srv":      "sftp://me@host//srv",
		"s3:https://key:secret@host/b":    "s3:https://key@host/b",
		"s3:key:secret@host/b":            "s3:…",
	} {
		if got := URL(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		`open repository at rest:https://user:secret@host:8000/a/: no`:   `open repository at rest:https://host:8000/a/: no`,
		`{"problems":["rest:http://user@host/a","s3:https://k@h/b"]}`:    `{"problems":["rest:http://host/a","s3:https://h/b"]}`,
		`mail to a@b, sftp:user@host:/x and rest:https://host/with@sign`: `mail to a@b, sftp:user@host:/x and rest:https://host/with@sign`,
	} {
		if got := string(Text([]byte(text))); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}
