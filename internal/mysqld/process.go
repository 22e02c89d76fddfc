package mysqld

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"lifeboat/internal/scratch"
)

// runAs is the account a server runs under; nil credential is the present one.
type runAs struct {
	name       string
	credential *syscall.Credential
}

// account chooses whom the server runs as: a database server refuses to run as
// root, and a hostile dump must not meet one that does.
func account(opts Options) (*runAs, error) {
	name := opts.User
	if name == "" && os.Geteuid() == 0 {
		name = "mysql"
	}
	if name == "" {
		return &runAs{}, nil
	}
	u, err := opts.Host.User(name)
	if err != nil {
		return nil, err
	}
	if int(u.UID) == os.Geteuid() {
		return &runAs{name: name}, nil
	}
	return &runAs{name: name, credential: &syscall.Credential{Uid: u.UID, Gid: u.GID}}, nil
}

// makeDirs makes directories of mode 0700 that belong to the account.
func (r *runAs) makeDirs(dirs ...string) error {
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if r.credential == nil {
			continue
		}
		if err := os.Chown(dir, int(r.credential.Uid), int(r.credential.Gid)); err != nil {
			return err
		}
	}
	return nil
}

// private makes a directory that the account can reach: an administrator's own
// TMPDIR, like the state directory, often lies below a directory for root alone.
func (r *runAs) private() (*scratch.Dir, error) {
	if r.credential == nil {
		return scratch.Make("")
	}
	for _, place := range scratch.Temporary() {
		if !open(place) {
			continue
		}
		_ = scratch.SweepIn(place, nil) // what cannot be removed keeps nobody
		d, err := scratch.In(place)
		if err != nil {
			return nil, err
		}
		if err := d.Admit(int(r.credential.Gid)); err != nil {
			return nil, errors.Join(err, d.Remove())
		}
		return d, nil
	}
	return nil, fmt.Errorf("user %s can reach none of the temporary directories %v", r.name, scratch.Temporary())
}

// open tells whether everybody may pass through a directory and those above it.
func open(dir string) bool {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == "/" {
			return true
		}
	}
}

func (r *runAs) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: r.credential, Setpgid: true}
}

// spawn starts the server so that the kernel ends it with this process. The
// kernel ties that to the starting thread, not to the process, so one goroutine
// keeps its thread until the server has ended.
func (s *Server) spawn(args []string, run *runAs, durable bool) error {
	cmd := exec.Command(s.program, args...)
	cmd.Dir = s.dir
	cmd.Env = environment()
	cmd.SysProcAttr = run.attributes()
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if durable {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			s.process = cmd.Process
		}
		started <- err
		if err == nil {
			s.err = cmd.Wait()
			close(s.done)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start private database server %s as %s (can that user reach %s?): %w", s.program, whom(run), s.dir, err)
	}
	return nil
}

func whom(run *runAs) string {
	if run.name == "" {
		return "the present user"
	}
	return run.name
}

func environment() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/nonexistent"}
}
