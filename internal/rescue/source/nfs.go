package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/host"
)

const nonblock = syscall.O_NONBLOCK

// getNFS reads one file of an NFS server. The directory of the file is mounted, read
// only, in a mount namespace that ends with the thread: whatever happens, nothing
// stays mounted, and nobody else sees it.
func getNFS(ctx context.Context, target string, most int64) ([]byte, error) {
	server, where, ok := strings.Cut(strings.TrimPrefix(target, "nfs://"), "/")
	where = "/" + where
	if !ok || where == "/" || strings.HasSuffix(where, "/") {
		return nil, fmt.Errorf("%w: %s names no file; one looks like nfs://server/export/file", ErrAddress, excerpt.Line(target, 200))
	}
	// A server's name that mount would take for something else.
	if _, err := label(strings.Trim(server, "[]:")); err != nil && !strings.HasPrefix(server, "[") || strings.HasPrefix(server, "-") {
		return nil, fmt.Errorf("%w: %s is no name of a server", ErrAddress, excerpt.Line(server, 200))
	}
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread, and its namespace, end with this
		text, err := readMounted(ctx, server, where, most)
		done <- result{text, err}
	}()
	r := <-done
	return r.text, r.err
}

func readMounted(ctx context.Context, server, where string, most int64) (text []byte, err error) {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return nil, fmt.Errorf("make a mount namespace for %s (root is needed): %w", server, err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make a mount namespace for %s: %w", server, err)
	}
	dir, err := os.MkdirTemp("", "lifeboat-nfs-")
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", server, err)
	}
	defer func() { err = errors.Join(err, os.Remove(dir)) }()
	// Soft: a server that is gone gives an error instead of a process that hangs.
	err = host.Local().Run(ctx, host.Command{Args: []string{"mount", "-t", "nfs", "-o", "ro,nosuid,nodev,noexec,soft,timeo=100,retrans=3,retry=0", server + ":" + path.Dir(where), dir}})
	if err != nil {
		return nil, fmt.Errorf("mount %s:%s (mount.nfs of package nfs-common is needed): %w", server, path.Dir(where), err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)) }()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	name := filepath.Base(where)
	info, err := root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNoFile
	}
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", where, server, err)
	}
	return readFile(filepath.Join(dir, name), most)
}
