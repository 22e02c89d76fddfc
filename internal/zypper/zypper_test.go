package zypper

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	oldSet = "acme-tool-1-1.x86_64 apache2-2.2-1.x86_64 filesystem-1-1.x86_64 kdm-1-1.x86_64 sles-release-11-1.x86_64"
	newSet = "apache2-2.4-1.x86_64 filesystem-2-1.x86_64 gdm-1-1.x86_64 libapr-1-1.x86_64 sles-release-12-1.x86_64"
)

func names(list []Change) string {
	var n []string
	for _, c := range list {
		n = append(n, c.Name)
	}
	return strings.Join(n, " ")
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	l, ctx := build(t), t.Context()
	plan, err := l.Simulate(ctx, Terms{})
	if err != nil {
		t.Fatal(err)
	}
	tr := plan.Transaction
	if names(tr.Upgrade) != "apache2 filesystem sles-release SLES" || names(tr.Install) != "gdm libapr" || names(tr.Remove) != "acme-tool kdm" {
		t.Errorf("simulated: %+v", tr)
	}
	if c := tr.Upgrade[0]; c.EditionOld != "2.2-1" || c.Edition != "2.4-1" || c.Kind != "package" {
		t.Errorf("change: %+v", c)
	}
	if tr.Download <= 0 || tr.Packages != 7 {
		t.Errorf("download %d, packages %d", tr.Download, tr.Packages)
	}
	if _, err := l.Fetch(ctx, Terms{}); err != nil {
		t.Fatal(err)
	}
	if got := l.set(t); got != oldSet {
		t.Fatalf("the download changed packages: %s", got)
	}
	if plan, err = l.Simulate(ctx, Terms{}); err != nil || plan.Transaction.Download != 0 {
		t.Errorf("after the download %d bytes are still to come, %v", plan.Transaction.Download, err)
	}
	r, err := l.Upgrade(ctx, Terms{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Scriptlets) != 0 {
		t.Errorf("scriptlets: %+v", r.Scriptlets)
	}
	if got := l.set(t); got != newSet {
		t.Errorf("installed: %s", got)
	}
	if left, err := l.Inconsistent(ctx); err != nil || len(left) != 0 {
		t.Errorf("inconsistent: %q, %v", left, err)
	}
	products, err := l.Products()
	if err != nil || len(products) != 1 || products[0].Version != "12" || !products[0].Base {
		t.Errorf("products: %+v, %v", products, err)
	}
	again, err := l.Simulate(ctx, Terms{})
	if err != nil || !again.Transaction.Empty() {
		t.Errorf("nothing is left to do, and it says: %+v, %v", again, err)
	}
}

func TestScriptlets(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		phase, set string
		code       int
		status     int
	}{
		{"post", newSet, ExitScriptlet, 3},
		{"posttrans", newSet, ExitDone, 7},
		{"pre", "", ExitCommit, 1},
	} {
		t.Run(test.phase, func(t *testing.T) {
			t.Parallel()
			l := build(t)
			put(t, filepath.Join(l.root, "break", test.phase), "")
			r, err := l.Upgrade(t.Context(), Terms{})
			code, _ := Code(err)
			if code != test.code {
				t.Fatalf("exit code %d: %v", code, err)
			}
			if Complete(code) != (test.set != "") {
				t.Errorf("exit code %d is taken for complete: %t", code, Complete(code))
			}
			if len(r.Scriptlets) != 1 || r.Scriptlets[0].Phase != test.phase || r.Scriptlets[0].Status != test.status || !strings.HasPrefix(r.Scriptlets[0].Package, "apache2-2.4-1") {
				t.Errorf("scriptlets: %+v\n%+v", r.Scriptlets, r.Messages)
			}
			got := l.set(t)
			if test.set != "" && got != test.set {
				t.Errorf("installed: %s", got)
			}
			if test.set == "" && (got == oldSet || got == newSet) {
				t.Errorf("half an upgrade was expected: %s", got)
			}
		})
	}
}

// What only the downloaded packages show must be an error that changes nothing.
func TestFetchFindsWhatMetadataHides(t *testing.T) {
	t.Parallel()
	spoil := map[string]func(t *testing.T, l *lab){
		"missing": func(t *testing.T, l *lab) {
			if err := os.Remove(rpm(t, l.copied(t), "gdm")); err != nil {
				t.Fatal(err)
			}
		},
		"corrupt": func(t *testing.T, l *lab) {
			path := rpm(t, l.copied(t), "gdm")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)-20] ^= 0xff
			put(t, path, string(data))
		},
		"file": func(t *testing.T, l *lab) {
			dir := l.copied(t)
			packages(t, dir, "12", rivalSpec)
			l.use(t, dir)
		},
	}
	for name, f := range spoil {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := build(t)
			f(t, l)
			r, err := l.Fetch(t.Context(), Terms{})
			code, ok := Code(err)
			if !ok || code != ExitCommit {
				t.Fatalf("exit code %d, %v, %+v", code, err, r)
			}
			if got := l.set(t); got != oldSet {
				t.Errorf("installed: %s", got)
			}
		})
	}
}

