package lab

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/lab/machine"
	"lifeboat/internal/sandbox"
)

func TestMain(m *testing.M) {
	Init()
	os.Exit(m.Run())
}

type builder func(context.Context, Options) (*System, error)

// built builds a system that the test destroys at its end.
func built(t *testing.T, build builder, opts Options) *System {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for namespaces and mounts")
	}
	for _, tool := range []string{"mariadbd", "mariadb-install-db", "setfacl", "openssl", "mkfs.ext4", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs " + tool)
		}
	}
	opts.Dir = filepath.Join(t.TempDir(), "system")
	s, err := build(t.Context(), opts)
	if errors.Is(err, sandbox.ErrTooDeep) {
		t.Skip("needs a machine that is not two overlays deep already")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func sh(t *testing.T, s *System, line string) string {
	t.Helper()
	out, err := s.Shell(t.Context(), line)
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return strings.TrimSpace(out)
}

// fails runs a line that must end with that exit code and returns its output.
func fails(t *testing.T, s *System, code int, line string) string {
	t.Helper()
	out, err := s.Shell(t.Context(), line)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Errorf("%s: %v, want exit code %d\n%s", line, err, code, out)
	}
	return out
}

func wants(t *testing.T, s *System, cases [][2]string) {
	t.Helper()
	for _, c := range cases {
		if got := sh(t, s, c[0]); got != c[1] {
			t.Errorf("%s\n got %q\nwant %q", c[0], got, c[1])
		}
	}
}

const sql = "mysql -N smt -e "

