package sftp_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pkgsftp "github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"
	"golang.org/x/sys/unix"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
	"lifeboat/internal/storage/sftp"
	"lifeboat/internal/storage/storagetest"
)

var config = storage.Handle{Type: storage.Config}

func TestParseURL(t *testing.T) {
	for in, want := range map[string]string{
		"sftp:me@host:/srv/repo":            "me host 22 /srv/repo",
		"sftp:host:repo":                    "- host 22 repo",
		"sftp:me@host:":                     "",
		"sftp:host":                         "",
		"sftp:me@x@host:/a":                 "me@x host 22 /a",
		"sftp:host:/a@b:c":                  "- host 22 /a@b:c",
		"sftp:me@[2001:db8::1]:/srv/":       "me 2001:db8::1 22 /srv",
		"sftp:[2001:db8::1":                 "",
		"sftp://me@host:2222//srv/repo":     "me host 2222 /srv/repo",
		"sftp://me@host/repo":               "me host 22 repo",
		"sftp://[2001:db8::1]:2222//srv":    "- 2001:db8::1 2222 /srv",
		"sftp://host//srv/../etc":           "- host 22 /etc",
		"sftp://host":                       "",
		"sftp://host/":                      "",
		"sftp:///srv":                       "",
		"sftp://me:secret@host//srv":        "",
		"sftp://me:secr%%et@host//srv":      "",
		"sftp://host//srv?secret":           "",
		"sftp:-oProxyCommand=x:/srv":        "- -oProxyCommand=x 22 /srv",
		"rest:http://host/":                 "",
		"sftp:a b:/srv":                     "",
		"sftp://user%40realm@host:22//a%3F": "user@realm host 22 /a?",
	} {
		p, err := sftp.ParseURL(in)
		if want == "" {
			if err == nil || strings.Contains(in, "me:secr") && strings.Contains(err.Error(), "secr") {
				t.Errorf("%s: %+v, %v", in, p, err)
			}
			continue
		}
		user := p.User
		if user == "" {
			user = "-"
		}
		if got := fmt.Sprint(user, " ", p.Host, " ", p.Port, " ", p.Path); err != nil || got != want {
			t.Errorf("%s: %q, %v", in, got, err)
		}
		if again, err := sftp.ParseURL(p.String()); !strings.HasPrefix(p.Host, "-") && (err != nil || again != p) {
			t.Errorf("%s does not come back: %s, %+v, %v", in, p, again, err)
		}
	}
}