func rpm(t *testing.T, dir, name string) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(dir, "*", name+"-*.rpm"))
	if len(found) != 1 {
		t.Fatalf("%s: %v", name, found)
	}
	return found[0]
}

// rpm goes on when zypper is killed, and zypper's own lock is free then.
func TestKilledZypperLeavesRPM(t *testing.T) {
	t.Parallel()
	l := build(t)
	fifo := filepath.Join(l.root, "break/wait")
	put(t, filepath.Join(l.root, "break/here"), "")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := l.Upgrade(context.Background(), Terms{})
		ended <- err
	}()
	reached := filepath.Join(l.root, "break/reached")
	for {
		if _, err := os.Stat(reached); err == nil {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("the upgrade did not wait: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	killed := 0
	for _, pid := range l.Active() {
		line, _ := os.ReadFile(filepath.Join("/proc", itoa(pid), "cmdline"))
		if strings.Contains(string(line), "zypper\x00") {
			killed++
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
	}
	if killed == 0 {
		t.Fatalf("no zypper among %v", l.Active())
	}
	again, err := New(Options{Root: l.root, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Active()) == 0 {
		t.Error("rpm is not seen")
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := again.Upgrade(short, Terms{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second one beside the rpm that is left: %v", err)
	}
	f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := <-ended; err == nil {
		t.Error("a killed zypper is no error")
	}
	if left := l.Active(); len(left) != 0 {
		t.Errorf("%v still run after the call has returned", left)
	}
	os.Remove(fifo)
	if _, err := again.Upgrade(t.Context(), Terms{}); err != nil {
		t.Fatal(err)
	}
	if got := l.set(t); got != newSet {
		t.Errorf("installed: %s", got)
	}
}

// Together the two options upgrade for real.
func TestDownloadOptionsAreNeverTogether(t *testing.T) {
	t.Parallel()
	l := build(t)
	var calls [][]string
	for _, f := range []func(context.Context, Terms) (*Result, error){l.Simulate, l.Fetch, l.Upgrade} {
		r, err := f(t.Context(), Terms{Recommends: true, Vendor: true, Licenses: true})
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, r.Args)
	}
	for _, args := range calls {
		if slices.Contains(args, "--download") && slices.Contains(args, "--download-only") {
			t.Errorf("%q", args)
		}
	}
}

func TestAnotherZyppIsNotDisturbed(t *testing.T) {
	t.Parallel()
	l := build(t)
	dir := t.TempDir()
	run(t, nil, "cp", "/bin/sleep", filepath.Join(dir, "zypper"))
	cmd := exec.Command(filepath.Join(dir, "zypper"), "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	put(t, filepath.Join(l.root, "run/zypp.pid"), itoa(cmd.Process.Pid)+"\n")
	_, err := l.Simulate(t.Context(), Terms{})
	if code, _ := Code(err); code != ExitLocked {
		t.Errorf("%v", err)
	}
}

func TestRepositoriesStayLiteral(t *testing.T) {
	t.Parallel()
	l, ctx := build(t), t.Context()
	url := "https://nu.novell.com/repo/$RCE/SLES12-Updates/sle-$releasever-x86_64"
	if err := l.AddRepository(ctx, Repository{Alias: "SLES12-Updates", Name: "SLES12 Updates", URLs: []string{url}, Priority: 90}); err != nil {
		t.Fatal(err)
	}
	list, err := l.Repositories()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(list, func(r Repository) bool { return r.Alias == "SLES12-Updates" })
	if at < 0 || !slices.Equal(list[at].URLs, []string{url}) || list[at].Enabled || list[at].Unchecked || list[at].Priority != 90 || list[at].Name != "SLES12 Updates" {
		t.Errorf("%+v", list)
	}
	if err := l.RemoveRepositories("SLES12-Updates", "old"); err != nil {
		t.Fatal(err)
	}
	if list, _ = l.Repositories(); len(list) != 1 || list[0].Alias != "new" || !list[0].Unchecked {
		t.Errorf("%+v", list)
	}
	if err := l.EnableRepositories("--help"); err == nil {
		t.Error("an option was taken for an alias")
	}
	if _, err := l.call(ctx, nil, "addlock", "kdm"); err != nil {
		t.Fatal(err)
	}
	if locks, err := l.Locks(); err != nil || !slices.Equal(locks, []string{"kdm"}) {
		t.Errorf("locks: %q, %v", locks, err)
	}
}

// What is planned apart leaves the root's own repositories and caches alone.
func TestApart(t *testing.T) {
	t.Parallel()
	l, ctx := build(t), t.Context()
	z, err := New(Options{Root: l.root, Dir: t.TempDir(), Apart: filepath.Join(t.TempDir(), "apart")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = z.Forget() })
	if err := z.Offer([]Repository{{Alias: "next", Name: "Next one", URLs: []string{"file://" + l.new}, Enabled: true, Unchecked: true}}); err != nil {
		t.Fatal(err)
	}
	before := fingerprint(t, l.root)
	if _, err := z.Refresh(ctx, false); err != nil {
		t.Fatal(err)
	}
	for _, f := range []func(context.Context, Terms) (*Result, error){z.Simulate, z.Fetch} {
		if _, err := f(ctx, Terms{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := z.Packages(ctx); err != nil {
		t.Fatal(err)
	}
	if after := fingerprint(t, l.root); after != before {
		t.Errorf("the root has changed: before\n%safter\n%s", before, after)
	}
	if orphans, err := z.Orphans(ctx); err != nil || strings.Join(orphans, " ") != "acme-tool-1-1.x86_64" {
		t.Errorf("orphans: %q, %v", orphans, err)
	}
	if _, err := z.Upgrade(ctx, Terms{}); err != nil {
		t.Fatal(err)
	}
	if got := l.set(t); got != newSet {
		t.Errorf("installed: %s", got)
	}
	if err := z.Offer([]Repository{{Alias: "x", URLs: []string{"http://x\n[evil]"}}}); err == nil {
		t.Error("an address with a second section was taken")
	}
}

// fingerprint is everything of a root but for /run and the index that readers of the
// package database share.
func fingerprint(t *testing.T, root string) string {
	t.Helper()
	const each = `find . -path ./run -prune -o -name '*.sqlite-shm' -prune -o -printf '%p %y %m %U %G %s %T@ %l ' -type f -exec sh -c 'sha256sum <"$1"' sh {} ';' -o -printf '\n' | sort`
	cmd := exec.Command("sh", "-c", each)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestParseRepositories(t *testing.T) {
	t.Parallel()
	list, err := ParseRepositories([]byte("# hand made\nstray=1\n[a]\nname = One \nbaseurl=http://one/$releasever/\n   http://two/\nenabled=0\ngpgcheck=0\n" +
		"[b]\r\nbaseurl=ftp://b\r\ngpgcheck=0\r\nrepo_gpgcheck=1\r\nautorefresh=1\r\npriority=7\r\ngpgkey=http://k\r\nservice=nu\r\njunk\r\nmirrorlist=http://m\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(list)
	want := `[{"alias":"a","name":"One","urls":["http://one/$releasever/","http://two/"],"enabled":false,"autorefresh":false,"unchecked":true},` +
		`{"alias":"b","urls":["ftp://b"],"mirror_list":"http://m","enabled":true,"autorefresh":true,"priority":7,"keys":["http://k"],"service":"nu"}]`
	if string(got) != want {
		t.Errorf("%s", got)
	}
}

func TestReadToleratesWhatComes(t *testing.T) {
	t.Parallel()
	r, err := read([]byte("<?xml version='1.0'?>\n<stream>\n<message type=\"error\">bad \x01\xff byte</message>\n<install-summary download-size=\"5\"><to-remove><solvable type=\"package\" name=\"x\" edition=\"1-1\" arch=\"noarch\"/>"))
	if r == nil || len(r.Messages) != 1 || r.Messages[0].Text != "bad ? byte" || r.Transaction == nil || len(r.Transaction.Remove) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = read([]byte(`<stream><message type="error">error: %prein(foo-2-1.noarch) scriptlet failed, exit status 1
error: foo-2-1.noarch: install failed</message><message type="warning">bar-1-1.noarch.rpm %posttrans script failed (returned 7)</message></stream>`))
	if err != nil || len(r.Scriptlets) != 2 || r.Scriptlets[0].Phase != "pre" || r.Scriptlets[1].Package != "bar-1-1.noarch" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSolverProblems(t *testing.T) {
	t.Parallel()
	l := build(t)
	dir := l.copied(t)
	for _, name := range []string{"libapr"} {
		if err := os.Remove(rpm(t, dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	run(t, nil, "createrepo_c", "-q", "--general-compress-type=gz", dir)
	l.use(t, dir)
	if _, err := l.call(t.Context(), nil, "addlock", "sles-release"); err != nil {
		t.Fatal(err)
	}
	_, err := l.Simulate(t.Context(), Terms{})
	if code, _ := Code(err); code != ExitZypp || !strings.Contains(err.Error(), "libapr") {
		t.Errorf("%v", err)
	}
	if code, _ := Code(err); Complete(code) {
		t.Error("that is complete?")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("<stream><message type='warning'>a %post script failed (returned 1)</message></stream>"))
	f.Add([]byte("<stream><install-summary download-size='1'><to-install><solvable name='a'/></to-install></install-summary></stream>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := read(data)
		if r == nil {
			t.Fatalf("nothing: %v", err)
		}
		_ = r.Said()
	})
}

func FuzzParseRepositories(f *testing.F) {
	f.Add([]byte("[a]\nbaseurl=http://x\n y\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseRepositories(data)
		if err == nil && len(list) > maxRepositories {
			t.Fatal(len(list))
		}
	})
}
