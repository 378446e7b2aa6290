package everyday

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Row is one kind of everyday work. It runs in a directory that belongs to one
// system and round; later rows use what earlier ones left there.
type Row struct {
	Word  string // for the command line
	Name  string // for the table
	Tool  string // the program it needs besides sh, cat, ls and tar, "" if none
	needs string // the row whose work this one uses, "" if none
	run   func(ctx context.Context, dir string) error
	check func(ctx context.Context, dir string) error // that run did what it says; not timed. nil: run does it
}

// Sizes says how much work the rows are.
type Sizes struct {
	files   int // small files
	big     int // MiB
	folders []string
	saves   int
	inserts int

	tar   string // of the tree; made by Prepare
	tree  string // what it is
	count int    // files in it
}

var (
	Full = &Sizes{files: 1000, big: 256, folders: []string{"net", "encoding", "crypto"}, saves: 100, inserts: 200}
	Tiny = &Sizes{files: 20, big: 2, folders: []string{"encoding/json"}, saves: 3, inserts: 5}
)

func (s *Sizes) Rows() []Row {
	small := func(dir string) string { return filepath.Join(dir, "small") }
	big := func(dir string) string { return filepath.Join(dir, "big") }
	tree := func(dir string) string { return filepath.Join(dir, "tree") }
	db := func(dir string) string { return filepath.Join(dir, "data.db") }
	return []Row{
		{Word: "create", Name: fmt.Sprintf("create %d small files", s.files),
			run: func(ctx context.Context, dir string) error { return s.create(ctx, small(dir)) },
			check: func(ctx context.Context, dir string) error {
				return s.checkSmall(small(dir))
			}},
		{Word: "ls", Name: "ls -l of them", needs: "create",
			run: func(ctx context.Context, dir string) error {
				return lines(ctx, small(dir), s.files+1, "ls", "-l") // and "total"
			}},
		{Word: "cat", Name: fmt.Sprintf("cat all %d", s.files), needs: "create",
			run: func(ctx context.Context, dir string) error {
				out, err := output(ctx, small(dir), "sh", "-c", "cat *")
				return errors.Join(err, want("bytes", len(out), s.smallBytes()))
			}},
		{Word: "write", Name: fmt.Sprintf("write %d MiB", s.big),
			run: func(ctx context.Context, dir string) error { return s.writeBig(ctx, big(dir)) }},
		{Word: "read", Name: fmt.Sprintf("read %d MiB", s.big), needs: "write",
			run: func(ctx context.Context, dir string) error { return s.readBig(ctx, big(dir)) }},
		{Word: "untar", Name: "untar " + s.tree,
			run: func(ctx context.Context, dir string) error {
				if err := os.Mkdir(tree(dir), 0o755); err != nil {
					return err
				}
				_, err := output(ctx, tree(dir), "tar", "xf", s.tar)
				return err
			},
			check: func(ctx context.Context, dir string) error {
				_, err := output(ctx, tree(dir), "tar", "df", s.tar)
				var exit *exec.ExitError
				if errors.As(err, &exit) && !strings.Contains(string(exit.Stderr)+err.Error(), "Contents differ") {
					return nil // rclone keeps neither owners nor times; the contents are what counts
				}
				return err
			}},
		{Word: "git", Tool: "git", Name: "git init, add, commit, status there", needs: "untar",
			run: func(ctx context.Context, dir string) error {
				for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-q", "-m", "all"}} {
					if _, err := git(ctx, tree(dir), args...); err != nil {
						return err
					}
				}
				out, err := git(ctx, tree(dir), "status", "--porcelain")
				return errors.Join(err, want("bytes of git status", len(out), 0))
			},
			check: func(ctx context.Context, dir string) error {
				_, err := git(ctx, tree(dir), "fsck", "--full", "--strict")
				return err
			}},
		{Word: "grep", Name: "grep -r there", needs: "untar",
			run: func(ctx context.Context, dir string) error {
				out, err := output(ctx, tree(dir), "grep", "-r", "--exclude-dir=.git", "-l", "package")
				if err == nil && len(out) == 0 {
					err = errors.New("grep found nothing")
				}
				return err
			}},
		{Word: "find", Name: "find -type f there", needs: "untar",
			run: func(ctx context.Context, dir string) error {
				return lines(ctx, tree(dir), s.count, "find", ".", "-path", "./.git", "-prune", "-o", "-type", "f", "-print")
			}},
		{Word: "save", Name: fmt.Sprintf("%d editor saves (fsync, rename)", s.saves),
			run: func(ctx context.Context, dir string) error { return s.save(ctx, filepath.Join(dir, "letter")) }},
		{Word: "sqlite", Tool: "sqlite3", Name: fmt.Sprintf("%d sqlite commits", s.inserts),
			run: func(ctx context.Context, dir string) error {
				script := "PRAGMA journal_mode=DELETE; CREATE TABLE t(n INTEGER PRIMARY KEY, word TEXT);\n" +
					strings.Repeat("INSERT INTO t(word) VALUES ('satchel');\n", s.inserts)
				_, err := outputOf(ctx, dir, script, "sqlite3", "-bail", db(dir))
				return err
			},
			check: func(ctx context.Context, dir string) error {
				out, err := output(ctx, dir, "sqlite3", db(dir), "PRAGMA integrity_check; SELECT count(*) FROM t")
				if wanted := fmt.Sprintf("ok\n%d\n", s.inserts); err == nil && out != wanted {
					err = fmt.Errorf("sqlite says %q, not %q", out, wanted)
				}
				return err
			}},
		{Word: "rm", Name: "rm -rf of the tree and the small files", needs: "untar",
			run: func(ctx context.Context, dir string) error {
				_, err := output(ctx, dir, "rm", "-rf", small(dir), tree(dir))
				return err
			},
			check: func(ctx context.Context, dir string) error {
				for _, p := range []string{small(dir), tree(dir)} {
					if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
						return fmt.Errorf("%s is still there (%v)", p, err)
					}
				}
				return nil
			}},
	}
}

