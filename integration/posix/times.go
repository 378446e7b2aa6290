package posix

import (
	"time"

	"golang.org/x/sys/unix"
)

var timeCases = append(errnos("utimensat", map[string]way{
	"nothing":      {unix.ENOENT, func(t *T) error { return setTimes(t, "nothing", at(1, 0), at(1, 0)) }},
	"below a file": {unix.ENOTDIR, func(t *T) error { return setTimes(t, "file/f", at(1, 0), at(1, 0)) }},
	"bad ns":       {unix.EINVAL, func(t *T) error { return setTimes(t, "file", at(1, 1_000_000_000), at(1, 0)) }},
	"a loop": {unix.ELOOP, func(t *T) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, t.at("loop"), []unix.Timespec{at(1, 0), at(1, 0)}, 0)
	}},
	"a loop itself": {0, func(t *T) error { return setTimes(t, "loop", at(1, 0), at(1, 0)) }},
}), []Case{
	{Call: "utimensat", Rule: "nanoseconds are kept", Run: func(t *T) {
		for _, n := range []string{"file", "dir", "link", "fifo"} {
			for _, ts := range []unix.Timespec{at(1, 23), at(0, 0), at(-1000, 5), at(2_000_000_000, 999_999_999), at(4_000_000_000, 1)} {
				before := t.stat(n).Ctim
				t.must(setTimes(t, n, ts, at(ts.Sec+5, ts.Nsec)))
				st := t.stat(n)
				same(t, "atime of "+n, st.Atim, ts)
				same(t, "mtime of "+n, st.Mtim, at(ts.Sec+5, ts.Nsec))
				same(t, "ctime of "+n+" moved", ns(st.Ctim) >= ns(before), true)
			}
		}
	}},
	{Call: "utimensat", Rule: "UTIME_OMIT and UTIME_NOW", Run: func(t *T) {
		t.must(setTimes(t, "file", at(5, 6), at(7, 8)))
		t.must(setTimes(t, "file", unix.Timespec{Nsec: unix.UTIME_OMIT}, at(9, 10)))
		same(t, "atime", t.stat("file").Atim, at(5, 6))
		same(t, "mtime", t.stat("file").Mtim, at(9, 10))
		t.must(setTimes(t, "file", unix.Timespec{Nsec: unix.UTIME_NOW}, unix.Timespec{Nsec: unix.UTIME_OMIT}))
		same(t, "atime is now", time.Since(time.Unix(0, ns(t.stat("file").Atim))) < time.Minute, true)
		same(t, "mtime", t.stat("file").Mtim, at(9, 10))
	}},
	{Call: "utimensat", Rule: "who may", Root: true, Run: func(t *T) {
		t.must(unix.Chmod(t.at("file"), 0o666))
		now := unix.Timespec{Nsec: unix.UTIME_NOW}
		t.as(anna, func() {
			t.errno("some time", setTimes(t, "file", at(1, 0), at(1, 0)), unix.EPERM)
			t.errno("now", setTimes(t, "file", now, now), 0)
		})
		t.must(unix.Chmod(t.at("file"), 0o644))
		t.as(anna, func() { t.errno("now, without the right to write", setTimes(t, "file", now, now), unix.EACCES) })
	}},
	{Call: "times", Rule: "each call moves the right ones", Run: eachCallsTimes},
	{Call: "times", Rule: "reading moves atime as relatime says", Run: func(t *T) {
		for n, read := range map[string]func(){
			"file": func() { t.content("file") },
			"link": func() { unix.Readlink(t.at("link"), make([]byte, 10)) },
			"dir":  func() { t.names("dir") },
		} {
			old := at(time.Now().Unix()-3600, 0)
			t.must(setTimes(t, n, old, at(old.Sec+60, 0)))
			time.Sleep(20 * time.Millisecond) // more than a tick: atime shall be after ctime
			read()
			same(t, "atime of "+n+" after the first reading", t.stat(n).Atim.Sec > old.Sec, true)
			first := t.stat(n).Atim
			time.Sleep(20 * time.Millisecond)
			read()
			same(t, "atime of "+n+" after the second", t.stat(n).Atim, first)
		}
	}},
	{Call: "times", Rule: "a handle with O_NOATIME does not move atime", Run: func(t *T) {
		old := at(time.Now().Unix()-3600, 0)
		t.must(setTimes(t, "file", old, at(old.Sec+60, 0)))
		fd := t.open("file", unix.O_RDONLY|unix.O_NOATIME, 0)
		_, err := unix.Read(fd, make([]byte, 5))
		t.close(fd)
		t.errno("read", err, 0)
		same(t, "atime", t.stat("file").Atim, old)
	}},
	{Call: "times", Rule: "a write never takes mtime back", Run: func(t *T) {
		for range 200 {
			fd := t.open("new", unix.O_CREAT|unix.O_TRUNC|unix.O_WRONLY, 0o644)
			before := ns(t.stat("new").Mtim)
			unix.Write(fd, []byte("x"))
			after := ns(t.stat("new").Mtim)
			t.close(fd)
			t.must(unix.Unlink(t.at("new")))
			if after < before {
				t.Fatalf("mtime went back by %v", time.Duration(before-after))
			}
		}
	}},
	{Call: "statx", Rule: "the time of birth stays", Run: func(t *T) {
		var a, b unix.Statx_t
		t.must(unix.Statx(unix.AT_FDCWD, t.at("file"), 0, unix.STATX_BTIME, &a))
		same(t, "there is one", a.Mask&unix.STATX_BTIME != 0, true)
		t.must(setTimes(t, "file", at(1, 0), at(1, 0)))
		t.write("file", "more")
		t.must(unix.Statx(unix.AT_FDCWD, t.at("file"), 0, unix.STATX_BTIME, &b))
		same(t, "birth", b.Btime, a.Btime)
	}},
}...)

