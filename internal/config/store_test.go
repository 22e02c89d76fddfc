package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const stores = `
repositories:
  - name: objects
    url: s3:https://objects.example.org/backup/smt
    password: {file: /etc/lifeboat/password}
    compression: max
    ca_file: /etc/lifeboat/ca.pem
    retry_for: 15m
    limit: {upload: 10M, download: 1GiB}
    object_lock: {mode: compliance, days: 30}
    s3: {region: eu-central-1, storage_class: STANDARD_IA, bucket_lookup: dns, access_key: me, secret_key: {env: SECRET}}
  - name: host
    url: sftp:backup@example.org:/lifeboat
    password: {file: /etc/lifeboat/password}
    sftp: {key_file: /etc/lifeboat/id, passphrase: {env: P}, password: {env: Q}, known_hosts: [/etc/lifeboat/hosts]}
  - name: server
    url: rest:https://example.org/smt/
    password: {file: /etc/lifeboat/password}
    fingerprint: sha256:0011223344556677889900112233445566778899001122334455667788990011
    rest:
      user: smt1
      password: {file: /etc/lifeboat/token}
`

func TestStores(t *testing.T) {
	c, err := Parse("lifeboat.yaml", []byte(stores))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SECRET", "secret")
	objects, _ := c.Repository("objects")
	o, err := objects.Options(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o.CACert != "/etc/lifeboat/ca.pem" || o.Retry.For != 15*time.Minute || o.Limit == nil ||
		o.S3.Region != "eu-central-1" || o.S3.StorageClass != "STANDARD_IA" || o.S3.Lookup != "dns" || o.S3.AccessKey != "me" || o.S3.SecretKey != "secret" || o.S3.Lock.Mode != "compliance" || o.S3.Lock.Days != 30 {
		t.Errorf("s3: %+v", o)
	}
	if up, _ := objects.Limit.Upload.Bytes(); up != 10_000_000 {
		t.Errorf("upload: %d", up)
	}
	if down, _ := objects.Limit.Download.Bytes(); down != 1<<30 {
		t.Errorf("download: %d", down)
	}
	host, _ := c.Repository("host")
	if o, err = host.Options(t.Context()); err != nil || o.SFTP.KeyFile != "/etc/lifeboat/id" || len(o.SFTP.KnownHosts) != 1 || o.SFTP.Passphrase == nil || o.SFTP.Password == nil || o.Limit != nil {
		t.Errorf("sftp: %+v, %v", o, err)
	}
	server, _ := c.Repository("server")
	if o, err = server.Options(t.Context()); err != nil || !strings.HasPrefix(o.Fingerprint, "sha256:") || o.REST.User != "smt1" || o.REST.Password == nil {
		t.Errorf("rest: %+v, %v", o, err)
	}
	// What is written is what was read.
	again, err := Parse("again", mustFormat(t, c))
	if err != nil {
		t.Fatalf("%v\n%s", err, mustFormat(t, c))
	}
	again.Systems = nil
	for i := range c.Repositories {
		c.Repositories[i].Line, again.Repositories[i].Line = 0, 0
	}
	if !reflect.DeepEqual(again, c) {
		t.Errorf("got  %+v\nwant %+v", again, c)
	}
}

func TestSecretIsReadOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := once(&Password{File: file})
	for range 2 {
		got, err := ask(t.Context())
		if err != nil || string(got) != "first" {
			t.Errorf("%q, %v", got, err)
		}
		clear(got)
		os.Remove(file)
	}
}

