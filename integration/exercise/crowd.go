package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// crowd is one of several processes that make, move, link, list and remove the same things at the same
// time. What each call sees depends on the others; what must hold all the same:
//
//   - A call ends well, or with an errno that another's doing explains.
//   - What nobody else touches is as if one were alone.
//   - A token, a file that is only moved where it replaces nothing, or exchanged with another one, is never lost and never there twice.
//   - When all have finished, counts of links are right.
type crowd struct {
	dir  string
	me   string
	made int
}

var crowdDirs = []string{"d0", "d1", "d2", "d2/d3"}

const tokens = 8 // of each process

func newCrowd(path string) (*crowd, error) {
	c := &crowd{dir: filepath.Dir(path), me: filepath.Base(path)}
	for _, d := range crowdDirs {
		if err := os.MkdirAll(filepath.Join(c.dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	for i := range tokens {
		name := fmt.Sprintf("token-%s-%d", c.me, i)
		if err := os.WriteFile(filepath.Join(c.dir, "d0", name), []byte(name), 0o644); err != nil {
			return nil, err
		}
	}
	return c, os.WriteFile(filepath.Join(c.dir, "here-"+c.me), nil, 0o644)
}

func (c *crowd) rest() error  { return nil }
func (c *crowd) check() error { return nil } // the others are not through

func (c *crowd) anywhere(r *rand.Rand) string {
	return filepath.Join(c.dir, crowdDirs[r.IntN(len(crowdDirs))])
}

// token is one that was in a directory a moment ago; "" if there was none.
func (c *crowd) token(dir string, r *rand.Rand) (found string, err error) {
	entries, err := os.ReadDir(dir)
	n := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "token-") {
			if n++; r.IntN(n) == 0 {
				found = filepath.Join(dir, e.Name())
			}
		}
	}
	return found, err
}

// or is nil for an error that another's doing explains.
func or(err error, explained ...syscall.Errno) error {
	for _, e := range explained {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}

func (c *crowd) step(r *rand.Rand) (string, error) {
	dir, other := c.anywhere(r), c.anywhere(r)
	file, second := filepath.Join(dir, fmt.Sprintf("file-%d", r.IntN(4))), filepath.Join(other, fmt.Sprintf("file-%d", r.IntN(4)))
	sub := filepath.Join(dir, fmt.Sprintf("sub-%d", r.IntN(3)))
	switch r.IntN(9) {
	case 0:
		from, err := c.token(dir, r)
		if err != nil || from == "" {
			return "look for a token in " + dir, err
		}
		to := filepath.Join(other, filepath.Base(from))
		return "move " + from + " " + to, or(unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE), unix.ENOENT, unix.EEXIST)
	case 1:
		a, err := c.token(dir, r)
		b, err2 := c.token(other, r)
		if err = errors.Join(err, err2); err != nil || a == "" || b == "" {
			return "look for two tokens", err
		}
		return "exchange " + a + " " + b, or(unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE), unix.ENOENT)
	case 2:
		return "write " + file, os.WriteFile(file, []byte(c.me), 0o644)
	case 3:
		return "link " + file + " " + second, or(unix.Link(file, second), unix.ENOENT, unix.EEXIST)
	case 4:
		return "unlink " + file, or(unix.Unlink(file), unix.ENOENT)
	case 5:
		return "rename " + file + " " + second, or(unix.Rename(file, second), unix.ENOENT)
	case 6:
		return "mkdir and fill " + sub, or(errors.Join(or(unix.Mkdir(sub, 0o755), unix.EEXIST), os.WriteFile(sub+"/x", nil, 0o644)), unix.ENOENT)
	case 7:
		return "empty and rmdir " + sub, errors.Join(or(unix.Unlink(sub+"/x"), unix.ENOENT), or(unix.Rmdir(sub), unix.ENOENT, unix.ENOTEMPTY))
	default:
		return "one's own", c.own(dir, other, fmt.Sprint(r.Uint64()))
	}
}

// own makes, moves, reads and removes a file whose name nobody else uses.
func (c *crowd) own(dir, other, text string) error {
	c.made++
	name := fmt.Sprintf("own-%s-%d", c.me, c.made)
	from, to := filepath.Join(dir, name), filepath.Join(other, name+"-moved")
	if err := errors.Join(os.WriteFile(from, []byte(text), 0o644), os.Rename(from, to)); err != nil {
		return err
	}
	b, err := os.ReadFile(to)
	if err == nil && string(b) != text {
		err = fmt.Errorf("%s has %q, not %q", to, b, text)
	}
	return errors.Join(err, os.Remove(to))
}

// crowded looks at what a crowd left.
type crowded struct{ dir string }

func (c crowded) rest() error                     { return nil }
func (c crowded) step(*rand.Rand) (string, error) { return "look", nil }

func (c crowded) check() error {
	names, contents := []string{}, []string{} // of tokens
	var want []string
	links, seen := map[uint64]uint64{}, map[uint64]uint64{}
	err := filepath.WalkDir(c.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if e.IsDir() {
			links[st.Ino], seen[st.Ino] = uint64(st.Nlink), seen[st.Ino]+2
			if path != c.dir {
				up, err := os.Stat(filepath.Dir(path))
				if err != nil {
					return err
				}
				seen[up.Sys().(*syscall.Stat_t).Ino]++
			}
			return nil
		}
		links[st.Ino], seen[st.Ino] = uint64(st.Nlink), seen[st.Ino]+1
		switch kind, who, _ := strings.Cut(e.Name(), "-"); kind {
		case "own":
			return fmt.Errorf("%s is still there", path)
		case "here":
			for i := range tokens {
				want = append(want, fmt.Sprintf("token-%s-%d", who, i))
			}
		case "token":
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			names, contents = append(names, e.Name()), append(contents, string(b))
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(want)
	slices.Sort(names)
	slices.Sort(contents)
	if !slices.Equal(names, want) || !slices.Equal(contents, want) {
		return fmt.Errorf("tokens: %q\nwith:   %q\nnot:    %q", names, contents, want)
	}
	for ino, n := range links {
		if n != seen[ino] {
			return fmt.Errorf("inode %d has %d links and says %d", ino, seen[ino], n)
		}
	}
	return nil
}