func TestServers(t *testing.T) {
	for _, c := range []struct {
		opts                              Options
		tables, engine, local, cache, acl string
	}{
		{Options{Schema: "0.09"}, "11", "MyISAM", "", "", "NCCcredentials"},
		{Options{Schema: "0.14", Password: "nasty", MirrorTo: "/data/mirror tree"}, "15", "MyISAM", "", "51", "NCCcredentials"},
		{Options{Schema: "3.09", Local: true, OldScript: true, Password: "nasty"}, "22", "InnoDB", "SilentClients log_contact client_count trim_contact_log", "51", "SCCcredentials"},
	} {
		t.Run(c.opts.Schema, func(t *testing.T) {
			s := built(t, BuildSMT, c.opts)
			root := c.opts.MirrorTo
			if root == "" {
				root = "/srv/www/htdocs"
			}
			wants(t, s, [][2]string{
				{sql + `"select count(*) from information_schema.tables where table_schema='smt' and table_type='BASE TABLE'"`, c.tables},
				{sql + `"select distinct engine from information_schema.tables where table_schema='smt' and table_name='Clients'"`, c.engine},
				{sql + `"select default_character_set_name from information_schema.schemata where schema_name='smt'"`, "latin1"},
				{sql + `"select count(*) from Clients"`, "40"},
				{sql + `"select count(*) from MachineData"`, "800"},
				{sql + `"select count(*) from Products"`, "3"},
				{sql + `"select count(*), sum(DOMIRROR='Y'), sum(SRC='C') from Catalogs"`, "6\t2\t1"},
				{sql + `"select version from migration_schema_version where name='smt'"`, c.opts.Schema},
				{sql + `"select hex(left(VALUE,9)) from MachineData where KEYNAME='machine-b' limit 1"`, "0027225C0A0D1AFFFE"},
				{"stat -c '%U:%G %a' /etc/smt.conf | cut -c1-8", "root:www"},
				{"getfacl -cp /etc/zypp/credentials.d/" + c.acl + " | grep -c user:smt:r--", "1"},
				{"stat -c %a /etc/zypp/credentials.d/" + c.acl, "640"}, // the group bits show the ACL's mask
				{"openssl verify -CAfile /var/lib/CAM/YaST_Default_CA/cacert.pem /etc/ssl/servercerts/servercert.pem | cut -d' ' -f2", "OK"},
				{"grep -c ENCRYPTED /var/lib/CAM/YaST_Default_CA/cacert.key", "2"},
				{"cmp /var/lib/CAM/YaST_Default_CA/cacert.pem /srv/www/htdocs/smt.crt && echo same", "same"},
				{"find '" + root + "/repo' -name '*.rpm' | wc -l", "42"},
				{"find '" + root + "/repo' -name '*.rpm' -links 2 | wc -l", "24"},
				{"find '" + root + "/repo' -name '*.rpm' -not -user smt -o -not -group www | wc -l", "0"},
				{"find '" + root + "/repo' -name '*.rpm' -newermt 2018-01-01 | wc -l", "0"},
				{"ls -d '" + root + "/repo/$RCE' | wc -l", "1"},
				{"find '" + root + "/repo' -name .repodata -o -name .old.repodata | wc -l", "6"},
				{"rpm -q --qf '%{NAME}' smt", "smt"},
				{"hostname; ip -o -4 addr show eth0 | awk '{print $4}'", "smt1.example.com\n192.0.2.10/24"},
				{"rcsmt status > /dev/null && echo runs", "runs"},
				{"smt-list-registrations | grep -c client...example.com", "40"},
			})
			if c.cache != "" {
				wants(t, s, [][2]string{
					{sql + `"select count(*) from RepositoryContentData"`, c.cache},
					{sql + `"select count(*), count(PARENT_ID) from JobQueue"`, "5\t2"},
				})
				// The cache holds the sums of the files on disk.
				if bad := sh(t, s, sql+`"select checksum, localpath from RepositoryContentData" | while IFS=$'\t' read sum path; do
					tool=sha1sum; test ${#sum} = 64 && tool=sha256sum; echo "$sum  $path" | $tool -c --quiet; done`); bad != "" {
					t.Error(bad)
				}
			}
			if c.local != "" {
				wants(t, s, [][2]string{
					{sql + `"select group_concat(n order by o separator ' ') from (select 1 o, table_name n from information_schema.views where table_schema='smt' union select 2, trigger_name from information_schema.triggers where trigger_schema='smt' union select 3, routine_name from information_schema.routines where routine_schema='smt' and routine_type='FUNCTION' union select 4, event_name from information_schema.events where event_schema='smt') x"`, c.local},
					{sql + `"select count(*) from information_schema.routines where routine_schema='smt' and routine_name='drop_index_if_exists'"`, "1"},
					{"stat -c %a /usr/sbin/smt-db-backup.sh; grep -c smt-db-backup.sh /etc/smt.d/novell.com-smt", "750\n1"},
				})
			}
			before := sh(t, s, sql+`"select max(LASTCONTACT) from Clients"`)
			id, err := s.Client()
			if err == nil {
				err = s.Refresh(t.Context(), id)
			}
			if err != nil {
				t.Fatal("a client's refresh:", err)
			}
			if after := sh(t, s, sql+`"select max(LASTCONTACT) from Clients"`); after <= before {
				t.Errorf("last contact was %s and is %s", before, after)
			}
		})
	}
}

