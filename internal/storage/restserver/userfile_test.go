package restserver

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestChangeUsers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "etc", "users")
	token, line, err := NewToken("a")
	if err != nil {
		t.Fatal(err)
	}
	if err := AddUser(file, line, AsServer, false); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	u, err := OpenUsers(file, nil)
	if err != nil || !lets(u, "a", token) {
		t.Fatalf("the token does not let in: %v", err)
	}
	if err := AddUser(file, line, AsServer, false); !errors.Is(err, ErrUserExists) {
		t.Error(err)
	}
	// Comments and other users stay where they are.
	b, err := HashPassword("b", []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(file)
	if err := os.WriteFile(file, []byte("# machines\n\n"+string(text)+b+"\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	newToken, line, _ := NewToken("a")
	if err := AddUser(file, line, AsServer, true); err != nil {
		t.Fatal(err)
	}
	if lets(u, "a", token) || !lets(u, "a", newToken) || !lets(u, "b", "p") {
		t.Error("the change was not taken up")
	}
	users, err := ListUsers(file)
	if err != nil || fmt.Sprint(users) != "[{a true } {b false }]" {
		t.Errorf("%v, %v", users, err)
	}
	if err := RemoveUser(file, "a"); err != nil {
		t.Fatal(err)
	}
	if lets(u, "a", newToken) {
		t.Error("a removed user is let in")
	}
	if err := RemoveUser(file, "a"); !errors.Is(err, ErrNoUser) {
		t.Error(err)
	}
	text, _ = os.ReadFile(file)
	info, _ := os.Stat(file)
	if !strings.HasPrefix(string(text), "# machines\n\nb:") || info.Mode().Perm() != 0o640 {
		t.Errorf("%v\n%s", info.Mode(), text)
	}
	// What cannot be read is not rewritten, nor what others may write.
	if err := os.WriteFile(file, []byte("what is this\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := AddUser(file, line, AsServer, false); err == nil {
		t.Error("a broken file was changed")
	}
	if err := os.Chmod(file, 0o622); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenUsers(file, nil); err == nil || !strings.Contains(err.Error(), "chmod") {
		t.Error(err)
	}
	if users, err := ListUsers(filepath.Join(t.TempDir(), "none")); len(users) > 0 || err != nil {
		t.Errorf("%v, %v", users, err)
	}
}

func TestChangeUsersAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	var g sync.WaitGroup
	for i := range 10 {
		g.Go(func() {
			_, line, _ := NewToken(fmt.Sprintf("u%d", i))
			if err := AddUser(file, line, AsServer, false); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	if users, err := ListUsers(file); len(users) != 10 || err != nil {
		t.Errorf("%v, %v", users, err)
	}
}

func TestSelfSigned(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "serve")
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	made, err := SelfSigned(cert, key, []string{"backup.example.com", "192.0.2.1"})
	if err != nil || !made {
		t.Fatal(made, err)
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	text, _ := os.ReadFile(cert)
	block, _ := pem.Decode(text)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c) // as a client does that has a copy
	for name, ok := range map[string]bool{"backup.example.com": true, "192.0.2.1": true, "other.example.com": false} {
		if _, err := c.Verify(x509.VerifyOptions{DNSName: name, Roots: pool}); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if made, err := SelfSigned(cert, key, nil); made || err != nil {
		t.Errorf("again: %v, %v", made, err)
	}
	if after, _ := os.ReadFile(cert); string(after) != string(text) {
		t.Error("the certificate was made anew")
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, err := SelfSigned(cert, key, nil); err == nil {
		t.Error("a certificate without its key was taken")
	}
}
