package upgrade

import (
	"context"
	"encoding/xml"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/lab/sles"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/preflight"
	"lifeboat/internal/zypper"
)

// What the lab's SLES 12 SP1 has after the upgrade.
const wanted = "acme-agent-2.0-1 apache2-2.4.16-6.1 bash-4.2-81.1 filesystem-13.1-12.1 gdm-3.10.0.1-29.2 gnome-session-3.10.1-13.2 grub2-2.02~beta2-73.3 " +
	"kernel-default-3.12.49-11.1 libicu55-55.1-2.1 libopenssl1_0_0-1.0.1i-34.1 mariadb-10.0.21-1.15 openssh-6.6p1-33.1 postgresql94-9.4.4-1.5 " +
	"sles-release-12.1-1.331 zypper-migration-plugin-0.4-1.1"

const (
	oldRepositories = "SLES12-GA-Pool SLES12-GA-Updates acme"
	newRepositories = "SLES12-SP1-Pool SLES12-SP1-Updates"
)

// The plan says what zypper's own XML says, and a package of another vendor is removed
// only when that was accepted.
func TestAcceptance03PlanIsZyppersOwn(t *testing.T) {
	t.Parallel()
	s := at(t, sles.SLES12)
	delete(s.req.Accept, "third-party-removed")
	before := s.fingerprint()
	run, err := s.start()
	if runbook.ExitCode(run, err) != runbook.ExitRefused || !strings.Contains(err.Error(), "third-party-removed") || !strings.Contains(err.Error(), "acme-backup") {
		t.Fatalf("%v\n%s", err, steps(run))
	}
	s.same(before)
	if report := readJSON[preflight.Report](t, run, reportName); !report.Inhibited {
		t.Error("the report says nothing of it")
	}
	got := readJSON[zypper.Transaction](t, run, transactionName)
	compareXML(t, s, got)

	// Whoever accepts it may go on with the same run.
	if err := s.req.Accept.Add("third-party-removed=acme-backup"); err != nil {
		t.Fatal(err)
	}
	s.req.Unrehearsed = true
	if run, err = s.start(); err != nil {
		t.Fatalf("%v\n%s", err, steps(run))
	}
}

// compareXML asks zypper on a copy of the root whose repositories were switched by hand.
func compareXML(t *testing.T, s *site, got zypper.Transaction) {
	t.Helper()
	other := *s.lab
	other.Root = filepath.Join(t.TempDir(), "root")
	if out, err := exec.Command("cp", "-a", s.lab.Root, other.Root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, r := range append(s.lab.Source, s.lab.Acme) {
		zypperDo(t, &other, "modifyrepo", "--disable", r.Alias)
	}
	for _, r := range s.lab.Target {
		zypperDo(t, &other, "addrepo", r.URL, r.Alias)
	}
	zypperDo(t, &other, "refresh")
	out := zypperDo(t, &other, "--xmlout", "dist-upgrade", "--no-recommends", "--no-allow-vendor-change", "--dry-run")
	var said struct {
		Summary struct {
			Download int64 `xml:"download-size,attr"`
			Packages int   `xml:"packages-to-change,attr"`
			Upgrade  []sol `xml:"to-upgrade>solvable"`
			Install  []sol `xml:"to-install>solvable"`
			Remove   []sol `xml:"to-remove>solvable"`
			Down     []sol `xml:"to-downgrade>solvable"`
		} `xml:"install-summary"`
	}
	if err := xml.Unmarshal([]byte(out), &said); err != nil {
		t.Fatal(err)
	}
	for _, list := range []struct {
		what string
		want []sol
		got  []zypper.Change
	}{
		{"upgraded", said.Summary.Upgrade, got.Upgrade},
		{"new", said.Summary.Install, got.Install},
		{"removed", said.Summary.Remove, got.Remove},
		{"downgraded", said.Summary.Down, got.Downgrade},
	} {
		var have []sol
		for _, c := range list.got {
			have = append(have, sol{c.Kind, c.Name, c.Edition, c.EditionOld, c.Arch})
		}
		if !slices.Equal(have, list.want) {
			t.Errorf("%s: %v, and zypper says %v", list.what, have, list.want)
		}
	}
	if len(got.Upgrade) == 0 || len(got.Remove) == 0 || got.Packages != said.Summary.Packages || got.Download != said.Summary.Download {
		t.Errorf("%d packages, %d bytes; zypper says %d, %d", got.Packages, got.Download, said.Summary.Packages, said.Summary.Download)
	}
}

type sol struct {
	Kind string `xml:"type,attr"`
	Name string `xml:"name,attr"`
	New  string `xml:"edition,attr"`
	Old  string `xml:"edition-old,attr"`
	Arch string `xml:"arch,attr"`
}

func zypperDo(t *testing.T, lab *sles.Lab, args ...string) string {
	t.Helper()
	out, err := lab.Zypper(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What only the packages themselves tell stops the upgrade while nothing has changed.
func TestAcceptance04StoppedBeforeThePointOfNoReturn(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{sles.FaultMissing, sles.FaultCorrupt, sles.FaultConflict} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := at(t, sles.SLES12, fault)
			before := s.fingerprint()
			run, err := s.start()
			var step *runbook.StepError
			if !errors.As(err, &step) || step.Step != "fetch" || Changed(run) || runbook.ExitCode(run, err) != runbook.ExitFailed {
				t.Errorf("%v\n%s", err, steps(run))
			}
			s.same(before)
		})
	}
}

