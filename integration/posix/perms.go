package posix

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

var permissionCases = append(append(append(
	errnos("chmod", map[string]way{
		"nothing":         {unix.ENOENT, func(t *T) error { return unix.Chmod(t.at("nothing"), 0o644) }},
		"below a file":    {unix.ENOTDIR, func(t *T) error { return unix.Chmod(t.at("file/f"), 0o644) }},
		"a loop":          {unix.ELOOP, func(t *T) error { return unix.Chmod(t.at("loop"), 0o644) }},
		"a dangling link": {unix.ENOENT, func(t *T) error { return unix.Chmod(t.at("dangling"), 0o644) }},
		"256 bytes":       {unix.ENAMETOOLONG, func(t *T) error { return unix.Chmod(t.at(long(nameMax+1)), 0o644) }},
		"a fifo":          {0, func(t *T) error { return unix.Chmod(t.at("fifo"), 0o600) }},
	}),
	errnos("chown", map[string]way{
		"nothing":       {unix.ENOENT, func(t *T) error { return unix.Chown(t.at("nothing"), -1, -1) }},
		"below a file":  {unix.ENOTDIR, func(t *T) error { return unix.Chown(t.at("file/f"), -1, -1) }},
		"a loop":        {unix.ELOOP, func(t *T) error { return unix.Chown(t.at("loop"), -1, -1) }},
		"to oneself":    {0, func(t *T) error { return unix.Chown(t.at("file"), t.Me.UID, t.Me.GID) }},
		"a loop itself": {0, func(t *T) error { return unix.Lchown(t.at("loop"), t.Me.UID, t.Me.GID) }},
	})...),
	errnos("access", map[string]way{
		"nothing":         {unix.ENOENT, func(t *T) error { return unix.Access(t.at("nothing"), unix.F_OK) }},
		"below a file":    {unix.ENOTDIR, func(t *T) error { return unix.Access(t.at("file/f"), unix.F_OK) }},
		"a dangling link": {unix.ENOENT, func(t *T) error { return unix.Access(t.at("dangling"), unix.F_OK) }},
		"execute":         {unix.EACCES, func(t *T) error { return unix.Access(t.at("file"), unix.X_OK) }},
		"read and write":  {0, func(t *T) error { return unix.Access(t.at("file"), unix.R_OK|unix.W_OK) }},
	})...), []Case{
	{Call: "chmod", Rule: "all bits are kept", Run: func(t *T) {
		for _, mode := range []uint32{0, 0o777, 0o1777, 0o4711, 0o2750, 0o7777, 0o644} {
			for _, n := range []string{"file", "dir", "fifo"} {
				t.errno("chmod", unix.Chmod(t.at(n), mode), 0)
				same(t, n, t.mode(n), mode)
			}
		}
		t.must(unix.Chmod(t.at("dir"), 0o755))
	}},
	{Call: "chmod", Rule: "only by the owner; setgid only in one's group", Root: true, Run: func(t *T) {
		t.as(anna, func() { t.errno("another's", unix.Chmod(t.at("file"), 0o600), unix.EPERM) })
		t.must(unix.Chown(t.at("file"), anna.UID, berta.GID))
		t.as(anna, func() { t.errno("one's own", unix.Chmod(t.at("file"), 0o2755), 0) })
		same(t, "setgid of a strange group", t.mode("file"), 0o755)
		t.must(unix.Chown(t.at("file"), anna.UID, 3000))
		t.as(anna, func() { t.errno("of one's group", unix.Chmod(t.at("file"), 0o2755), 0) })
		same(t, "setgid of one's group", t.mode("file"), 0o2755)
	}},
	{Call: "chown", Rule: "who may give what", Root: true, Run: func(t *T) {
		t.must(unix.Chown(t.at("file"), anna.UID, anna.GID))
		t.as(anna, func() {
			t.errno("to another user", unix.Chown(t.at("file"), berta.UID, -1), unix.EPERM)
			t.errno("to a strange group", unix.Chown(t.at("file"), -1, berta.GID), unix.EPERM)
			t.errno("to one's group", unix.Chown(t.at("file"), -1, 3000), 0)
		})
		t.as(berta, func() { t.errno("another's", unix.Chown(t.at("file"), -1, berta.GID), unix.EPERM) })
		st := t.stat("file")
		same(t, "owner", fmt.Sprint(st.Uid, st.Gid), fmt.Sprint(anna.UID, 3000))
	}},
	{Call: "chown", Rule: "clears setuid and setgid", Root: true, Run: func(t *T) {
		for _, c := range []struct {
			mode, want uint32
			uid, gid   int
		}{{0o6755, 0o755, 5, -1}, {0o6755, 0o755, -1, 5}, {0o6755, 0o755, -1, -1}, {0o2644, 0o2644, 5, -1}, {0o6644, 0o2644, 5, -1}} {
			t.must(unix.Chmod(t.at("file"), c.mode))
			t.must(unix.Chown(t.at("file"), c.uid, c.gid))
			same(t, fmt.Sprintf("%o after chown(%d, %d)", c.mode, c.uid, c.gid), t.mode("file"), c.want)
		}
		t.must(unix.Chmod(t.at("dir"), 0o6755))
		t.must(unix.Chown(t.at("dir"), 5, 5))
		same(t, "a directory", t.mode("dir"), 0o6755)
	}},
	{Call: "write", Rule: "clears setuid and setgid", Root: true, Run: func(t *T) {
		for _, way := range []struct {
			name string
			do   func(fd int) error
		}{
			{"write", func(fd int) error { _, err := unix.Pwrite(fd, []byte("x"), 0); return err }},
			{"ftruncate", func(fd int) error { return unix.Ftruncate(fd, 4) }},
			{"fallocate", func(fd int) error { return unix.Fallocate(fd, 0, 0, 10000) }},
			{"punch", func(fd int) error {
				return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 1)
			}},
		} {
			for _, c := range []struct {
				gid        int
				mode, want uint32
			}{{0, 0o6777, 0o777}, {0, 0o2676, 0o676}, {0, 0o6666, 0o666}, {3000, 0o2666, 0o2666}, {3000, 0o6666, 0o2666}} {
				t.must(unix.Chown(t.at("file"), 0, c.gid))
				t.must(unix.Chmod(t.at("file"), c.mode))
				t.as(anna, func() {
					fd, err := unix.Open(t.at("file"), unix.O_RDWR, 0)
					t.errno("open", err, 0)
					same(t, fmt.Sprintf("%o opened for %s", c.mode, way.name), t.mode("file"), c.mode)
					t.errno(way.name, way.do(fd), 0)
					t.close(fd)
				})
				same(t, fmt.Sprintf("%o after %s", c.mode, way.name), t.mode("file"), c.want)
			}
		}
		t.must(unix.Chmod(t.at("file"), 0o6777))
		t.write("fifo2", "")
		fd := t.open("file", unix.O_WRONLY, 0)
		_, err := unix.Write(fd, []byte("x"))
		t.errno("write", err, 0)
		t.close(fd)
		same(t, "after root's write", t.mode("file"), 0o6777)
		t.as(anna, func() { t.errno("O_TRUNC", t.opens("file", unix.O_WRONLY|unix.O_TRUNC), 0) })
		same(t, "after O_TRUNC", t.mode("file"), 0o777)
	}},
	{Call: "access", Rule: "asks for the real user", Root: true, Run: func(t *T) {
		t.must(unix.Chmod(t.at("file"), 0o604))
		t.must(unix.Chown(t.at("file"), 0, 3000))
		t.as(anna, func() { t.errno("the group may less than others", unix.Access(t.at("file"), unix.R_OK), unix.EACCES) })
		t.as(berta, func() {
			t.errno("read as another", unix.Access(t.at("file"), unix.R_OK), 0)
			t.errno("write as another", unix.Access(t.at("file"), unix.W_OK), unix.EACCES)
		})
	}},
}...)