func TestStoreProblems(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"unknown section", "    s3: {", "    s4: {", "lifeboat.yaml:11: unknown key s4; did you mean s3?"},
		{"unknown key", "storage_class", "storage-class", "lifeboat.yaml:11: unknown key storage-class; did you mean storage_class?"},
		{"lock mode", "mode: compliance", "mode: strict", `lifeboat.yaml:10: mode: "strict" is none of governance, compliance`},
		{"lock without mode", "mode: compliance, ", "", "lifeboat.yaml:10: object lock without a mode"},
		{"lock without days", ", days: 30", "", "lifeboat.yaml:10: object lock for 0 days"},
		{"lock for ever", "days: 30", "days: 99999", "lifeboat.yaml:10: object lock for 99999 days"},
		{"lock key", "days: 30", "weeks: 3", "lifeboat.yaml:10: unknown key weeks"},
		{"lock of a server", "    fingerprint:", "    object_lock: {mode: governance, days: 1}\n    fingerprint:", "object_lock has no meaning for rest: addresses, only for s3"},
		{"choice", "bucket_lookup: dns", "bucket_lookup: virtual", `lifeboat.yaml:11: bucket_lookup: "virtual" is none of auto, dns, path`},
		{"half a key", "access_key: me, ", "", "lifeboat.yaml:11: access_key and secret_key belong together"},
		{"two sorts of keys", "access_key: me", "profile: x, access_key: me", "lifeboat.yaml:11: keys come either"},
		{"secret in the open", "{env: SECRET}", "secret", "lifeboat.yaml:11: must be a mapping"},
		{"speed", "10M", "fast", `lifeboat.yaml:9: upload: "fast" is no number of bytes`},
		{"slow", "10M", "1K", `lifeboat.yaml:9: upload: "1K" is too slow`},
		{"duration", "15m", "15", `lifeboat.yaml:8: retry_for: "15" is no duration`},
		{"compression", "compression: max", "compression: best", `lifeboat.yaml:6: compression: "best" is none of`},
		{"authority", "/etc/lifeboat/ca.pem", "ca.pem", `repository objects: ca_file: "ca.pem" is not absolute`},
		{"authority without TLS", "s3:https", "s3:http", "ca_file and fingerprint are for https"},
		{"passphrase of nothing", "key_file: /etc/lifeboat/id, ", "", "lifeboat.yaml:15: passphrase is that of a key_file"},
		{"relative hosts", "[/etc/lifeboat/hosts]", "[hosts]", "lifeboat.yaml:15: known_hosts:"},
		{"password of nobody", "      user: smt1\n", "", "lifeboat.yaml:21: password is that of a user"},
		{"fingerprint", "sha256:00", "sha1:00", "repository server: fingerprint:"},
		{"two trusts", "    rest:\n", "    ca_file: /x\n    rest:\n", "one of them is enough"},
		{"another sort", "url: sftp:backup@example.org:/lifeboat", "url: /srv/lifeboat", "lifeboat.yaml:12: repository host: sftp has no meaning for a directory, only for sftp"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(stores, test.old, test.new, 1)
			if text == stores {
				t.Fatal("the test changes nothing")
			}
			_, err := Parse("lifeboat.yaml", []byte(text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want %q, got %v", test.want, err)
			}
		})
	}
}

func TestSet(t *testing.T) {
	s := Store{CAFile: "/old", S3: S3{Region: "here", StorageClass: "COLD"}}
	err := s.Set([]string{"s3.region=nowhere", "s3.region=there", "ca_file=/new", "s3.secret_key={env: X}", "s3.access_key=a=b", "limit.upload=1M", "sftp.known_hosts=[/a, /b]"})
	want := Store{
		CAFile: "/new", Limit: Limit{Upload: "1M"}, SFTP: SFTP{KnownHosts: []string{"/a", "/b"}},
		S3: S3{Region: "there", StorageClass: "COLD", AccessKey: "a=b", SecretKey: &Password{Env: "X"}},
	}
	if err != nil || !reflect.DeepEqual(s, want) {
		t.Errorf("%+v, %v", s, err)
	}
	for option, want := range map[string]string{
		"s3.regoin=x":               "unknown key regoin; did you mean region?",
		"s3":                        "has not the form",
		"=x":                        "has not the form",
		"s3.=x":                     "has not the form",
		"ca_file=":                  "has not the form",
		"ca_file=x\nretry_for: 1m":  "has not the form",
		"a: b=c":                    "has not the form",
		"limit.upload=fast":         "no number of bytes",
		"rest.password=secret":      "must be a mapping",
		"s3.region={a: b}":          "must be a single value",
		"retry_for=&a 5m":           "anchors",
		"rest.password={file: tok}": "not absolute",
	} {
		if err := new(Store).Set([]string{option}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want %q, got %v", option, want, err)
		}
	}
}
