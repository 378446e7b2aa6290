package posix

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

func set(name, attr, value string, flags int) func(t *T) error {
	return func(t *T) error { return unix.Lsetxattr(t.at(name), attr, []byte(value), flags) }
}

func get(name, attr string, room int) func(t *T) error {
	return func(t *T) error {
		t.must(unix.Setxattr(t.at("file"), "user.there", []byte("value"), 0))
		_, err := unix.Lgetxattr(t.at(name), attr, make([]byte, room))
		return err
	}
}

var xattrCases = append(append(
	errnos("setxattr", map[string]way{
		"nothing":              {unix.ENOENT, set("nothing", "user.a", "1", 0)},
		"REPLACE what is not":  {unix.ENODATA, set("file", "user.a", "1", unix.XATTR_REPLACE)},
		"CREATE":               {0, set("file", "user.a", "1", unix.XATTR_CREATE)},
		"an unknown namespace": {unix.EOPNOTSUPP, set("file", "foo.a", "1", 0)},
		"no namespace":         {unix.EOPNOTSUPP, set("file", "a", "1", 0)},
		"no name":              {unix.EINVAL, set("file", "user.", "1", 0)},
		"unknown flags":        {unix.EINVAL, set("file", "user.a", "1", 8)},
		"a name of 255":        {0, set("file", "user."+long(250), "1", 0)},
		"a name of 256":        {unix.ERANGE, set("file", "user."+long(251), "1", 0)},
		"a value of 65537":     {unix.E2BIG, set("file", "user.a", long(65537), 0)},
		"user of a symlink":    {unix.EPERM, set("link", "user.a", "1", 0)},
		"user of a fifo":       {unix.EPERM, set("fifo", "user.a", "1", 0)},
		"a directory":          {0, set("dir", "user.a", "1", 0)},
		"of 3000 bytes":        {0, set("file", "user.a", long(3000), 0)},
		"security": {0, func(t *T) error {
			if t.Me.UID != 0 {
				return nil // only for root
			}
			return set("file", "security.satchel", "1", 0)(t)
		}},
	}),
	errnos("getxattr", map[string]way{
		"what is not":        {unix.ENODATA, get("file", "user.not", 10)},
		"little room":        {unix.ERANGE, get("file", "user.there", 2)},
		"only the size":      {0, get("file", "user.there", 0)},
		"of nothing":         {unix.ENOENT, get("nothing", "user.there", 10)},
		"of no namespace":    {unix.EOPNOTSUPP, get("file", "foo.there", 10)},
		"remove what is not": {unix.ENODATA, func(t *T) error { return unix.Removexattr(t.at("file"), "user.not") }},
		"list into little room": {unix.ERANGE, func(t *T) error {
			t.must(unix.Setxattr(t.at("file"), "user.there", []byte("value"), 0))
			_, err := unix.Listxattr(t.at("file"), make([]byte, 3))
			return err
		}},
	})...), []Case{
	{Call: "setxattr", Rule: "CREATE what is there", Run: func(t *T) {
		t.must(set("file", "user.a", "1", 0)(t))
		t.errno("set", set("file", "user.a", "2", unix.XATTR_CREATE)(t), unix.EEXIST)
		t.errno("set", set("file", "user.a", "3", unix.XATTR_REPLACE)(t), 0)
	}},
	{Call: "setxattr", Rule: "values come back", Run: func(t *T) {
		for name, v := range map[string]string{"user.a": "1", "user.empty": "", "user.zero": "a\x00b", "user.ü": long(1000)} {
			t.must(set("file", name, v, 0)(t))
			b := make([]byte, 2000)
			n, err := unix.Getxattr(t.at("file"), name, b)
			t.errno("get", err, 0)
			same(t, name, string(b[:max(n, 0)]), v)
		}
		b := make([]byte, 2000)
		n, err := unix.Listxattr(t.at("file"), b)
		t.errno("list", err, 0)
		names := strings.Split(strings.TrimSuffix(string(b[:max(n, 0)]), "\x00"), "\x00")
		slices.Sort(names)
		same(t, "names", strings.Join(names, " "), "user.a user.empty user.zero user.ü")
	}},
	{Call: "setxattr", Rule: "trusted is root's", Root: true, Run: func(t *T) {
		t.must(unix.Chmod(t.at("file"), 0o666))
		t.must(set("file", "trusted.a", "1", 0)(t))
		t.must(set("file", "user.a", "1", 0)(t))
		t.as(anna, func() {
			t.errno("set", set("file", "trusted.b", "1", 0)(t), unix.EPERM)
			_, err := unix.Getxattr(t.at("file"), "trusted.a", make([]byte, 10))
			t.errno("get", err, unix.ENODATA)
			b := make([]byte, 100)
			n, _ := unix.Listxattr(t.at("file"), b)
			same(t, "list", string(b[:max(n, 0)]), "user.a\x00")
			t.errno("user of another's writable file", set("file", "user.b", "1", 0)(t), 0)
		})
		t.must(unix.Chmod(t.at("file"), 0o644))
		t.as(anna, func() { t.errno("without the right to write", set("file", "user.b", "1", 0)(t), unix.EACCES) })
	}},
}...)

