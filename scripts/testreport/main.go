// Command testreport runs the tests, then every fuzz target for a short time,
// and reports them together. `make test` calls it; it is never shipped.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/testreport"
)

func main() {
	tool := flag.String("go", "go", "the go `command`")
	timeout := flag.Duration("timeout", 40*time.Minute, "`limit` for the tests of one package")
	fuzz := flag.Duration("fuzz", 0, "run each fuzz target for this `time`; 0 runs none")
	onlyFuzz := flag.Bool("only-fuzz", false, "run no tests but the fuzz targets")
	flag.Parse()
	packages := flag.Args()
	if len(packages) == 0 {
		packages = []string{"./..."}
	}

	// An interrupt reaches the tests from the terminal; they end, and the
	// report of what there is follows.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	report := testreport.New(os.Stdout, "")
	go report.Watch(ctx, 30*time.Second)
	if !*onlyFuzz {
		args := append([]string{"test", "-json", "-count=1", "-timeout", timeout.String()}, packages...)
		goTest(report, *tool, args)
	}
	if *fuzz > 0 && len(interrupts) == 0 {
		runFuzz(report, *tool, *fuzz, interrupts)
	}
	report.Summarize()
	if report.Failed() {
		os.Exit(1)
	}
}

func runFuzz(report *testreport.Report, tool string, each time.Duration, interrupts <-chan os.Signal) {
	targets, err := testreport.Targets(os.DirFS("."))
	if err != nil {
		report.Fail("fuzz", err.Error())
		return
	}
	if len(targets) > 0 {
		fmt.Printf("fuzzing %d targets for %s each\n", len(targets), each)
	}
	// A target has one processor and its neighbours the others: what takes longest
	// in a short run, linking and beginning, takes one processor anyway.
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for _, target := range targets {
		group.Go(func() error {
			if len(interrupts) == 0 {
				report.Add(fuzzOne(tool, target, each))
			}
			return nil
		})
	}
	_ = group.Wait()
}

func fuzzOne(tool string, target testreport.Target, each time.Duration) *testreport.Report {
	args := []string{
		"test", "-json", "-run", "^$", "-fuzz", "^" + target.Name + "$", "-parallel", "1",
		// Making every interesting input smaller would take up a short run.
		"-fuzztime", each.String(), "-fuzzminimizetime", "10x", target.Package,
	}
	one := testreport.New(os.Stdout, target.Name)
	goTest(one, tool, args)
	if one.Deadline() {
		fmt.Printf("     %s %s ran out of time while it ended; once more\n", target.Package, target.Name)
		one = testreport.New(os.Stdout, target.Name)
		goTest(one, tool, args)
	}
	return one
}

// goTest runs one go test -json and reads its events into the report.
func goTest(report *testreport.Report, tool string, args []string) {
	cmd := exec.Command(tool, args...)
	cmd.Stderr = os.Stderr
	name := strings.Join(append([]string{tool}, args...), " ")
	events, err := cmd.StdoutPipe()
	if err != nil {
		report.Fail(name, err.Error())
		return
	}
	if err := cmd.Start(); err != nil {
		report.Fail(name, err.Error())
		return
	}
	read := report.Read(events)
	if err := errors.Join(read, cmd.Wait()); err != nil && !report.Failed() {
		report.Fail(name, err.Error())
	}
}