// ACLs, in the kernel's format.
func aclOf(entries ...[3]uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return b
}

const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
	none       = 0xffffffff
)

var aclCases = []Case{
	{Call: "acl", Rule: "a named user may, as far as the mask lets", Root: true, Run: func(t *T) {
		t.must(unix.Chmod(t.at("file"), 0o600))
		t.must(unix.Setxattr(t.at("file"), accessACL, aclOf([3]uint32{1, 6, none}, [3]uint32{2, 6, uint32(anna.UID)}, [3]uint32{4, 0, none}, [3]uint32{16, 6, none}, [3]uint32{32, 0, none}), 0))
		same(t, "mode", t.mode("file"), 0o660)
		t.as(anna, func() { t.errno("open", t.opens("file", unix.O_RDWR), 0) })
		t.as(berta, func() { t.errno("open", t.opens("file", unix.O_RDONLY), unix.EACCES) })
		t.must(unix.Chmod(t.at("file"), 0o640))
		t.as(anna, func() {
			t.errno("read under a smaller mask", t.opens("file", unix.O_RDONLY), 0)
			t.errno("write under a smaller mask", t.opens("file", unix.O_RDWR), unix.EACCES)
		})
		t.errno("remove", unix.Removexattr(t.at("file"), accessACL), 0)
		t.as(anna, func() { t.errno("without the ACL", t.opens("file", unix.O_RDONLY), unix.EACCES) })
	}},
	{Call: "acl", Rule: "one that says no more than a mode is none", Run: func(t *T) {
		t.must(unix.Setxattr(t.at("file"), accessACL, aclOf([3]uint32{1, 6, none}, [3]uint32{4, 4, none}, [3]uint32{32, 0, none}), 0))
		same(t, "mode", t.mode("file"), 0o640)
		_, err := unix.Getxattr(t.at("file"), accessACL, make([]byte, 100))
		t.errno("get", err, unix.ENODATA)
	}},
	{Call: "acl", Rule: "a default passes to what is made", Run: func(t *T) {
		acl := aclOf([3]uint32{1, 7, none}, [3]uint32{2, 7, 2001}, [3]uint32{4, 5, none}, [3]uint32{16, 7, none}, [3]uint32{32, 0, none})
		t.must(unix.Setxattr(t.at("dir"), defaultACL, acl, 0))
		unix.Umask(0o077) // does not count there
		t.close(t.open("dir/f", unix.O_CREAT|unix.O_RDWR, 0o666))
		t.must(unix.Mkdir(t.at("dir/d"), 0o777))
		same(t, "mode of a file", t.mode("dir/f"), 0o660)
		same(t, "mode of a directory", t.mode("dir/d"), 0o770)
		b := make([]byte, 100)
		n, err := unix.Getxattr(t.at("dir/d"), defaultACL, b)
		t.errno("the directory's default", err, 0)
		same(t, "the directory's default", string(b[:max(n, 0)]), string(acl))
		n, err = unix.Getxattr(t.at("dir/f"), accessACL, b)
		t.errno("the file's ACL", err, 0)
		same(t, "the file's ACL", string(b[:max(n, 0)]),
			string(aclOf([3]uint32{1, 6, none}, [3]uint32{2, 7, 2001}, [3]uint32{4, 5, none}, [3]uint32{16, 6, none}, [3]uint32{32, 0, none})))
	}},
	{Call: "acl", Rule: "a file has no default", Run: func(t *T) {
		acl := aclOf([3]uint32{1, 7, none}, [3]uint32{4, 5, none}, [3]uint32{32, 0, none})
		t.errno("set", unix.Setxattr(t.at("file"), defaultACL, acl, 0), unix.EACCES)
		t.errno("what is no ACL", unix.Setxattr(t.at("file"), accessACL, []byte("\x02\x00\x00\x00abc"), 0), unix.EINVAL)
		t.errno("remove what is not there", unix.Removexattr(t.at("file"), accessACL), 0)
	}},
}