func stat(t *testing.T, location string, opts sftp.Options) error {
	t.Helper()
	_, err := open(t, location, opts).Stat(t.Context(), config)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

func TestHostKeys(t *testing.T) {
	t.Parallel()
	server := storagetest.NewSSHServer(t)
	location := fresh(server, server.Addr)(t)
	good := server.KnownHosts(t, server.Addr)
	if err := stat(t, location, sftp.Options{KeyFile: server.Key, KnownHosts: []string{good}}); err != nil {
		t.Errorf("a known host: %v", err)
	}
	place, err := sftp.ParseURL(location)
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := sftp.KnownKeys(place, []string{good}); err != nil || len(keys) == 0 || !strings.Contains(keys[0], " SHA256:") {
		t.Errorf("its keys: %q, %v", keys, err)
	}
	none := server.KnownHosts(t)
	if keys, err := sftp.KnownKeys(place, []string{none}); err != nil || len(keys) != 0 {
		t.Errorf("keys of a host that is not known: %q, %v", keys, err)
	}
	other := storagetest.SSHServer(server)
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	other.HostKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	changed := other.KnownHosts(t, server.Addr)
	for file, want := range map[string]bool{none: false, changed: true} {
		err := stat(t, location, sftp.Options{KeyFile: server.Key, KnownHosts: []string{file}})
		var bad *sftp.HostKeyError
		if !errors.As(err, &bad) || bad.Changed != want || !errors.Is(err, fs.ErrPermission) || retry.Transient(err) || !strings.Contains(bad.Fingerprint, "SHA256:") {
			t.Errorf("changed %v: %v", want, err)
		}
	}
	revoked := filepath.Join(t.TempDir(), "known_hosts")
	os.WriteFile(revoked, []byte("@revoked * "+server.HostKey+"\n"), 0o600)
	err = stat(t, location, sftp.Options{KeyFile: server.Key, KnownHosts: []string{good, revoked}})
	var bad *sftp.HostKeyError
	if !errors.As(err, &bad) || retry.Transient(err) {
		t.Errorf("a revoked key: %v", err)
	}
	// A file that is missing here is no repository that is missing there.
	missing := filepath.Join(t.TempDir(), "none")
	for _, opts := range []sftp.Options{
		{KeyFile: server.Key, KnownHosts: []string{missing}},
		{KeyFile: missing, KnownHosts: []string{good}},
	} {
		if err := stat(t, location, opts); !errors.Is(err, fs.ErrNotExist) || retry.Transient(err) {
			t.Errorf("no file: %v", err)
		}
	}
}

func TestLogins(t *testing.T) {
	server := storagetest.NewSSHServer(t)
	location := fresh(server, server.Addr)(t)
	known := []string{server.KnownHosts(t, server.Addr)}
	text, err := os.ReadFile(server.Key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := ssh.ParseRawPrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("SSH_AUTH_SOCK", "")
	t.Setenv(sftp.PasswordVariable, "")

	if err := stat(t, location, sftp.Options{KnownHosts: known}); !errors.Is(err, fs.ErrPermission) || retry.Transient(err) {
		t.Errorf("no key: %v", err)
	}
	_, stranger, _ := ed25519.GenerateKey(rand.Reader)
	block, err := ssh.MarshalPrivateKey(stranger, "")
	if err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "wrong")
	os.WriteFile(wrong, pem.EncodeToMemory(block), 0o600)
	if err := stat(t, location, sftp.Options{KeyFile: wrong, KnownHosts: known}); !errors.Is(err, fs.ErrPermission) || retry.Transient(err) {
		t.Errorf("a stranger's key: %v", err)
	}
	block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("phrase"))
	if err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(t.TempDir(), "locked")
	os.WriteFile(locked, pem.EncodeToMemory(block), 0o600)
	for phrase, ok := range map[string]bool{"phrase": true, "wrong": false} {
		err := stat(t, location, sftp.Options{KeyFile: locked, KnownHosts: known, Passphrase: func(context.Context) ([]byte, error) { return []byte(phrase), nil }})
		if (err == nil) != ok {
			t.Errorf("passphrase %q: %v", phrase, err)
		}
	}
	if err := stat(t, location, sftp.Options{KeyFile: locked, KnownHosts: known}); err == nil {
		t.Error("a locked key was used without its passphrase")
	}

	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(keyring, conn)
		}
	}()
	t.Setenv("SSH_AUTH_SOCK", socket)
	if err := stat(t, location, sftp.Options{KnownHosts: known}); err != nil {
		t.Errorf("an agent: %v", err)
	}
	t.Setenv("SSH_AUTH_SOCK", socket+"gone")
	home := os.Getenv("HOME")
	os.Mkdir(filepath.Join(home, ".ssh"), 0o700)
	os.WriteFile(filepath.Join(home, ".ssh", "id_rsa"), pem.EncodeToMemory(block), 0o600) // locked: passed over
	os.WriteFile(filepath.Join(home, ".ssh", "id_ed25519"), text, 0o600)
	if err := stat(t, location, sftp.Options{KnownHosts: known}); err != nil {
		t.Errorf("the usual files: %v", err)
	}
}

func TestRestic(t *testing.T) {
	t.Parallel()
	server := storagetest.NewSSHServer(t)
	storagetest.Need(t, "ssh", "openssh-client")
	known := server.KnownHosts(t, server.Addr)
	host, port, _ := strings.Cut(server.Addr, ":")
	dir := filepath.Join(t.TempDir(), "repo")
	command := fmt.Sprintf("ssh -F none -i %s -p %s -o IdentitiesOnly=yes -o UserKnownHostsFile=%s %s@%s -s sftp", server.Key, port, known, server.User, host)
	storagetest.NewRestic(t, "sftp:"+server.User+"@"+host+":"+dir, nil, "-o", "sftp.command="+command).Story(t)
	s := open(t, "sftp://"+server.User+"@"+server.Addr+"/"+dir, sftp.Options{KeyFile: server.Key, KnownHosts: []string{known}})
	snapshots := 0
	if err := s.List(t.Context(), storage.Snapshot, func(storage.Info) error { snapshots++; return nil }); err != nil || snapshots != 2 {
		t.Errorf("%d snapshots, %v", snapshots, err)
	}
}

