package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// tree is a directory that this process has for itself, and what should be in it. Several run in
// one mount at a time; files pass through one directory that all share.
type tree struct {
	dir    string
	shared string
	want   map[string]*thing // path below dir, "" is dir itself
	next   int
}

// thing is an inode of the model.
type thing struct {
	kind byte // d f l
	text string
}

func newTree(dir string) (*tree, error) {
	shared := filepath.Join(filepath.Dir(dir), "shared")
	return &tree{dir: dir, shared: shared, want: map[string]*thing{"": {kind: 'd'}}}, errors.Join(os.Mkdir(dir, 0o755), os.MkdirAll(shared, 0o755))
}

func (t *tree) rest() error { return nil }

// pick is a path of one of the kinds.
func (t *tree) pick(r *rand.Rand, kinds string) string {
	var all []string
	for p, x := range t.want {
		if strings.IndexByte(kinds, x.kind) >= 0 {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	return all[r.IntN(len(all))]
}

// place is a name in a directory: a new one, or now and then one that is taken.
func (t *tree) place(r *rand.Rand) string {
	if p := t.pick(r, "dfl"); p != "" && r.IntN(4) == 0 {
		return p
	}
	t.next++
	return path.Join(t.pick(r, "d"), fmt.Sprintf("n%d", t.next))
}

func (t *tree) at(p string) string { return filepath.Join(t.dir, p) }

func (t *tree) children(p string) (all []string) {
	for q := range t.want {
		if q != "" && parent(q) == p {
			all = append(all, q)
		}
	}
	return all
}

func parent(p string) string {
	d := path.Dir(p)
	if d == "." {
		return ""
	}
	return d
}

func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// expect is nil when a call ended as it should.
func expect(err error, want syscall.Errno) error {
	var got syscall.Errno
	if err != nil && !errors.As(err, &got) || got != want {
		return fmt.Errorf("%v, not %v", err, want)
	}
	return nil
}

func (t *tree) step(r *rand.Rand) (string, error) {
	switch p := t.place(r); r.IntN(9) {
	case 0, 1:
		return "write " + p, t.write(p, fmt.Sprint(r.Uint64()))
	case 2:
		want := syscall.Errno(0)
		if t.want[p] != nil {
			want = syscall.EEXIST
		} else {
			t.want[p] = &thing{kind: 'd'}
		}
		return "mkdir " + p, expect(os.Mkdir(t.at(p), 0o755), want)
	case 3:
		want := syscall.Errno(0)
		if t.want[p] != nil {
			want = syscall.EEXIST
		} else {
			t.want[p] = &thing{kind: 'l', text: p}
		}
		return "symlink " + p, expect(os.Symlink(p, t.at(p)), want)
	case 4:
		return t.link(t.pick(r, "f"), p)
	case 5:
		return t.remove(t.pick(r, "dfl"))
	case 6:
		return t.rename(t.pick(r, "dfl"), p)
	case 7:
		return t.pass(t.pick(r, "f"))
	default:
		return "list", t.list(t.pick(r, "d"))
	}
}

func (t *tree) write(p, text string) error {
	want := syscall.Errno(0)
	switch x := t.want[p]; {
	case x == nil:
		t.want[p] = &thing{kind: 'f', text: text}
	case x.kind == 'd':
		want = syscall.EISDIR
	case x.kind == 'l':
		return nil // leads who knows where
	default:
		x.text = text
	}
	return expect(os.WriteFile(t.at(p), []byte(text), 0o644), want)
}

func (t *tree) link(from, to string) (string, error) {
	if from == "" {
		return "link", nil
	}
	want := syscall.Errno(0)
	if t.want[to] != nil {
		want = syscall.EEXIST
	} else {
		t.want[to] = t.want[from]
	}
	return "link " + from + " " + to, expect(os.Link(t.at(from), t.at(to)), want)
}

func (t *tree) remove(p string) (string, error) {
	if p == "" {
		return "remove", nil
	}
	if t.want[p].kind != 'd' {
		delete(t.want, p)
		return "unlink " + p, expect(unix.Unlink(t.at(p)), 0)
	}
	want := syscall.ENOTEMPTY
	if len(t.children(p)) == 0 {
		want = 0
		delete(t.want, p)
	}
	return "rmdir " + p, expect(unix.Rmdir(t.at(p)), want)
}

func (t *tree) rename(from, to string) (string, error) {
	what := "rename " + from + " " + to
	if from == "" || to == "" {
		return what, nil
	}
	a, b := t.want[from], t.want[to]
	want := syscall.Errno(0)
	switch {
	case from == to, a == b:
		return what, expect(unix.Rename(t.at(from), t.at(to)), 0)
	case a.kind == 'd' && within(to, from):
		want = syscall.EINVAL
	case within(from, to):
		want = syscall.ENOTEMPTY
	case b != nil && a.kind == 'd' && b.kind != 'd':
		want = syscall.ENOTDIR
	case b != nil && a.kind != 'd' && b.kind == 'd':
		want = syscall.EISDIR
	case b != nil && b.kind == 'd' && len(t.children(to)) > 0:
		want = syscall.ENOTEMPTY
	default:
		for _, p := range slices.Collect(maps.Keys(t.want)) {
			if within(p, from) {
				t.want[to+p[len(from):]] = t.want[p]
				delete(t.want, p)
			}
		}
	}
	return what, expect(unix.Rename(t.at(from), t.at(to)), want)
}

// pass moves a file through the directory that all share.
func (t *tree) pass(p string) (string, error) {
	if p == "" {
		return "pass", nil
	}
	there := filepath.Join(t.shared, fmt.Sprintf("%s-%d", filepath.Base(t.dir), t.next))
	return "pass " + p, errors.Join(expect(unix.Rename(t.at(p), there), 0), expect(unix.Rename(there, t.at(p)), 0))
}

// list compares one directory.
func (t *tree) list(p string) error {
	entries, err := os.ReadDir(t.at(p))
	if err != nil {
		return err
	}
	var got, want []string
	for _, e := range entries {
		got = append(got, path.Join(p, e.Name()))
	}
	want = t.children(p)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%q has %q, not %q", p, got, want)
	}
	return nil
}

// check compares all, with link counts and inodes.
func (t *tree) check() error {
	links, dirs := map[*thing]uint64{}, map[string]uint64{}
	for p, x := range t.want {
		links[x]++
		if x.kind == 'd' && p != "" {
			dirs[parent(p)]++
		}
	}
	seen, inode := 0, map[*thing]uint64{}
	err := filepath.WalkDir(t.dir, func(full string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		p, err := filepath.Rel(t.dir, full)
		if p == "." {
			p = ""
		}
		x := t.want[p]
		if err != nil || x == nil {
			return fmt.Errorf("%q should not be there (%v)", p, err)
		}
		seen++
		info, err := e.Info()
		if err != nil {
			return err
		}
		st, text, count := info.Sys().(*syscall.Stat_t), x.text, links[x]
		switch x.kind {
		case 'd':
			count = 2 + dirs[p]
		case 'l':
			text, err = os.Readlink(full)
		default:
			var b []byte
			b, err = os.ReadFile(full)
			text = string(b)
		}
		switch {
		case err != nil:
			return err
		case text != x.text:
			return fmt.Errorf("%q has %q, not %q", p, text, x.text)
		case uint64(st.Nlink) != count:
			return fmt.Errorf("%q has %d links, not %d", p, st.Nlink, count)
		case inode[x] != 0 && inode[x] != st.Ino:
			return fmt.Errorf("%q is no more the same file as its other links", p)
		}
		inode[x] = st.Ino
		return nil
	})
	if err == nil && seen != len(t.want) {
		err = fmt.Errorf("%d of %d are there", seen, len(t.want))
	}
	return err
}
