package medium

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// alone has a test run in a process with a network, /run and /var of its own, where real
// servers find their usual ports and touch nothing of the machine. It is true there;
// the caller returns where it is false.
func alone(t *testing.T, programs ...string) bool {
	t.Helper()
	const mark = "LIFEBOAT_TEST_ALONE"
	if os.Getenv(mark) == "" {
		if os.Geteuid() != 0 {
			t.Skip("needs root: makes network namespaces")
		}
		for _, p := range programs {
			if _, err := exec.LookPath(p); err != nil {
				t.Skipf("needs %s (scripts/deps test)", p)
			}
		}
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
		cmd.Env = append(os.Environ(), mark+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Fatalf("in namespaces of its own: %v\n%s", err, out)
		}
		return false
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	err = errors.Join(err, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	for _, dir := range []string{"/run", "/var/lib", "/var/log", "/var/cache"} {
		err = errors.Join(err, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

// serve starts a server, which ends with the test.
func serve(t *testing.T, args ...string) *bytes.Buffer {
	t.Helper()
	out := new(bytes.Buffer)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, out, time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", args[0], out)
		}
	})
	return out
}

// listens waits until a server takes connections.
func listens(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

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
	if !alone(t, "nginx") {
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
	serve(t, "nginx", "-p", dir, "-c", filepath.Join(dir, "conf"))
	listens(t, "127.0.0.1:80")
	conforms(t, "http://127.0.0.1/pub", suse, Login{})
	conforms(t, "http://127.0.0.1/sent", suse, Login{})
	conforms(t, "http://127.0.0.1/closed", suse, Login{User: "me", Password: "secret"})
	if _, err := Check(t.Context(), "http://127.0.0.1/closed/good", Options{}); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("without a password: %v", err)
	}
}

func TestFTP(t *testing.T) {
	if !alone(t, "vsftpd") {
		return
	}
	suse := newVendor(t, "SUSE")
	dir := published(t, suse)
	put(t, "/run/vsftpd/empty/.keep", nil)
	conf := filepath.Join(dir, "conf")
	put(t, conf, []byte("listen=YES\nlisten_address=127.0.0.1\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\nanon_root="+dir+"\nsecure_chroot_dir=/run/vsftpd/empty\nxferlog_enable=NO\nseccomp_sandbox=NO\n"))
	serve(t, "vsftpd", conf)
	listens(t, "127.0.0.1:21")
	conforms(t, "ftp://127.0.0.1/pub", suse, Login{})
	if _, err := Check(t.Context(), "ftp://127.0.0.1/pub/good", Options{Login: Login{User: "me", Password: "secret"}}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestSMB(t *testing.T) {
	if !alone(t, "smbd") {
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
	serve(t, "smbd", "--foreground", "--no-process-group", "--configfile="+conf)
	listens(t, "127.0.0.1:445")
	conforms(t, "smb://127.0.0.1/dvd", suse, Login{})
}

func TestNFS(t *testing.T) {
	if !alone(t, "ganesha.nfsd", "rpcbind") {
		return
	}
	suse := newVendor(t, "SUSE")
	dir := published(t, suse)
	for _, d := range []string{"/run/rpcbind", "/run/ganesha", "/var/lib/nfs/ganesha", "/var/log/ganesha"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("linux", filepath.Join(dir, "pub/good/boot/x86_64/loader/vmlinuz")); err != nil {
		t.Fatal(err)
	}
	serve(t, "rpcbind", "-f")
	listens(t, "127.0.0.1:111")
	conf := filepath.Join(dir, "conf")
	put(t, conf, []byte("NFS_CORE_PARAM { Protocols = 3; Enable_NLM = false; Enable_RQUOTA = false; }\nEXPORT { Export_Id = 1; Path = "+dir+"; Pseudo = /x; Access_Type = RO; Squash = No_Root_Squash; SecType = sys; Protocols = 3; Transports = TCP; FSAL { Name = VFS; } }\n"))
	serve(t, "ganesha.nfsd", "-F", "-f", conf, "-L", "/dev/stderr", "-p", "/run/ganesha/pid")
	listens(t, "127.0.0.1:2049")
	conforms(t, "nfs://127.0.0.1"+dir+"/pub", suse, Login{})
}
