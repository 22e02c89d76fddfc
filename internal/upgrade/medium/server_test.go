package medium

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/nfs/nfstest"
)

// published is a directory that a server gives away: a good medium in "good", one whose
// kernel was exchanged in "bad", nothing in "empty".
func published(t *testing.T, suse vendor) string {
	t.Helper()
	// Servers that change their user have to get there.
	dir, err := os.MkdirTemp("/var/tmp", "lifeboat-medium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pub/good", "pub/bad"} {
		sles12(t, filepath.Join(dir, name), suse)
	}
	put(t, filepath.Join(dir, "pub/bad/boot/x86_64/loader/linux"), append(bytes.Clone(kernel), '!'))
	put(t, filepath.Join(dir, "pub/empty/readme"), nil)
	return dir
}

// conforms tries what every protocol has to do, below an address.
func conforms(t *testing.T, base string, suse vendor, l Login) {
	t.Helper()
	o := Options{Keys: suse.ring(t), All: true, Login: l}
	ctx := t.Context()
	r, err := Check(ctx, base+"/good", o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Standing != Proven || len(r.Files) != 4 || r.Identity.Label != "SUSE Linux Enterprise Server 12 SP1" {
		t.Errorf("good: %+v", r)
	}
	for _, f := range r.Files {
		if f.Name == "boot/x86_64/loader/initrd" && f.Size != int64(len(initrd)) {
			t.Errorf("%s has %d bytes", f.Name, f.Size)
		}
	}
	r, err = Check(ctx, base+"/bad", o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Standing != Refuted || !strings.Contains(fmt.Sprint(r.Why), "linux is not the file") {
		t.Errorf("bad: %+v", r)
	}
	if r, err := Check(ctx, base+"/empty", o); !errors.Is(err, ErrNoSource) {
		t.Errorf("empty: %+v, %v", r, err)
	}
	if r, err := Check(ctx, base+"/none", o); err == nil {
		t.Errorf("none: %+v", r)
	}
}

func TestHTTP(t *testing.T) {
	if !nfstest.Alone(t, "nginx") {
		return
	}
	suse := newVendor(t, "SUSE")
	dir := published(t, suse)
	put(t, filepath.Join(dir, "users"), []byte("me:{PLAIN}secret\n"))
	put(t, filepath.Join(dir, "conf"), []byte(`daemon off; master_process off; pid `+dir+`/pid; error_log stderr;
events {}
http { access_log off;
  client_body_temp_path `+dir+`/1; proxy_temp_path `+dir+`/2; fastcgi_temp_path `+dir+`/3; uwsgi_temp_path `+dir+`/4; scgi_temp_path `+dir+`/5;
  server { listen 127.0.0.1:80; root `+dir+`;
    location /elsewhere/ { return 302 http://127.0.0.1/pub/$uri; }
    location /sent/ { rewrite ^/sent/(.*) /pub/$1 redirect; }
    location /closed/ { auth_basic x; auth_basic_user_file users; alias `+dir+`/pub/; } } }
`))
	nfstest.Serve(t, "nginx", "-p", dir, "-c", filepath.Join(dir, "conf"))
	nfstest.Listens(t, "127.0.0.1:80")
	conforms(t, "http://127.0.0.1/pub", suse, Login{})
	conforms(t, "http://127.0.0.1/sent", suse, Login{})
	conforms(t, "http://127.0.0.1/closed", suse, Login{User: "me", Password: "secret"})
	if _, err := Check(t.Context(), "http://127.0.0.1/closed/good", Options{}); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("without a password: %v", err)
	}
}

func TestFTP(t *testing.T) {
	if !nfstest.Alone(t, "vsftpd") {
		return
	}
	suse := newVendor(t, "SUSE")
	dir := published(t, suse)
	put(t, "/run/vsftpd/empty/.keep", nil)
	conf := filepath.Join(dir, "conf")
	put(t, conf, []byte("listen=YES\nlisten_address=127.0.0.1\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\nanon_root="+dir+"\nsecure_chroot_dir=/run/vsftpd/empty\nxferlog_enable=NO\nseccomp_sandbox=NO\n"))
	nfstest.Serve(t, "vsftpd", conf)
	nfstest.Listens(t, "127.0.0.1:21")
	conforms(t, "ftp://127.0.0.1/pub", suse, Login{})
	if _, err := Check(t.Context(), "ftp://127.0.0.1/pub/good", Options{Login: Login{User: "me", Password: "secret"}}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestSMB(t *testing.T) {
	if !nfstest.Alone(t, "smbd") {
		return
	}
	suse := newVendor(t, "SUSE")
	dir := published(t, suse)
	for _, d := range []string{"/run/samba", "/var/lib/samba/private", "/var/cache/samba", "/var/log/samba"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := filepath.Join(dir, "conf")
	put(t, conf, []byte("[global]\nserver role = standalone server\nmap to guest = Bad User\nguest account = nobody\ninterfaces = lo\nbind interfaces only = yes\nsmb ports = 445\ndisable netbios = yes\nload printers = no\nprintcap name = /dev/null\n[dvd]\npath = "+dir+"/pub\nguest ok = yes\nread only = yes\n"))
	nfstest.Serve(t, "smbd", "--foreground", "--no-process-group", "--configfile="+conf)
	nfstest.Listens(t, "127.0.0.1:445")
	conforms(t, "smb://127.0.0.1/dvd", suse, Login{})
}

func TestNFS(t *testing.T) {
	if !nfstest.Alone(t, nfstest.Programs...) {
		return
	}
	suse := newVendor(t, "SUSE")
	dir := published(t, suse)
	if err := os.Symlink("linux", filepath.Join(dir, "pub/good/boot/x86_64/loader/vmlinuz")); err != nil {
		t.Fatal(err)
	}
	nfstest.Ganesha(t, dir)
	conforms(t, "nfs://127.0.0.1"+dir+"/pub", suse, Login{})
}
