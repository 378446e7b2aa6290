package cache

// Cred is who makes a call.
type Cred struct {
	UID, GID uint32
	PID      uint32 // 0 when it is not known here
	Umask    uint32 // with which it makes something
	KillSuid bool   // it may not keep setuid and setgid of what it writes or truncates
}

// in tells whether the caller is root or a member of a group. The kernel tells only one of
// a process's groups; the others are looked up.
func (c Cred) in(gid uint32) bool {
	if c.UID == 0 || c.GID == gid {
		return true
	}
	if c.PID == 0 {
		return false
	}
	return memberOf(c.PID, gid)
}

// killed is a file's mode after a write, truncate or chown that clears setuid. setgid goes too
// where the group may execute, or where the caller is not of the group (setattr_should_drop_sgid
// in the kernel's fs/attr.c).
func (c Cred) killed(mode, group uint32) uint32 {
	mode &^= 0o4000
	if mode&0o2000 != 0 && (mode&0o010 != 0 || !c.in(group)) {
		mode &^= 0o2000
	}
	return mode
}