// names are the entries of a directory.
func (t *T) names(name string) []string {
	t.Helper()
	entries, err := os.ReadDir(t.at(name))
	t.must(err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

var directoryCases = []Case{
	{Call: "readdir", Rule: "types and inode numbers", Run: func(t *T) {
		fd := t.open("", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		seen := 0
		for _, e := range t.dirents(fd, 1<<16) {
			if e.name == ".." {
				continue
			}
			var st unix.Stat_t
			t.must(unix.Lstat(t.at(e.name), &st))
			same(t, "inode of "+e.name, e.ino, st.Ino)
			same(t, "type of "+e.name, uint32(e.typ)<<12, st.Mode&unix.S_IFMT)
			seen++
		}
		same(t, "entries", seen, 8)
	}},
	{Call: "readdir", Rule: "each entry once while others come and go", Run: func(t *T) {
		for i := range 500 {
			t.write(fmt.Sprintf("empty/%03d", i), "")
		}
		fd := t.open("empty", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		seen := map[string]int{}
		for round := 0; ; round++ {
			some := t.dirents(fd, 1024)
			if len(some) == 0 {
				break
			}
			for _, e := range some {
				seen[e.name]++
			}
			if round < 100 {
				unix.Unlink(t.at(fmt.Sprintf("empty/%03d", 499-round)))
				t.write(fmt.Sprintf("empty/new%03d", round), "")
			}
		}
		for i := range 300 {
			same(t, fmt.Sprintf("how often %03d was seen", i), seen[fmt.Sprintf("%03d", i)], 1)
		}
		for n, k := range seen {
			same(t, "how often "+n+" was seen", k, 1)
		}
	}},
	{Call: "readdir", Rule: "ends while every entry is renamed", Run: func(t *T) {
		for i := range 300 {
			t.write(fmt.Sprintf("empty/%03d", i), "")
		}
		fd := t.open("empty", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		n := 0
		for n < 2000 {
			some := t.dirents(fd, 512)
			if len(some) == 0 {
				break
			}
			for _, e := range some {
				if n++; e.name[0] != '.' {
					t.must(unix.Rename(t.at("empty/"+e.name), t.at("empty/temporary")))
					t.must(unix.Rename(t.at("empty/temporary"), t.at("empty/"+e.name)))
				}
			}
		}
		same(t, "ended", n < 700, true)
	}},
	{Call: "seekdir", Rule: "goes on where telldir was", Run: func(t *T) {
		for i := range 200 {
			t.write(fmt.Sprintf("empty/%03d", i), "")
		}
		fd := t.open("empty", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		all := t.dirents(fd, 1<<20)
		for _, i := range []int{0, 7, 100, len(all) - 1} {
			unix.Unlink(t.at("empty/" + all[i].name)) // the one before
			_, err := unix.Seek(fd, all[i].off, unix.SEEK_SET)
			t.errno("seek", err, 0)
			rest := t.dirents(fd, 1<<20)
			if i == len(all)-1 {
				same(t, "at the end", len(rest), 0)
				continue
			}
			next := i + 1
			same(t, fmt.Sprintf("after %d", i), rest[0].name, all[next].name)
		}
		_, err := unix.Seek(fd, 0, unix.SEEK_SET)
		t.errno("rewind", err, 0)
		same(t, "after a rewind", t.dirents(fd, 1<<20)[0].off != 0, true)
	}},
	{Call: "readdir", Rule: "of one that is gone is empty", Run: func(t *T) {
		fd := t.open("empty", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		t.must(unix.Rmdir(t.at("empty")))
		buf := make([]byte, 4096)
		n, err := unix.Getdents(fd, buf)
		if err != nil {
			t.errno("readdir", err, unix.ENOENT)
		}
		same(t, "bytes", max(n, 0), 0)
	}},
	{Call: "readdir", Rule: "EACCES without the right to read", Root: true, Run: func(t *T) {
		t.must(unix.Chmod(t.at("dir"), 0o711))
		t.as(anna, func() {
			t.errno("open", t.opens("dir", unix.O_RDONLY), unix.EACCES)
			t.errno("search", unix.Access(t.at("dir/inside"), unix.F_OK), 0)
		})
	}},
}

type dirent struct {
	name string
	ino  uint64
	off  int64
	typ  byte
}

// dirents reads on in a directory: as much as one getdents64(2) into so many bytes gives, or with
// much room all.
func (t *T) dirents(fd, room int) (all []dirent) {
	t.Helper()
	buf := make([]byte, min(room, 1<<15))
	for {
		n, err := unix.Getdents(fd, buf)
		t.must(err)
		for b := buf[:n]; len(b) > 0; {
			l := int(b[16]) | int(b[17])<<8
			name, _, _ := strings.Cut(string(b[19:l]), "\x00")
			all = append(all, dirent{name, le64(b), int64(le64(b[8:])), b[18]})
			b = b[l:]
		}
		if n == 0 || room < 1<<15 {
			return all
		}
	}
}

func le64(b []byte) (v uint64) {
	for i := range 8 {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}

var pathCases = append(errnos("path", map[string]way{
	"4096 bytes":               {unix.ENAMETOOLONG, func(t *T) error { return t.opens(strings.Repeat("./", 2050)+"file", unix.O_RDONLY) }},
	"nearly 4096 bytes":        {0, func(t *T) error { return t.opens(strings.Repeat("./", (pathMax-len(t.Dir)-7)/2)+"file", unix.O_RDONLY) }},
	"many slashes":             {0, func(t *T) error { return t.opens("//dir///inside", unix.O_RDONLY) }},
	"up and down":              {0, func(t *T) error { return t.opens("dir/../empty/../file", unix.O_RDONLY) }},
	"up from a file":           {unix.ENOTDIR, func(t *T) error { return t.opens("file/../file", unix.O_RDONLY) }},
	"up from nothing":          {unix.ENOENT, func(t *T) error { return t.opens("nothing/../file", unix.O_RDONLY) }},
	"a directory with a slash": {0, func(t *T) error { return t.opens("dir/", unix.O_RDONLY) }},
	"40 symlinks":              {0, func(t *T) error { return t.opens(t.chain(40), unix.O_RDONLY) }},
	"41 symlinks":              {unix.ELOOP, func(t *T) error { return t.opens(t.chain(41), unix.O_RDONLY) }},
	"256 bytes in the middle":  {unix.ENAMETOOLONG, func(t *T) error { return t.opens(long(nameMax+1)+"/f", unix.O_RDONLY) }},
}), []Case{
	{Call: "path", Rule: "names are bytes", Run: func(t *T) {
		for _, n := range []string{"\xff\xfe", "a\nb", " ", "...", "a\u0308", "\u00e4", "*?\"'\\", "\x01", "A", "a"} {
			t.errno(fmt.Sprintf("%q", n), t.opens("empty/"+n, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR), 0)
		}
		same(t, "names", len(t.names("empty")), 10)
	}},
	{Call: "path", Rule: "deeper than a path can say", Run: func(t *T) {
		t.must(unix.Chdir(t.Dir))
		for range 30 {
			t.must(unix.Mkdir(long(200), 0o755))
			t.must(unix.Chdir(long(200)))
		}
		fd, err := unix.Open("deep", unix.O_CREAT|unix.O_RDWR, 0o644)
		t.errno("create", err, 0)
		t.close(fd)
		for range 30 {
			t.must(unix.Chdir(".."))
		}
		var st unix.Stat_t
		t.must(unix.Stat("file", &st))
		same(t, "up again", st.Size, 10)
	}},
	{Call: "path", Rule: "an inode has one number", Run: func(t *T) {
		a := t.stat("file").Ino
		t.must(unix.Rename(t.at("file"), t.at("dir/moved")))
		same(t, "after a rename", t.stat("dir/moved").Ino, a)
		var st unix.Stat_t
		t.must(unix.Fstat(t.open("dir/moved", unix.O_RDONLY, 0), &st))
		same(t, "of the handle", st.Ino, a)
		same(t, "device", st.Dev, t.stat("dir").Dev)
	}},
	{Call: "statfs", Rule: "sane numbers", Run: func(t *T) {
		var s unix.Statfs_t
		t.must(unix.Statfs(t.Dir, &s))
		size := uint64(s.Bsize)
		same(t, "name length", s.Namelen, nameMax)
		same(t, "no petabyte", s.Blocks > 0 && s.Blocks*size < 1<<50, true)
		same(t, "free blocks", s.Bavail <= s.Bfree && s.Bfree <= s.Blocks, true)
		same(t, "files", s.Ffree <= s.Files && s.Files > 0, true)
	}},
}...)

// chain is the first of n symlinks, the last of which leads to the file.
func (t *T) chain(n int) string {
	to := "file"
	for i := range n {
		from := fmt.Sprintf("chain%d", i)
		t.must(unix.Symlink(to, t.at(from)))
		to = from
	}
	return to
}