func at(sec, nsec int64) unix.Timespec { return unix.Timespec{Sec: sec, Nsec: nsec} }

func ns(t unix.Timespec) int64 { return t.Nano() }

func setTimes(t *T, name string, atime, mtime unix.Timespec) error {
	return unix.UtimesNanoAt(unix.AT_FDCWD, t.at(name), []unix.Timespec{atime, mtime}, unix.AT_SYMLINK_NOFOLLOW)
}

// eachCallsTimes sets old times, makes a call and looks which moved: m and c of the file, M and C of
// the directory.
func eachCallsTimes(t *T) {
	fd := -1
	calls := []struct {
		call, moves string
		do          func() error
	}{
		{"write", "mc", func() error { _, err := unix.Pwrite(fd, []byte("x"), 0); return err }},
		{"write of nothing", "", func() error { _, err := unix.Pwrite(fd, nil, 0); return err }},
		{"read", "", func() error { _, err := unix.Pread(fd, make([]byte, 1), 0); return err }},
		{"ftruncate", "mc", func() error { return unix.Ftruncate(fd, 5) }},
		{"truncate to the same size", "mc", func() error { return unix.Truncate(t.at("dir/f"), t.stat("dir/f").Size) }},
		{"O_TRUNC", "mc", func() error { return t.opens("dir/f", unix.O_WRONLY|unix.O_TRUNC) }},
		{"O_TRUNC of an empty file", "mc", func() error { return t.opens("dir/f", unix.O_WRONLY|unix.O_TRUNC) }},
		{"open and close", "", func() error { return t.opens("dir/f", unix.O_RDWR) }},
		{"fallocate", "mc", func() error { return unix.Fallocate(fd, 0, 0, 20000) }},
		{"chmod", "c", func() error { return unix.Chmod(t.at("dir/f"), 0o600) }},
		{"chown", "c", func() error { return unix.Chown(t.at("dir/f"), t.Me.UID, t.Me.GID) }},
		{"setxattr", "c", func() error { return unix.Setxattr(t.at("dir/f"), "user.a", []byte("1"), 0) }},
		{"removexattr", "c", func() error { return unix.Removexattr(t.at("dir/f"), "user.a") }},
		{"link", "cMC", func() error { return unix.Link(t.at("dir/f"), t.at("dir/g")) }},
		{"unlink of another link", "cMC", func() error { return unix.Unlink(t.at("dir/g")) }},
		{"rename and back", "cMC", func() error {
			t.must(unix.Rename(t.at("dir/f"), t.at("dir/g")))
			return unix.Rename(t.at("dir/g"), t.at("dir/f"))
		}},
		{"create", "MC", func() error { return t.opens("dir/new", unix.O_CREAT|unix.O_RDWR) }},
		{"create of what is there", "", func() error { return t.opens("dir/new", unix.O_CREAT|unix.O_RDWR) }},
		{"unlink", "MC", func() error { return unix.Unlink(t.at("dir/new")) }},
		{"mkdir", "MC", func() error { return unix.Mkdir(t.at("dir/new"), 0o755) }},
		{"rmdir", "MC", func() error { return unix.Rmdir(t.at("dir/new")) }},
		{"symlink", "MC", func() error { return unix.Symlink("x", t.at("dir/new")) }},
		{"mkfifo", "MC", func() error { return unix.Mkfifo(t.at("dir/p"), 0o644) }},
		{"chmod of the directory", "C", func() error { return unix.Chmod(t.at("dir"), 0o700) }},
	}
	t.write("dir/f", "0123456789")
	fd = t.open("dir/f", unix.O_RDWR, 0)
	defer t.close(fd)
	old := at(1_000_000_000, 7)
	for _, c := range calls {
		t.must(setTimes(t, "dir/f", old, old))
		t.must(setTimes(t, "dir", old, old))
		f, d := t.stat("dir/f").Ctim, t.stat("dir").Ctim
		time.Sleep(12 * time.Millisecond) // more than a tick of the kernel's clock
		t.errno(c.call, c.do(), 0)
		moves := ""
		if st := t.stat("dir/f"); st.Mtim != old {
			moves += "m"
		}
		if st := t.stat("dir/f"); st.Ctim != f {
			moves += "c"
		}
		if st := t.stat("dir"); st.Mtim != old {
			moves += "M"
		}
		if st := t.stat("dir"); st.Ctim != d {
			moves += "C"
		}
		same(t, c.call+" moves", moves, c.moves)
	}
}
