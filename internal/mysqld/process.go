package mysqld

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
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
