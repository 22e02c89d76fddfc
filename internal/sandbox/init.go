package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"
)

const (
	initName    = "lifeboat-sandbox-init"
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	insidePath  = shimDir + ":" + defaultPath
	startRetry  = 20 * time.Millisecond
	stopGrace   = 20 * time.Second // for the shutdown program and again for processes
)

// What an init does on a signal follows systemd's numbers (SIGRTMIN is 34), so
// that programs which talk to a real init this way are understood.
const (
	sigHalt     = syscall.Signal(34 + 3)
	sigPoweroff = syscall.Signal(34 + 4)
	sigReboot   = syscall.Signal(34 + 5)
)

// shims are the commands a sandbox provides in front of PATH.
var shims = map[string]Ending{"reboot": Reboot, "poweroff": Poweroff, "halt": Poweroff, "shutdown": Poweroff}

// Init must be the first call in main. It returns at once in an ordinary
// process and never in a sandbox's init or its reboot and shutdown commands.
func Init() {
	if os.Args[0] == initName && os.Getpid() == 1 {
		os.Exit(runInit())
	}
	if how, ok := shims[path.Base(os.Args[0])]; ok && path.Dir(os.Args[0]) == shimDir || calledAs(os.Args[0]) {
		if path.Base(os.Args[0]) == "shutdown" {
			how = shutdownMeans(os.Args[1:])
		}
		if err := End(how); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// calledAs tells whether a bare command name was found in the shim directory:
// a shell passes the name as typed, and the executable is the init's.
func calledAs(name string) bool {
	if _, ok := shims[name]; !ok {
		return false
	}
	_, err := os.Lstat(filepath.Join(shimDir, name))
	return err == nil
}

// shutdownMeans reads shutdown(8)'s options: -r reboots, -c cancels nothing here.
func shutdownMeans(args []string) Ending {
	for _, a := range args {
		if strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && strings.Contains(a, "r") || a == "--reboot" {
			return Reboot
		}
	}
	return Poweroff
}

// End asks the init of the sandbox that this process runs in to go down.
func End(how Ending) error {
	if _, err := os.Stat(depthFile); err != nil {
		return fmt.Errorf("not inside a sandbox: %w", err)
	}
	sig := sigPoweroff
	if how == Reboot {
		sig = sigReboot
	}
	if err := syscall.Kill(1, sig); err != nil {
		return fmt.Errorf("signal init: %w", err)
	}
	return nil
}

func runInit() int {
	report := os.NewFile(4, "report")
	syscall.CloseOnExec(3)
	syscall.CloseOnExec(4)
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT, syscall.SIGPWR, sigHalt, sigPoweroff, sigReboot)
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	p := &initProcess{signals: signals}
	err := p.boot(os.NewFile(3, "order"))
	answer := bootReport{}
	if err != nil {
		answer.Error = err.Error()
	}
	_ = json.NewEncoder(report).Encode(answer)
	report.Close()
	if err == nil && p.asked == nil {
		p.serve()
	}
	return p.end()
}

// initProcess is the state of a sandbox's PID 1.
type initProcess struct {
	signals chan os.Signal
	options Options
	ending  *os.File // DIR/ending, opened while it could be seen
	lock    *flock.Flock
	asked   os.Signal // what ends the sandbox
	held    chan struct{}
}

func (p *initProcess) boot(orders io.Reader) error {
	var order bootOrder
	if err := json.NewDecoder(orders).Decode(&order); err != nil {
		return fmt.Errorf("read the start order: %w", err)
	}
	p.options = order.Record.Options
	dir := p.options.Dir
	p.lock = flock.New(filepath.Join(dir, "init.lock"))
	// Start has made sure that no other init lives; one that asks may hold it for a moment.
	if err := retryBusy(func() error {
		ok, err := p.lock.TryLock()
		if err == nil && !ok {
			err = syscall.EBUSY
		}
		return err
	}); err != nil {
		return errors.Join(ErrRunning, err)
	}
	var err error
	if p.ending, err = os.OpenFile(filepath.Join(dir, "ending"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	syscall.Umask(0o022)
	root, err := order.Record.assemble(order.BootID)
	if err != nil {
		return err
	}
	if err := enter(root); err != nil {
		return err
	}
	if err := network(p.options.Interfaces); err != nil {
		return err
	}
	// The file inside is the truth from the first boot on: an administrator may have changed it.
	name := p.options.Hostname
	if raw, err := os.ReadFile("/etc/hostname"); err == nil && strings.TrimSpace(string(raw)) != "" {
		name = strings.TrimSpace(string(raw))
	}
	if name != "" {
		if err := unix.Sethostname([]byte(name)); err != nil {
			return fmt.Errorf("host name %s: %w", name, err)
		}
	}
	p.held = make(chan struct{})
	if order.Held {
		syscall.CloseOnExec(5)
		go func() {
			_, _ = io.Copy(io.Discard, os.NewFile(5, "parent"))
			close(p.held)
		}()
	}
	if len(p.options.Boot) == 0 {
		return nil
	}
	code, err := p.run(p.options.Boot, 0)
	if err == nil && code != 0 && p.asked == nil {
		err = fmt.Errorf("the boot program %s ended with exit code %d", p.options.Boot[0], code)
	}
	return err
}

// run starts a program and serves as init until it has ended, or for at most
// limit when that is not 0. No os/exec here: PID 1 reaps everybody's children.
func (p *initProcess) run(args []string, limit time.Duration) (code int, err error) {
	env := []string{"PATH=" + insidePath, "HOME=/root", "LANG=C.UTF-8", "TERM=dumb"}
	var pid int
	err = onThread(func() (err error) {
		if err = dropCapabilities(); err == nil {
			pid, err = syscall.ForkExec(args[0], args, &syscall.ProcAttr{
				Dir: "/", Env: env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true},
			})
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("run %s: %w", args[0], err)
	}
	var late <-chan time.Time
	if limit > 0 {
		late = time.After(limit)
	}
	for {
		if status, ended := reap(pid); ended {
			return status.ExitStatus(), nil
		}
		select {
		case sig := <-p.signals:
			if sig != syscall.SIGCHLD && limit == 0 {
				p.asked = sig // told to go down while booting
				return 0, nil
			}
		case <-late:
			return 0, fmt.Errorf("%s did not end in %v", args[0], limit)
		}
	}
}

// reap collects every dead child and tells whether pid was among them.
func reap(pid int) (status syscall.WaitStatus, ended bool) {
	for {
		var st syscall.WaitStatus
		got, err := syscall.Wait4(-1, &st, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || got <= 0 {
			return status, ended
		}
		if got == pid {
			status, ended = st, true
		}
	}
}

// serve is an init's life: reap until told to end.
func (p *initProcess) serve() {
	for {
		reap(0)
		select {
		case sig := <-p.signals:
			if sig != syscall.SIGCHLD {
				p.asked = sig
				return
			}
		case <-p.held:
			p.asked = syscall.SIGKILL // nobody waits for an orderly end any more
			return
		}
	}
}

// end takes the sandbox down: shutdown program, SIGTERM, SIGKILL.
func (p *initProcess) end() int {
	if p.options.Dir == "" || p.ending == nil {
		return 1 // never got up
	}
	if p.asked != syscall.SIGKILL {
		how := Poweroff
		if p.asked == sigReboot || p.asked == syscall.SIGINT { // SIGINT: ctrl-alt-del, kernel manual
			how = Reboot
		}
		if _, err := p.ending.WriteString(string(how)); err != nil {
			fmt.Fprintln(os.Stderr, "record the ending:", err)
		}
		if len(p.options.Shutdown) > 0 {
			if _, err := p.run(p.options.Shutdown, stopGrace); err != nil {
				fmt.Fprintln(os.Stderr, "shutdown:", err)
			}
		}
		_ = syscall.Kill(-1, syscall.SIGTERM)
		for deadline := time.Now().Add(stopGrace); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			reap(0)
			if errors.Is(syscall.Kill(-1, 0), syscall.ESRCH) {
				break
			}
		}
	}
	_ = syscall.Kill(-1, syscall.SIGKILL)
	syscall.Sync()
	return 0
}

// dropCapabilities takes from the calling thread, for what it starts, what no
// program inside has business with: the machine's clock, modules and raw ports.
func dropCapabilities() error {
	for _, c := range []uintptr{unix.CAP_SYS_MODULE, unix.CAP_SYS_TIME, unix.CAP_SYS_RAWIO} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	return nil
}

// onThread calls f on a thread that is thrown away afterwards, because f
// changes it for good.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// Go never ends the first thread; it would stay in the namespaces
			// and keep them alive. While it is held here, f runs on another.
			done <- onThread(f)
			runtime.UnlockOSThread()
			return
		}
		done <- f() // not unlocked: the thread ends with this goroutine
	}()
	return <-done
}
