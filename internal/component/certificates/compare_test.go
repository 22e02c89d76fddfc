package certificates

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/component/componenttest"
	"lifeboat/internal/host"
)

func TestCompareNamesCertificates(t *testing.T) {
	dir := t.TempDir()
	authority := issue(t, nil, nil)
	server, other := issue(t, authority, nil), issue(t, authority, nil)
	authority.write(t, dir+"/CAM/CA/cacert.pem", dir+"/CAM/CA/cacert.key")
	server.write(t, dir+"/ssl/server.pem", dir+"/ssl/server.key")
	made, err := Kind().New(component.Env{Host: host.Local()}, spec(dir))
	must(t, err)
	var record component.Record
	source := componenttest.NewStore(t).Save(t, func(ctx context.Context, sink component.Sink) error {
		got, err := made.Capture(ctx, sink)
		if err == nil {
			record.Paths = got.Paths
			record.Detail, err = json.Marshal(got.Detail)
		}
		return err
	})
	other.write(t, dir+"/ssl/server.pem", dir+"/ssl/server.key")
	must(t, os.Remove(dir+"/CAM/CA/cacert.pem"))
	authority.write(t, dir+"/ssl/again.pem", "")
	said := map[string]string{}
	_, err = made.(component.Comparer).Compare(t.Context(), source, component.CompareOptions{Record: record, Report: func(d component.Difference) {
		for _, f := range d.Fields {
			said[strings.TrimPrefix(d.Path, dir+"/")+" "+f.Name] = f.Was + " → " + f.Now
		}
	}})
	must(t, err)
	until := server.NotAfter.UTC().Format("2006-01-02")
	for at, want := range map[string]string{
		"ssl/server.pem certificate":    "SHA256 " + sum(server.Raw) + ", CN=server, until " + until + " → SHA256 " + sum(other.Raw) + ", CN=server, until " + until,
		"CAM/CA/cacert.pem certificate": "SHA256 " + sum(authority.Raw) + ", CN=authority, until " + until + " → none",
		"ssl/again.pem certificate":     "none → SHA256 " + sum(authority.Raw) + ", CN=authority, until " + until,
	} {
		if said[at] != want {
			t.Errorf("%s: %q, want %q", at, said[at], want)
		}
	}
	if key := said["ssl/server.key private key"]; !strings.HasPrefix(key, "public SHA256 ") || !strings.Contains(key, " → public SHA256 ") {
		t.Errorf("key: %q", key)
	}
}
