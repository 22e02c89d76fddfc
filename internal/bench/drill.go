package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"lifeboat/internal/drill"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
)

// Drill compares the RTO that a drill measures with what the real recovery of the same
// server from the same point takes. Both go on inside one lab system, one after the other.
// It needs root.
type Drill struct {
	Dir     string // for everything; it must not hold a lab system yet
	Program string // lifeboat
	Lab     string // lab
	TreeMB  int    // of the package tree, in 10⁶ bytes
	Files   int
	Runs    int
	Log     io.Writer
}

// The goal: a drill's RTO differs from the real one's by at most so much.
const drillGoal = 0.25

// lose takes away what a recovery brings back. SMT itself stays installed.
const lose = `set -e
systemctl stop smt.target apache2 cron
rm -rf /srv/www/htdocs/repo /var/lib/CAM/YaST_Default_CA
mysql -e 'DROP DATABASE smt; CREATE DATABASE smt'
sync
`

// withTree has the package tree protected, too.
const withTree = `s/^\( *\)profile: smt$/&\n\1components: {package-tree: true}/`

// Run measures both, round by round, and returns the table as Markdown.
func (d Drill) Run(ctx context.Context) (table string, err error) {
	shared, system := filepath.Join(d.Dir, "shared"), filepath.Join(d.Dir, "smt")
	if err := os.MkdirAll(shared, 0o700); err != nil {
		return "", err
	}
	corpus, err := Build(filepath.Join(d.Dir, "source"), Size{TreeMB: d.TreeMB, Files: d.Files})
	if err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, d.Lab, "build", "smt", system, "--lifeboat", d.Program, "--share", shared+":/backup", "--share", corpus.Root()+":/corpus")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w: %s", err, out)
	}
	defer func() {
		out, destroyErr := exec.Command(d.Lab, "destroy", system).CombinedOutput()
		if destroyErr != nil {
			destroyErr = fmt.Errorf("remove the server: %w: %s", destroyErr, out)
		}
		err = errors.Join(err, destroyErr, os.RemoveAll(shared))
	}()
	// What a fresh server still has to do would be done by the recovery alone.
	if _, err := d.on(ctx, system, 0, "sh", "-c", "zypper --non-interactive patch || [ $? -eq 102 ]"); err != nil {
		return "", err
	}
	if out, err := exec.CommandContext(ctx, d.Lab, "reboot", system).CombinedOutput(); err != nil {
		return "", fmt.Errorf("restart the server: %w: %s", err, out)
	}
	for _, command := range [][]string{
		{"sh", "-c", "cp -a /corpus/tree /srv/www/htdocs/repo/corpus && chown -R smt:www /srv/www/htdocs/repo"},
		{"lifeboat", "init", "--repository", "/backup/repository"},
		{"sed", "-i", withTree, "/etc/lifeboat/lifeboat.yaml"},
		{"lifeboat", "backup"},
	} {
		if _, err := d.on(ctx, system, 0, command...); err != nil {
			return "", err
		}
	}
	var drills, recoveries []time.Duration
	for range d.Runs {
		rehearsed, err := d.rehearse(ctx, system)
		if err != nil {
			return "", err
		}
		recovered, err := d.recover(ctx, system)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(d.Log, "drill %6.1f s, recovery %6.1f s\n", rehearsed.Seconds(), recovered.Seconds())
		drills, recoveries = append(drills, rehearsed), append(recoveries, recovered)
	}
	return drillTable(drills, recoveries), nil
}

// rehearse returns the RTO that a drill reports.
func (d Drill) rehearse(ctx context.Context, system string) (time.Duration, error) {
	Cool()
	out, err := d.on(ctx, system, 0, "lifeboat", "--json", "drill", "smt", "--no-store")
	if err != nil {
		return 0, err
	}
	var report drill.Report
	if err := lastLine(out, &report); err != nil {
		return 0, err
	}
	if report.State != drill.Passed {
		return 0, fmt.Errorf("the drill has %s: %q", report.State, report.Findings)
	}
	return report.RTO, nil
}

// recover loses what the point has, and returns how long the recovery acted: the time in
// which a client is waited for does not count, for a drill has none.
func (d Drill) recover(ctx context.Context, system string) (time.Duration, error) {
	if _, err := d.on(ctx, system, 0, "sh", "-c", lose); err != nil {
		return 0, err
	}
	Cool()
	if _, err := d.on(ctx, system, runbook.ExitWaiting, "lifeboat", "--json", "recover", "smt", "--yes"); err != nil {
		return 0, err
	}
	refresh := exec.CommandContext(ctx, d.Lab, "refresh", system, "--as", filepath.Join(system, "client.json"))
	if out, err := refresh.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("a client does not reach the recovered server: %w: %s", err, out)
	}
	out, err := d.on(ctx, system, 0, "lifeboat", "--json", "recover", "smt", "--resume")
	if err != nil {
		return 0, err
	}
	var report recovery.Report
	if err := lastLine(out, &report); err != nil {
		return 0, err
	}
	if report.RTO == 0 || report.Active == 0 {
		return 0, fmt.Errorf("the recovery is %s", report.State)
	}
	// Whoever restores less is quicker.
	_, err = d.on(ctx, system, 0, "diff", "--recursive", "--no-dereference", "/corpus/tree", "/srv/www/htdocs/repo/corpus")
	return report.Active, err
}

// lastLine reads what a verb with --json tells at last.
func lastLine(out []byte, into any) error {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], into); err != nil {
		return fmt.Errorf("read the report: %w", err)
	}
	return nil
}

// on runs a command inside the system, which must end with exactly this code.
func (d Drill) on(ctx context.Context, system string, code int, command ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, d.Lab, append([]string{"exec", system, "--"}, command...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		return nil, fmt.Errorf("%q: %w: %s%s", command, errors.Join(err, fmt.Errorf("exit code %d is wanted", code)), said.String(), tailOf(out))
	}
	return out, nil
}

// tailOf is the end of what a program has printed.
func tailOf(out []byte) []byte { return out[max(0, len(out)-2000):] }

// drillTable is both with their ratio.
func drillTable(drills, recoveries []time.Duration) string {
	of := func(list []time.Duration) float64 {
		samples := make([]Sample, len(list))
		for i, took := range list {
			samples[i].Wall = took
		}
		return Median(samples).Wall.Seconds()
	}
	a, b := of(drills), of(recoveries)
	return fmt.Sprintf("| drill, s | recovery, s | drill / recovery | goal |\n|--:|--:|--:|---|\n| %.1f | %.1f | %.2f | %.2f to %.2f |\n", a, b, a/b, 1-drillGoal, 1+drillGoal)
}