func TestServiceLife(t *testing.T) {
	s := built(t, BuildSMT, Options{Schema: "3.09"})
	link := "readlink /etc/cron.d/novell.com-smt /etc/apache2/conf.d/nu_server.conf | wc -l"
	wants(t, s, [][2]string{
		{"rcsmt stop > /dev/null; " + link, "0"},
		{"systemctl is-active mysql apache2", "active\nactive"}, // rcsmt stops neither
		{"rm /srv/www/htdocs/smt.crt; rcsmt start > /dev/null; " + link + "; ls /srv/www/htdocs/smt.crt", "2\n/srv/www/htdocs/smt.crt"},
	})
	calls, err := s.Calls(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, c := range calls {
		order = append(order, c.String())
	}
	if got := strings.Join(order, "; "); got != "rcsmt stop; systemctl is-active mysql apache2; rcsmt start" {
		t.Error("order of calls:", got)
	}

	sh(t, s, "rcsmt stop; setfacl -b /etc/zypp/credentials.d/SCCcredentials; chmod 600 /etc/zypp/credentials.d/SCCcredentials")
	if out := fails(t, s, 4, "rcsmt start"); !strings.Contains(out, "setfacl -m u:smt:r") {
		t.Error(out)
	}
	sh(t, s, "setfacl -m u:smt:r /etc/zypp/credentials.d/SCCcredentials; "+sql+`"update migration_schema_version set version=2.08"`)
	if out := fails(t, s, 1, "rcsmt start"); !strings.Contains(out, "Was not able to find upgrade path") {
		t.Error(out)
	}
	sh(t, s, "rcsmt stop; "+sql+`"update migration_schema_version set version=3.08"; rcsmt start`)
	wants(t, s, [][2]string{{sql + `"select name, version from migration_schema_version"`, "smt\t3.09"}})

	// A reboot brings it up again; a mask holds across one.
	if err := s.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	sh(t, s, "rcsmt status")
	sh(t, s, "rcsmt stop; systemctl mask smt.target smt.service")
	if _, err := s.Shell(t.Context(), "reboot; sleep 60"); !errors.Is(err, sandbox.ErrEnded) {
		t.Errorf("reboot inside: %v", err)
	}
	fails(t, s, 3, "rcsmt status")
	fails(t, s, 1, "rcsmt start")
	wants(t, s, [][2]string{
		{link, "0"},
		{"systemctl is-enabled smt.service; true", "masked"},
		{"systemctl unmask smt.target smt.service; rcsmt start > /dev/null; " + link, "2"},
	})
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	sh(t, s, "rcsmt status")
}

func TestMirror(t *testing.T) {
	s := built(t, BuildSMT, Options{Schema: "0.14"})
	sh(t, s, "cd '/srv/www/htdocs/repo/$RCE/SLES11-SP1-Updates/sle-11-x86_64' && rm -r rpm/noarch && echo x >> repodata/primary.xml.gz")
	out := sh(t, s, "smt-mirror -d -L /var/log/smt/smt-mirror.log")
	if !strings.Contains(out, "2 repositories, 0 with errors") || strings.Contains(out, "downloaded 0, linked 0, up to date 28") {
		t.Error(out)
	}
	wants(t, s, [][2]string{
		{"find /srv/www/htdocs/repo -name '*.rpm' | wc -l", "42"},
		{"stat -c %U /var/log/smt/smt-mirror.log", "smt"},
		{"ls -A /var/run/smt", ""},
	})
	// With another owner the tools, which run as smt, cannot write.
	sh(t, s, "chown -R root:root /srv/www/htdocs/repo; rm -r '/srv/www/htdocs/repo/$RCE/SLES11-SP1-Updates'")
	fails(t, s, 1, "smt-mirror")
	sh(t, s, "chown -R smt:www /srv/www/htdocs/repo && smt-mirror")

	sh(t, s, "echo 1h > "+machine.Home+"/mirror-time")
	p, err := s.Spawn(t.Context(), sandbox.Command{Args: []string{"smt-mirror"}})
	if err != nil {
		t.Fatal(err)
	}
	if out := sh(t, s, "until test -s /var/run/smt/smt-mirror.pid; do sleep 0.02; done; smt-mirror"); out != "Mirror process is still running." {
		t.Error(out)
	}
	_ = p.Signal(os.Kill)
	_ = p.Wait()
	// Its lock is left behind and counts as none.
	sh(t, s, "echo 0s > "+machine.Home+"/mirror-time; smt-mirror | grep finished")
}

// TestLostServer walks the way of a recovery by hand on a fresh machine.
func TestLostServer(t *testing.T) {
	old := built(t, BuildSMT, Options{Schema: "3.09"})
	fresh := built(t, BuildBare, Options{Line: "12", Fresh: true, Update: "3.0.47"})
	id, err := old.Client()
	if err != nil {
		t.Fatal(err)
	}
	sh(t, old, "rcsmt stop; mysqldump smt > /root/smt.sql; tar -C / --acls -cf /root/saved.tar root/smt.sql var/lib/CAM etc/zypp/credentials.d")
	fails(t, fresh, 6, "zypper -n in smt")
	if out := fails(t, fresh, 1, "SUSEConnect"); !strings.Contains(out, "no credentials") {
		t.Error(out)
	}
	carry(t, old, fresh, "/root/saved.tar")
	sh(t, fresh, "tar -C / -xf /root/saved.tar && SUSEConnect && zypper -n up")
	if _, err := fresh.Shell(t.Context(), "reboot; sleep 60"); !errors.Is(err, sandbox.ErrEnded) {
		t.Errorf("reboot inside: %v", err)
	}
	sh(t, fresh, "zypper needs-rebooting; zypper -n in smt")
	if out := fails(t, fresh, 1, "echo wrong | yast-ca-export"); !strings.Contains(out, "wrong certificate password") {
		t.Error(out)
	}
	sh(t, fresh, "echo '"+CAPassword+"' | yast2 ca_mgm")
	sh(t, fresh, "yast2 smt-wizard && zypper -n up")
	if sh(t, fresh, "id -u smt") == sh(t, old, "id -u smt") {
		t.Error("the fresh machine has the same uid of smt")
	}
	if err := fresh.Refresh(t.Context(), id); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a client of the lost server is known without its database: %v", err)
	}
	sh(t, fresh, "rcsmt stop; mysql smt < /root/smt.sql; rcsmt start && smt-scc-sync && smt-repos -o && smt-list-registrations && smt-job && smt-mirror")
	if err := fresh.Refresh(t.Context(), id); err != nil {
		t.Error(err)
	}
	wants(t, fresh, [][2]string{
		{"rpm -q smt", "smt-3.0.47-1.1.x86_64"},
		{"find /srv/www/htdocs/repo -name '*.rpm' | wc -l", "40"}, // all but the site's own
		{sql + `"select timestampdiff(minute, max(LASTCONTACT), now()) < 5 from Clients"`, "1"},
	})
	sh(t, fresh, "smt-db init; rm -r /var/lib/CAM/* /etc/ssl/servercerts; systemctl stop apache2; ! systemctl start apache2")
}

