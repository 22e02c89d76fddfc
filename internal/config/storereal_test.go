package config

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	trial "lifeboat/internal/storage/check"
	"lifeboat/internal/storage/open"
	"lifeboat/internal/storage/restserver"
	"lifeboat/internal/storage/retry"
	"lifeboat/internal/storage/storagetest"
	"lifeboat/internal/storage/transport"
)

// secretFile writes a file for {file: …}.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// try tries a real store out that a configuration names.
func try(t *testing.T, address, options string) error {
	t.Helper()
	text := "repositories:\n  - name: main\n    url: " + address + "\n    password: {env: X}\n" + options
	c, err := Parse("lifeboat.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	opts, err := c.Repositories[0].Options(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	store, err := open.Open(t.Context(), address, opts)
	if err != nil {
		return err
	}
	defer store.Close()
	_, err = trial.Store(t.Context(), store, trial.Options{Size: 1 << 20})
	return err
}

// fits is try of a store that is what the configuration says, and of the same with
// one option changed, which is not.
func fits(t *testing.T, address, options string, wrong map[string]string) {
	t.Helper()
	if err := try(t, address, options); err != nil {
		t.Fatal(err)
	}
	for old, changed := range wrong {
		other := strings.Replace(options, old, changed, 1)
		if other == options {
			t.Fatalf("%q is not in the options", old)
		}
		if err := try(t, address, other); err == nil {
			t.Errorf("%s went as well as %s", changed, old)
		}
	}
}

func TestRealSFTP(t *testing.T) {
	server := storagetest.NewSSHServer(t)
	// A key that is locked, and the right one for the host.
	key := filepath.Join(t.TempDir(), "locked")
	text, err := os.ReadFile(server.Key)
	if err == nil {
		err = os.WriteFile(key, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	empty := secretFile(t, "# nobody")
	fits(t, "sftp://"+server.User+"@"+server.Addr+"/"+t.TempDir()+"/repo", fmt.Sprintf(`
    limit: {upload: 100M, download: 100M}
    sftp:
      key_file: %s
      passphrase: {file: %s}
      known_hosts: [%s]
`, key, secretFile(t, "open sesame"), server.KnownHosts(t, server.Addr)), map[string]string{
		"known_hosts: [": "known_hosts: [" + empty + "]  # [",
		"passphrase":     "password",
	})
}

func TestRealS3(t *testing.T) {
	cert, key := storagetest.Certificate(t, t.TempDir())
	server := storagetest.NewS3Server(t, "--cert", cert, "--key", key)
	if err := os.Mkdir(filepath.Join(server.Dir, "bucket"), 0o700); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, trust := range map[string]string{
		"authority":   "ca_file: " + cert,
		"fingerprint": "fingerprint: " + transport.Fingerprint(pair.Certificate[0]),
	} {
		t.Run(name, func(t *testing.T) {
			fits(t, "s3:https://"+server.Addr+"/bucket/"+name, fmt.Sprintf(`
    %s
    s3: {region: us-east-1, storage_class: STANDARD, bucket_lookup: path, access_key: %s, secret_key: {file: %s}}
`, trust, server.AccessKey, secretFile(t, server.SecretKey)), map[string]string{
				"    " + trust:         "",
				"region: us-east-1":    "region: eu-central-1",
				"access_key: lifeboat": "access_key: nobody",
				// The bucket's name would stand in the host's, which there is none of.
				"bucket_lookup: path": "bucket_lookup: dns",
			})
		})
	}
	t.Run("credentials file", func(t *testing.T) {
		file := secretFile(t, "[other]\naws_access_key_id = "+server.AccessKey+"\naws_secret_access_key = "+server.SecretKey)
		fits(t, "s3:https://"+server.Addr+"/bucket/file", fmt.Sprintf(`
    ca_file: %s
    s3: {credentials_file: %s, profile: other}
`, cert, file), map[string]string{"profile: other": "profile: nobody"})
	})
}

func TestRealREST(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := restserver.SelfSigned(cert, key, []string{"127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	encryption, err := restserver.Certificate(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pair, _ := encryption.GetCertificate(nil)
	token, line, err := restserver.NewToken("smt1")
	if err == nil {
		err = restserver.AddUser(filepath.Join(dir, "users"), line, restserver.AsServer, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	users, err := restserver.OpenUsers(filepath.Join(dir, "users"), nil)
	if err != nil {
		t.Fatal(err)
	}
	server, err := restserver.New(restserver.Options{Repositories: restserver.Directory(t.TempDir()), Auth: users, Private: true, TLS: encryption, Grace: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- server.Serve(ctx, listener) }()
	defer func() { end(); <-ended }()
	address := "rest:https://" + listener.Addr().String() + "/smt1/"
	for name, trust := range map[string]string{
		"authority":   "ca_file: " + cert,
		"fingerprint": "fingerprint: " + transport.Fingerprint(pair.Certificate[0]),
	} {
		t.Run(name, func(t *testing.T) {
			fits(t, address, fmt.Sprintf(`
    %s
    rest: {user: smt1, password: {file: %s}}
`, trust, secretFile(t, token)), map[string]string{"    " + trust: "", "user: smt1": "user: smt2"})
		})
	}
}

// TestPatience has retry_for reach the store.
func TestPatience(t *testing.T) {
	c, err := Parse("lifeboat.yaml", []byte("repositories:\n  - {name: main, url: 'rest:http://127.0.0.1:9/', password: {env: X}, retry_for: 30m}\n"))
	if err != nil {
		t.Fatal(err)
	}
	opts, err := c.Repositories[0].Options(t.Context())
	if err != nil || opts.Retry.For != 30*time.Minute {
		t.Errorf("%v, %v", opts.Retry, err)
	}
	told := 0
	ctx, stop := context.WithCancel(t.Context())
	opts.Retry.Notify = func(f retry.Failure) {
		if told++; f.Store != "rest:http://127.0.0.1:9/" {
			t.Errorf("told of %s", f.Store)
		}
		stop()
	}
	store, err := open.Open(ctx, c.Repositories[0].URL, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := trial.Store(ctx, store, trial.Options{}); err == nil || told != 1 {
		t.Errorf("told %d times: %v", told, err)
	}
}