func TestLayoutAndModes(t *testing.T) {
	t.Parallel()
	server := storagetest.NewSSHServer(t)
	dir := filepath.Join(t.TempDir(), "repo")
	s := open(t, "sftp://"+server.User+"@"+server.Addr+"/"+dir, sftp.Options{KeyFile: server.Key, KnownHosts: []string{server.KnownHosts(t, server.Addr)}})
	if err := s.Save(t.Context(), config, []byte("c")); err != nil {
		t.Fatal(err)
	}
	entries := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		entries++
		return nil
	})
	if err != nil || entries != 1+1+5+256 { // no temporary file is left
		t.Errorf("%d entries, %v", entries, err)
	}
	name := strings.Repeat("ab", 32)
	for _, foreign := range []string{"keys/" + name + "-tmp-1", "keys/x", "data/cd/" + name, "data/" + name} {
		os.WriteFile(filepath.Join(dir, foreign), nil, 0o600)
	}
	os.Mkdir(filepath.Join(dir, "keys", strings.Repeat("cd", 32)), 0o700)
	os.Symlink("/etc/passwd", filepath.Join(dir, "keys", strings.Repeat("ef", 32)))
	for _, kind := range storage.Types {
		err := s.List(t.Context(), kind, func(info storage.Info) error {
			t.Errorf("%s %s is listed", kind, info.Name)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	readOnly := open(t, s.Location(), sftp.Options{Options: storage.Options{ReadOnly: true}})
	if err := readOnly.Remove(t.Context(), config); !errors.Is(err, storage.ErrReadOnly) {
		t.Errorf("remove: %v", err)
	}
	if err := readOnly.Save(t.Context(), config, nil); !errors.Is(err, storage.ErrReadOnly) {
		t.Errorf("save: %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: mounts a small file system")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=0700"); err != nil {
		t.Skipf("needs to mount a tmpfs: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	server := storagetest.NewSSHServer(t)
	s := open(t, "sftp://"+server.User+"@"+server.Addr+"/"+dir+"/repo", sftp.Options{KeyFile: server.Key, KnownHosts: []string{server.KnownHosts(t, server.Addr)}})
	h := storage.Handle{Type: storage.Data, Name: strings.Repeat("ab", 32)}
	if err := s.Save(t.Context(), h, make([]byte, 4<<20)); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("%v", err)
	}
	if err := s.Save(t.Context(), h, make([]byte, 1<<20)); err != nil {
		t.Errorf("what fits: %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "repo", "data", "ab")); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

// plainServer is an SFTP server of another make: it asks for a password and
// knows no extension.
func plainServer(t *testing.T, password string) (addr, known string) {
	t.Helper()
	if err := pkgsftp.SetSFTPExtensions(); err != nil {
		t.Fatal(err)
	}
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	server := &ssh.ServerConfig{PasswordCallback: func(_ ssh.ConnMetadata, got []byte) (*ssh.Permissions, error) {
		if string(got) != password {
			return nil, errors.New("wrong")
		}
		return nil, nil
	}}
	server.AddHostKey(signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveSFTP(conn, server)
		}
	}()
	known = filepath.Join(t.TempDir(), "known_hosts")
	line := knownhosts.Line([]string{l.Addr().String()}, signer.PublicKey())
	if err := os.WriteFile(known, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String(), known
}

func serveSFTP(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				r.Reply(r.Type == "subsystem", nil)
			}
		}()
		go func() {
			defer channel.Close()
			if server, err := pkgsftp.NewServer(channel); err == nil {
				_ = server.Serve()
			}
		}()
	}
}

func TestPasswordsAndPlainServers(t *testing.T) {
	addr, known := plainServer(t, "secret")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("SSH_AUTH_SOCK", "")
	location := func(t *testing.T) string { return "sftp://me@" + addr + "/" + filepath.Join(t.TempDir(), "repo") }
	opts := sftp.Options{KnownHosts: []string{known}}
	t.Setenv(sftp.PasswordVariable, "wrong")
	if err := stat(t, location(t), opts); !errors.Is(err, fs.ErrPermission) || retry.Transient(err) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong password: %v", err)
	}
	t.Setenv(sftp.PasswordVariable, "secret")
	if err := stat(t, location(t), opts); err != nil {
		t.Errorf("of the environment: %v", err)
	}
	t.Setenv(sftp.PasswordVariable, "wrong")
	opts.Password = func(context.Context) ([]byte, error) { return []byte("secret"), nil }
	s := open(t, location(t), opts)
	for range 2 {
		if err := s.Save(t.Context(), config, []byte("c")); err != nil && !errors.Is(err, storage.ErrExists) {
			t.Fatal(err)
		}
	}
	if err := s.Save(t.Context(), config, []byte("d")); !errors.Is(err, storage.ErrExists) {
		t.Errorf("overwriting without hard links: %v", err)
	}
	r, err := s.Load(t.Context(), config, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); err != nil || string(text) != "c" {
		t.Errorf("%q, %v", text, err)
	}
	opts.Password = func(context.Context) ([]byte, error) { return nil, errors.New("the command failed") }
	if err := stat(t, location(t), opts); err == nil {
		t.Error("no password was needed")
	}
}
