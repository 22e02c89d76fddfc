package host

import "syscall"

// attributes puts a command in a process group of its own, so that it can be
// ended together with its children, or in a session, which is such a group, too;
// and below the machine's root.
func (h *Host) attributes(session bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: !session, Setsid: session}
	if h.root != "/" {
		attr.Chroot = h.root
	}
	return attr
}

func (h *Host) credential(user string) (*syscall.Credential, error) {
	u, err := h.User(user)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: u.UID, Gid: u.GID}, nil
}