// smallSize is the size in bytes of small file i: 100 to 4099.
func smallSize(i int) int { return 100 + i*37%4000 }

func (s *Sizes) smallBytes() (n int) {
	for i := range s.files {
		n += smallSize(i)
	}
	return n
}

func (s *Sizes) create(ctx context.Context, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	data := pattern(4100, 0)
	for i := range s.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "file-"+strconv.Itoa(i)), data[:smallSize(i)], 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sizes) checkSmall(dir string) error {
	data := pattern(4100, 0)
	for i := range s.files {
		got, err := os.ReadFile(filepath.Join(dir, "file-"+strconv.Itoa(i)))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, data[:smallSize(i)]) {
			return fmt.Errorf("file-%d has other content than was written", i)
		}
	}
	return nil
}

const block = 1 << 20

func (s *Sizes) writeBig(ctx context.Context, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data := pattern(block, 1)
	for i := range s.big {
		if err := ctx.Err(); err != nil {
			return err
		}
		data[0], data[1] = byte(i), byte(i>>8) // no two blocks are the same
		if _, err := f.Write(data); err != nil {
			return err
		}
	}
	return f.Close()
}

func (s *Sizes) readBig(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	wanted, got := pattern(block, 1), make([]byte, block)
	for i := range s.big {
		if err := ctx.Err(); err != nil {
			return err
		}
		wanted[0], wanted[1] = byte(i), byte(i>>8)
		if _, err := io.ReadFull(f, got); err != nil {
			return err
		}
		if !bytes.Equal(got, wanted) {
			return fmt.Errorf("block %d has other content than was written", i)
		}
	}
	return nil
}

// save writes a file as careful editors do: a new one beside it, made durable,
// renamed over it.
func (s *Sizes) save(ctx context.Context, path string) error {
	var last []byte
	for i := range s.saves {
		if err := ctx.Err(); err != nil {
			return err
		}
		last = pattern(20_000, uint64(i))
		f, err := os.Create(path + "~")
		if err != nil {
			return err
		}
		_, err = f.Write(last)
		if err := errors.Join(err, f.Sync(), f.Close(), os.Rename(path+"~", path)); err != nil {
			return err
		}
	}
	got, err := os.ReadFile(path)
	if err == nil && sha256.Sum256(got) != sha256.Sum256(last) {
		err = errors.New("the last save is not what the file has")
	}
	return err
}

// pattern is n bytes that do not compress, the same ones for the same seed.
func pattern(n int, seed uint64) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	return output(ctx, dir, append([]string{"git", "-c", "user.name=bench", "-c", "user.email=bench@example.org",
		"-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "commit.gpgsign=false"}, args...)...)
}

func lines(ctx context.Context, dir string, n int, args ...string) error {
	out, err := output(ctx, dir, args...)
	return errors.Join(err, want("lines of "+args[0], strings.Count(out, "\n"), n))
}

func want(what string, got, wanted int) error {
	if got != wanted {
		return fmt.Errorf("%d %s, not %d", got, what, wanted)
	}
	return nil
}

func output(ctx context.Context, dir string, args ...string) (string, error) {
	return outputOf(ctx, dir, "", args...)
}

func outputOf(ctx context.Context, dir, stdin string, args ...string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s%s", args[0], err, stderr.String(), out[:min(len(out), 2000)])
	}
	return string(out), err
}
