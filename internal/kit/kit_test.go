package kit

import (
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/kit/sheet"
	"lifeboat/internal/kit/typed"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/repository"
)

func shares(t *testing.T, kit string, total, threshold int) (password string, list []typed.Share) {
	t.Helper()
	var secret [typed.SecretSize]byte
	rand.Read(secret[:])
	list, err := divide(kit, secret, total, threshold)
	if err != nil {
		t.Fatal(err)
	}
	return typed.Password(secret), list
}

func add(t *testing.T, a *Assembly, s typed.Share) {
	t.Helper()
	if err := a.Add(typed.Found{Share: &s}); err != nil {
		t.Fatal(err)
	}
}

func TestAssembly(t *testing.T) {
	want, list := shares(t, "7F3K", 5, 3)
	_, others := shares(t, "ABCD", 5, 3)
	_, same := shares(t, "7F3K", 5, 3)
	_, wider := shares(t, "7F3K", 5, 4)
	a := new(Assembly)
	if _, err := a.Password(); !errors.Is(err, ErrMissing) || a.Missing() != 1 {
		t.Error(err)
	}
	add(t, a, list[4])
	if a.Missing() != 2 || a.Kit() != "7F3K" {
		t.Errorf("%d missing of %s", a.Missing(), a.Kit())
	}
	for name, wrong := range map[string]typed.Found{
		"another kit": {Share: &others[0]}, "another threshold": {Share: &wider[0]}, "the same number": {Share: &same[4]}, "a password": {Password: want},
	} {
		if err := a.Add(wrong); !errors.Is(err, ErrOtherKit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := a.Add(typed.Found{Share: &list[4]}); !errors.Is(err, ErrKnown) {
		t.Error(err)
	}
	add(t, a, list[1])
	if _, err := a.Password(); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "takes 3, and 2 are here") {
		t.Error(err)
	}
	spoilt := *a
	spoilt.shares = slices.Clone(a.shares)
	add(t, &spoilt, same[0])
	if _, err := spoilt.Password(); !errors.Is(err, ErrOtherKit) {
		t.Errorf("a share of another kit of the same name: %v", err)
	}
	add(t, a, list[0])
	add(t, a, list[2]) // more than are needed
	if got, err := a.Password(); err != nil || got != want || a.Missing() != 0 {
		t.Errorf("%s, %v", got, err)
	}
}

func TestWholePassword(t *testing.T) {
	want, list := shares(t, "7F3K", 2, 2)
	a := new(Assembly)
	for range 2 {
		if err := a.Add(typed.Found{Password: want}); err != nil {
			t.Error(err)
		}
	}
	if got, err := a.Password(); err != nil || got != want || a.Missing() != 0 || a.Kit() != "" {
		t.Errorf("%s, %v", got, err)
	}
	if err := a.Add(typed.Found{Share: &list[0]}); !errors.Is(err, ErrOtherKit) {
		t.Error(err)
	}
}

// The script of docs/kit.md puts shares together that we made.
func TestScriptOfThePage(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3: runs the script of docs/kit.md")
	}
	page, err := os.ReadFile("../../docs/kit.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, _ := strings.Cut(string(page), "```python\n")
	script, _, _ = strings.Cut(script, "```")
	want, list := shares(t, "7F3K", 5, 3)
	dir := t.TempDir()
	args := []string{"-c", script}
	for _, i := range []int{4, 0, 2} {
		file := filepath.Join(dir, list[i].Kit+string(rune('1'+i)))
		text := sheet.Share{Sheet: &sheet.Sheet{Kit: "7F3K", Total: 5, Threshold: 3}, Number: list[i].Number, Groups: list[i].String()}.Text()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	out, err := exec.Command(python, args...).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAccess(t *testing.T) {
	secret := &config.Password{File: "/etc/lifeboat/secret"}
	hosts := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(hosts, []byte("[h.example]:2222 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJe8zTzHGnTnYqCVmYJaJPbCq0uwE+b1e1L9T4W2K4nX\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pin := "sha256:" + strings.Repeat("6f", 32)
	tests := []struct {
		name      string
		r         config.Repository
		arguments string
		restic    string
		proof     string
		needed    []string
	}{
		{"directory", config.Repository{URL: "/backup/it's here"}, `--repository '/backup/it'\''s here'`, "", "", nil},
		{
			"rest",
			config.Repository{URL: "rest:https://h.example:8443/a/", Store: config.Store{Fingerprint: pin, REST: config.REST{User: "smt1", Password: secret}}},
			"--repository rest:https://h.example:8443/a/ -o rest.user=smt1 -o 'rest.password={file: /root/store.secret}' -o fingerprint=" + pin,
			"openssl s_client -connect h.example:8443", pin,
			[]string{"Password of the REST server: Reaching the repository at all. It is the password or token of the user smt1. On this machine it is in /etc/lifeboat/secret."},
		},
		{
			"rest with a password in the address",
			config.Repository{URL: "rest:https://smt1:hidden@h.example/a/"},
			"--repository rest:https://h.example/a/ -o rest.user=smt1", "rest:https://smt1:PASSWORD@", "",
			[]string{"Password of the REST server: "},
		},
		{
			"s3",
			config.Repository{URL: "s3:https://o.example/b/smt", Store: config.Store{S3: config.S3{Region: "eu-1", BucketLookup: "path", AccessKey: "AKIA", SecretKey: secret}}},
			"-o s3.region=eu-1 -o s3.bucket_lookup=path -o s3.access_key=AKIA -o 's3.secret_key={file: /root/store.secret}'",
			"export AWS_ACCESS_KEY_ID=AKIA", "",
			[]string{"S3 secret key: "},
		},
		{
			"sftp",
			config.Repository{URL: "sftp://backup@h.example:2222//srv/lifeboat", Store: config.Store{SFTP: config.SFTP{KeyFile: "/etc/lifeboat/id", Passphrase: secret, KnownHosts: []string{hosts}}}},
			"-o sftp.key_file=/root/store.key -o 'sftp.passphrase={file: /root/store.passphrase}' -o 'sftp.known_hosts=[/root/store.known_hosts]'",
			"sftp.command=ssh -p 2222 -i /root/store.key -o UserKnownHostsFile=/root/store.known_hosts backup@h.example -s sftp", "ssh-ed25519 SHA256:",
			[]string{"SFTP key: Reaching the repository at all. It is a private key that may log in as backup@h.example; on this machine it is /etc/lifeboat/id.", "Passphrase of the SFTP key: "},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, err := accessTo(test.r)
			if err != nil {
				t.Fatal(err)
			}
			o := Options{Systems: []System{{System: config.System{Name: "smt"}, Profile: &profile.Profile{}}}}
			restic := strings.Join(o.restic(a), "\n")
			lifeboat := recovery.Shell(a.arguments...)
			if !strings.Contains(lifeboat, test.arguments) {
				t.Errorf("lifeboat %s\nwant %s", lifeboat, test.arguments)
			}
			if !strings.Contains(restic, test.restic) || !strings.Contains(restic, "snapshots --tag system:smt") {
				t.Errorf("restic:\n%s", restic)
			}
			if strings.Contains(restic+lifeboat, "hidden") {
				t.Error("a password is told")
			}
			proofs := ""
			for _, p := range a.proofs {
				proofs += p.Value + "\n"
			}
			if !strings.Contains(proofs, test.proof) {
				t.Errorf("proofs: %s", proofs)
			}
			if len(a.needed) != len(test.needed) {
				t.Fatalf("needed: %+v", a.needed)
			}
			for i, n := range a.needed {
				if !strings.HasPrefix(n.What+": "+n.For, test.needed[i]) {
					t.Errorf("needed: %+v", n)
				}
			}
		})
	}
}

func TestElsewhere(t *testing.T) {
	p := &profile.Profile{Elsewhere: []profile.Elsewhere{{What: "CA password", For: "Signing."}, {What: "Vendor account", For: "Registering."}}}
	q := &profile.Profile{Elsewhere: []profile.Elsewhere{{What: "ca Password", For: "Signing."}, {What: "Vendor account", For: "Support."}}}
	o := Options{
		Systems:   []System{{Profile: p}, {Profile: q}},
		Elsewhere: []config.Elsewhere{{What: "CA PASSWORD", Who: "Anna"}, {What: "ca password", Who: "Ben"}, {What: "Alarm", Who: "porter"}, {What: "S3 secret key", Who: "Cem"}},
	}
	want := []sheet.Secret{
		{What: "S3 secret key", Who: "Cem", For: "All."},
		{What: "CA password", Who: "Anna; Ben", For: "Signing."},
		{What: "Vendor account", For: "Registering. Support."},
		{What: "Alarm", Who: "porter"},
	}
	if got := o.elsewhere([]sheet.Secret{{What: "S3 secret key", For: "All."}}); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestRecords(t *testing.T) {
	dir := t.TempDir()
	if list, err := Records(dir); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	now := time.Now()
	key := repository.Hash([]byte("key"))
	gone := repository.Hash([]byte("gone"))
	for _, r := range []Record{
		{ID: "BBBB", Created: now, RepositoryID: "one", Key: key.String()},
		{ID: "AAAA", Created: now.Add(-time.Hour), RepositoryID: "one", Key: gone.String()},
		{ID: "CCCC", Created: now.Add(time.Hour), RepositoryID: "two", Key: gone.String()},
		{ID: "DDDD", Created: now.Add(2 * time.Hour), RepositoryID: "one", Key: gone.String(), Revoked: now},
	} {
		if err := r.save(dir); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"EEEE.json": "{", "FFFF.json": `{"id":"GGGG"}`, "HHHH.json": `{"id":"HHHH","format":9}`, "note.txt": ""} {
		if err := os.WriteFile(filepath.Join(dir, "kits", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := Records(dir)
	if len(list) != 4 || err == nil || !strings.Contains(err.Error(), "EEEE") || !strings.Contains(err.Error(), "GGGG") || !strings.Contains(err.Error(), "update lifeboat") {
		t.Fatalf("%+v, %v", list, err)
	}
	elsewhere := repository.Hash([]byte("elsewhere"))
	states := Look(list, map[string][]repository.Key{"one": {
		{ID: key, Username: label("BBBB", now)}, {ID: elsewhere, Username: label("JJJJ", now), Created: now.Add(3 * time.Hour)}, {ID: gone, Username: "root"},
	}})
	var got []string
	for _, s := range states {
		got = append(got, s.ID+" "+string(s.State))
	}
	// The key of AAAA is that which another user has: ids are what counts.
	if want := []string{"AAAA valid", "BBBB valid", "CCCC unknown", "DDDD revoked", "JJJJ valid"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	states = Look(list[:1], map[string][]repository.Key{"one": nil})
	if states[0].State != KeyRemoved {
		t.Errorf("%+v", states)
	}
}
