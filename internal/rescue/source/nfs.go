package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/host"
	"lifeboat/internal/nfs"
)

const nonblock = syscall.O_NONBLOCK

// patienceNFS is how long a server has for one file.
const patienceNFS = time.Minute

// getNFS reads one file of an NFS server. Version 3 of the protocol needs nothing of
// the machine. A server that has only newer ones, or asks for more, is left to the
// kernel: the directory of the file is mounted, read only, in a mount namespace that
// ends with the thread. Whatever happens, nothing stays mounted, and nobody else sees it.
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
	plain, err := readNFS(ctx, server, where, most)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrLarge) || ctx.Err() != nil {
		return plain, err
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
	if r.err != nil {
		return nil, errors.Join(err, r.err)
	}
	return r.text, nil
}

func readNFS(ctx context.Context, server, where string, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patienceNFS)
	defer cancel()
	client := nfs.Client{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{ControlContext: func(ctx context.Context, network, address string, raw syscall.RawConn) error {
			return nfs.Reserve(ctx, network, address, raw)
		}}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		end, _ := ctx.Deadline()
		return conn, conn.SetDeadline(end)
	}}
	export, err := client.Open(ctx, strings.Trim(server, "[]"), path.Dir(where))
	if err != nil {
		return nil, fmt.Errorf("read %s of %s by NFS version 3: %w", where, server, err)
	}
	defer export.Close()
	file, err := export.Get(path.Base(where))
	var text []byte
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(file, most+1))
	}
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%w: more than %d bytes", ErrLarge, most)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s of %s by NFS version 3: %w", where, server, err)
	}
	return text, nil
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
		return nil, fmt.Errorf("mount %s:%s instead (by mount.nfs of package nfs-common, and untried with NFS version 4; let the server offer version 3, or give the file by https: or file:): %w", server, path.Dir(where), err)
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