// carry copies a file from one system to another.
func carry(t *testing.T, from, to *System, path string) {
	t.Helper()
	tmp := filepath.Join(t.TempDir(), "carried")
	f, err := os.Create(tmp)
	if err != nil {
		t.Fatal(err)
	}
	err = from.Exec(t.Context(), sandbox.Command{Args: []string{"cat", path}, Stdout: f})
	if err := errors.Join(err, f.Close(), to.CopyIn(t.Context(), tmp, path, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestBareSystem(t *testing.T) {
	lifeboat := filepath.Join(t.TempDir(), "lifeboat")
	shared := t.TempDir()
	if err := os.WriteFile(lifeboat, []byte("#!/bin/sh\necho ahoy\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := built(t, BuildBare, Options{Line: "11", Hostname: "bare.example.net", Lifeboat: lifeboat, Share: []sandbox.Bind{{Source: shared, Target: "/backup"}}})
	wants(t, s, [][2]string{
		{"lifeboat; hostname; cat /etc/HOSTNAME", "ahoy\nbare.example.net\nbare.example.net"},
		{". /etc/os-release; echo $ID $VERSION_ID", "sles 11.1"},
		{"ls -A /var/lib/mysql /srv /home /root 2>/dev/null | grep -v : | xargs", ""},
		{"ls -d /etc/smt* /etc/apache2/* /usr/sbin/rcsmt /usr/bin/dpkg 2>/dev/null | xargs", ""},
		{"id smt 2>/dev/null || echo none", "none"},
		{"rpm -q smt; true", "package smt is not installed"},
		{"echo kept > /backup/file; systemctl is-active mysql; true", "inactive"},
	})
	if raw, err := os.ReadFile(shared + "/file"); err != nil || string(raw) != "kept\n" {
		t.Errorf("%q %v", raw, err)
	}
	if again, err := Open(s.dir); err != nil || !again.Running() {
		t.Error("open from elsewhere:", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}