// A script that fails is found in the rehearsal.
func TestAcceptance05RehearsalFindsScripts(t *testing.T) {
	t.Parallel()
	s := at(t, sles.SLES12, sles.FaultPre)
	before := s.fingerprint()
	run, err := s.start()
	var step *runbook.StepError
	if !errors.As(err, &step) || step.Step != "rehearse" || !strings.Contains(err.Error(), "apache2") || Changed(run) {
		t.Errorf("%v\n%s", err, steps(run))
	}
	s.same(before)
	if left, _ := filepath.Glob(filepath.Join(run.Dir, "rehearsal", "*")); len(left) > 0 {
		t.Errorf("the sandbox has left %v", left)
	}
}

// Without a rehearsal the same is taken back, to the last byte.
func TestAcceptance06TakenBack(t *testing.T) {
	t.Parallel()
	s := at(t, sles.SLES12, sles.FaultPre)
	s.req.Unrehearsed = true
	before := s.fingerprint()
	run, err := s.start()
	var back *TakenBackError
	if !errors.As(err, &back) || run.State != runbook.StateRolledBack || runbook.ExitCode(run, err) != runbook.ExitFailed {
		t.Fatalf("%v\n%s", err, steps(run))
	}
	if run.Step(stepUpgrade).State != runbook.StepStateUndone {
		t.Errorf("the upgrade itself was not reached\n%s", steps(run))
	}
	s.same(before)
	if on := s.enabled(); on != oldRepositories {
		t.Errorf("package repositories that are on: %s", on)
	}
}

// Scripts that fail with all packages in place are told, however zypper ends, and the
// policy says what follows.
func TestAcceptance07Scripts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault, phase string
		policy       Policy
		unrehearsed  bool
		ends         runbook.State
	}{
		{sles.FaultPost, "%post of openssh", Stop, false, runbook.StateFailed},
		{sles.FaultPost, "%post of openssh", Warn, true, runbook.StateWarnings},
		{sles.FaultPosttrans, "%posttrans of mariadb", Stop, true, runbook.StateRolledBack},
		{sles.FaultPosttrans, "%posttrans of mariadb", Warn, false, runbook.StateWarnings},
	} {
		t.Run(test.fault+" "+string(test.policy), func(t *testing.T) {
			t.Parallel()
			s := at(t, sles.SLES12, test.fault)
			s.req.Scripts, s.req.Unrehearsed = test.policy, test.unrehearsed
			before := s.fingerprint()
			run, err := s.start()
			if run.State != test.ends {
				t.Fatalf("%s: %v\n%s", run.State, err, steps(run))
			}
			if test.policy == Stop {
				s.same(before)
				if !strings.Contains(err.Error(), test.phase) {
					t.Errorf("%v", err)
				}
				return
			}
			told := slices.ContainsFunc(run.Warnings, func(w runbook.Warning) bool {
				return strings.Contains(w.Text, test.phase) && strings.Contains(w.Text, "the upgrade")
			})
			if !told || runbook.ExitCode(run, err) != runbook.ExitWarnings {
				t.Errorf("%v\n%s", err, steps(run))
			}
			if got := strings.Join(s.packages(), " "); !strings.Contains(got, "sles-release-12.1-1.331") {
				t.Errorf("installed: %s", got)
			}
		})
	}
}

func TestAcceptance09GoodRun(t *testing.T) {
	t.Parallel()
	s := at(t, sles.SLES12)
	run := s.must()
	if run.State != runbook.StateDone && run.State != runbook.StateWarnings {
		t.Errorf("%s\n%s", run.State, steps(run))
	}
	if got := strings.Join(s.packages(), " "); got != wanted {
		t.Errorf("installed: %s", got)
	}
	if out, err := s.lab.RPM(t.Context(), "-Va", "--nofiles"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if on := s.enabled(); on != newRepositories {
		t.Errorf("package repositories that are on: %s", on)
	}
	out := readJSON[Outcome](t, run, outcomeName)
	if out.Release != "SLES 12 SP1" || !slices.Equal(out.Orphans, []string{"acme-agent-2.0-1.noarch"}) || !slices.Contains(out.Beside, "/etc/apache2/httpd.conf.rpmnew") {
		t.Errorf("%+v", out)
	}
	for _, alias := range strings.Fields(oldRepositories) {
		if !slices.Contains(out.Off, alias) {
			t.Errorf("%s is not among those that are off: %v", alias, out.Off)
		}
	}
	if z, _ := s.upgrade().zypper(context.Background(), true); z != nil {
		if left, _ := filepath.Glob(filepath.Join(s.lab.Root, z.Volatile())); len(left) > 0 {
			t.Errorf("left in the root: %v", left)
		}
	}

	// The way back is there as long as nobody drops it.
	back, err := s.upgrade().Rollback(t.Context(), s.engine(), run)
	if err != nil || back.State != runbook.StateRolledBack {
		t.Fatalf("%v\n%s", err, steps(back))
	}
	if got := s.packages(); !slices.Contains(got, "sles-release-12-6.3") || s.enabled() != oldRepositories {
		t.Errorf("after going back: %v, %s", got, s.enabled())
	}
}

// The running system of SLES 11 SP3 does not become SLES 12.
func TestLiveUpgradeAcrossTheInstallersEdgeIsRefused(t *testing.T) {
	t.Parallel()
	s := at(t, sles.SLES11SP3)
	s.req.Method = "online"
	before := s.fingerprint()
	run, err := s.start()
	if runbook.ExitCode(run, err) != runbook.ExitRefused || Changed(run) {
		t.Errorf("%v\n%s", err, steps(run))
	}
	s.same(before)
}
