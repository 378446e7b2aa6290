package posix

import (
	"golang.org/x/sys/unix"
)

func rename(from, to string) func(t *T) error {
	return func(t *T) error { return unix.Rename(t.at(from), t.at(to)) }
}

func rename2(from, to string, flags uint) func(t *T) error {
	return func(t *T) error { return unix.Renameat2(unix.AT_FDCWD, t.at(from), unix.AT_FDCWD, t.at(to), flags) }
}

var renameCases = append(append(
	errnos("rename", map[string]way{
		"nothing":                     {unix.ENOENT, rename("nothing", "new")},
		"to nowhere":                  {unix.ENOENT, rename("file", "nothing/new")},
		"below a file":                {unix.ENOTDIR, rename("file", "fifo/new")},
		"a file to a trailing slash":  {unix.ENOTDIR, rename("file", "new/")},
		"a directory over a file":     {unix.ENOTDIR, rename("empty", "file")},
		"a file over a directory":     {unix.EISDIR, rename("file", "empty")},
		"over one that is not empty":  {unix.ENOTEMPTY, rename("empty", "dir")},
		"into itself":                 {unix.EINVAL, rename("dir", "dir/new")},
		"over its parent":             {unix.ENOTEMPTY, rename("dir/inside", "dir")},
		"a last component .":          {unix.EBUSY, rename("dir/.", "new")},
		"a last component ..":         {unix.EBUSY, rename("dir/..", "new")},
		"to a name of 256 bytes":      {unix.ENAMETOOLONG, rename("file", long(nameMax+1))},
		"from a name of 256 bytes":    {unix.ENAMETOOLONG, rename(long(nameMax+1), "new")},
		"through a loop":              {unix.ELOOP, rename("loop/x", "new")},
		"to another disk":             {unix.EXDEV, func(t *T) error { return unix.Rename(t.at("file"), "/proc/new") }},
		"over itself":                 {0, rename("file", "file")},
		"a directory over an empty":   {0, rename("dir", "empty")},
		"a directory to a slash":      {0, rename("empty", "new/")},
		"a file over a fifo":          {0, rename("file", "fifo")},
		"a file over a dangling link": {0, rename("file", "dangling")},
	}),
	errnos("renameat2", map[string]way{
		"NOREPLACE over a file":              {unix.EEXIST, rename2("file", "fifo", unix.RENAME_NOREPLACE)},
		"NOREPLACE over itself":              {unix.EEXIST, rename2("file", "file", unix.RENAME_NOREPLACE)},
		"NOREPLACE to a new name":            {0, rename2("file", "new", unix.RENAME_NOREPLACE)},
		"EXCHANGE with nothing":              {unix.ENOENT, rename2("file", "nothing", unix.RENAME_EXCHANGE)},
		"EXCHANGE with its own content":      {unix.EINVAL, rename2("dir", "dir/inside", unix.RENAME_EXCHANGE)},
		"EXCHANGE of a file and a directory": {0, rename2("file", "dir", unix.RENAME_EXCHANGE)},
		"EXCHANGE and NOREPLACE":             {unix.EINVAL, rename2("file", "fifo", unix.RENAME_EXCHANGE|unix.RENAME_NOREPLACE)},
		"an unknown flag":                    {unix.EINVAL, rename2("file", "new", 1<<20)},
	})...), []Case{
	{Call: "rename", Rule: "the replaced file lives on for who has it open", Run: func(t *T) {
		t.write("other", "other")
		fd := t.open("file", unix.O_RDONLY, 0)
		defer t.close(fd)
		ino := t.stat("other").Ino
		t.must(unix.Rename(t.at("other"), t.at("file")))
		b := make([]byte, 20)
		n, _ := unix.Read(fd, b)
		same(t, "old content", string(b[:n]), "0123456789")
		var st unix.Stat_t
		t.must(unix.Fstat(fd, &st))
		same(t, "links of the old one", st.Nlink, 0)
		same(t, "content", t.content("file"), "other")
		same(t, "inode", t.stat("file").Ino, ino)
		t.errno("old name", t.opens("other", unix.O_RDONLY), unix.ENOENT)
	}},
	{Call: "rename", Rule: "two links of one file both stay", Run: func(t *T) {
		t.must(unix.Link(t.at("file"), t.at("hard")))
		t.errno("rename", unix.Rename(t.at("file"), t.at("hard")), 0)
		same(t, "links", t.stat("file").Nlink, 2)
		same(t, "inode", t.stat("hard").Ino, t.stat("file").Ino)
	}},
	{Call: "rename", Rule: "directories move their link", Run: func(t *T) {
		dir, empty := t.stat("dir").Nlink, t.stat("empty").Nlink
		t.must(unix.Mkdir(t.at("dir/sub"), 0o755))
		same(t, "links before", t.stat("dir").Nlink, dir+1)
		t.must(unix.Rename(t.at("dir/sub"), t.at("empty/sub")))
		same(t, "links of the old parent", t.stat("dir").Nlink, dir)
		same(t, "links of the new parent", t.stat("empty").Nlink, empty+1)
		var up, want unix.Stat_t
		t.must(unix.Stat(t.at("empty/sub/.."), &up))
		t.must(unix.Stat(t.at("empty"), &want))
		same(t, "..", up.Ino, want.Ino)
	}},
	{Call: "rename", Rule: "exchange swaps links and content", Run: func(t *T) {
		dir, empty := t.stat("dir").Nlink, t.stat("empty").Nlink
		t.must(unix.Mkdir(t.at("dir/sub"), 0o755))
		t.write("empty/f", "f")
		t.errno("exchange", rename2("dir/sub", "empty/f", unix.RENAME_EXCHANGE)(t), 0)
		same(t, "links of dir", t.stat("dir").Nlink, dir)
		same(t, "links of empty", t.stat("empty").Nlink, empty+1)
		same(t, "content", t.content("dir/sub"), "f")
		same(t, "type", t.stat("empty/f").Mode&unix.S_IFMT, unix.S_IFDIR)
	}},
	{Call: "rename", Rule: "EACCES without the right to write", Root: true, Run: func(t *T) {
		t.must(unix.Chmod(t.at("dir"), 0o777))
		t.as(anna, func() {
			t.errno("out of it", unix.Rename(t.at("file"), t.at("dir/new")), unix.EACCES)
			t.errno("into it", unix.Rename(t.at("dir/inside"), t.at("new")), unix.EACCES)
			t.errno("within", unix.Rename(t.at("dir/inside"), t.at("dir/new")), 0)
		})
	}},
}...)
