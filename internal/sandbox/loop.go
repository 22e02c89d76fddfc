package sandbox

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// attach binds the image to a free loop device that clears itself when its last
// user, the mount, is gone. The caller closes the device after mounting. The
// image carries a flock that the kernel's loop driver shares, because it keeps
// the same open file: imageFree sees by it whether a device still uses it.
func attach(image string) (device *os.File, err error) {
	back, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer back.Close()
	if err := retryBusy(func() error { return unix.Flock(int(back.Fd()), unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
		return nil, fmt.Errorf("%s is in use by another loop device: %w", image, err)
	}
	if err := node("/dev/loop-control", 10, 237); err != nil {
		return nil, err
	}
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("loop devices: %w", err)
	}
	defer control.Close()
	for {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a free loop device: %w", err)
		}
		path := fmt.Sprintf("/dev/loop%d", n)
		if err := node(path, 7, uint32(n)); err != nil {
			return nil, err
		}
		device, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("loop device: %w", err)
		}
		err = unix.IoctlSetInt(int(device.Fd()), unix.LOOP_SET_FD, int(back.Fd()))
		if errors.Is(err, unix.EBUSY) {
			device.Close() // another process was faster
			continue
		}
		if err == nil {
			info := unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}
			copy(info.File_name[:len(info.File_name)-1], image)
			if err = unix.IoctlLoopSetStatus64(int(device.Fd()), &info); err != nil {
				_ = unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0)
			}
		}
		if err != nil {
			device.Close()
			return nil, fmt.Errorf("attach %s to %s: %w", image, path, err)
		}
		return device, nil
	}
}

// imageFree tells whether no loop device uses the image.
func imageFree(image string) (bool, error) {
	f, err := os.OpenFile(image, os.O_RDONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// node makes a device node that is missing: the small /dev of a sandbox has no
// loop devices until a nested one asks.
func node(path string, major, minor uint32) error {
	kind := uint32(unix.S_IFBLK)
	if major == 10 {
		kind = unix.S_IFCHR
	}
	err := unix.Mknod(path, kind|0o600, int(unix.Mkdev(major, minor)))
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make device %s: %w", path, err)
	}
	return nil
}

// retryBusy repeats what the kernel refuses while it still takes down the
// namespace of an init that was just killed.
func retryBusy(f func() error) error {
	var err error
	for range 500 {
		if err = f(); !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}
