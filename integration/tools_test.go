package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/integration/require"
)

// TestGit: a repository cloned into the mount is sound, there and on another
// device.
func TestGit(t *testing.T) {
	require.Tool(t, "git")
	anna := newAccount(t, server(t), "anna")
	laptop := anna.mountNew(t, "laptop")

	origin := filepath.Join(t.TempDir(), "origin")
	command(t, "", "cp", "-r", filepath.Join(goroot(t), "src", "encoding"), origin)
	git := func(dir string, args ...string) string {
		return command(t, dir, append([]string{"git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "gc.auto=0"}, args...)...)
	}
	git(origin, "init", "-q")
	git(origin, "add", "-A")
	git(origin, "commit", "-q", "-m", "first")

	clone := filepath.Join(laptop.Mount, "clone")
	git("", "clone", "-q", "--no-hardlinks", origin, clone)
	git(clone, "fsck", "--full", "--strict")
	write(t, filepath.Join(clone, "json", "encode.go"), "package json\n")
	git(clone, "commit", "-q", "-a", "-m", "second")
	git(clone, "gc", "-q")
	git(clone, "fsck", "--full", "--strict")
	if s := git(clone, "status", "--porcelain"); s != "" {
		t.Errorf("git status: %s", s)
	}
	syncAll(t, laptop)

	desk := anna.mountNew(t, "desk")
	other := filepath.Join(desk.Mount, "clone")
	git(other, "fsck", "--full", "--strict")
	command(t, "", "diff", "-r", clone, other)
}

func TestSQLite(t *testing.T) {
	require.Tool(t, "sqlite3")
	anna := newAccount(t, server(t), "anna")
	laptop := anna.mountNew(t, "laptop")
	for _, mode := range []string{"DELETE", "TRUNCATE", "WAL"} {
		t.Run(mode, func(t *testing.T) {
			db := filepath.Join(laptop.Mount, mode+".db")
			script := "PRAGMA journal_mode=" + mode + "; CREATE TABLE t(n INTEGER PRIMARY KEY, w TEXT);"
			script += strings.Repeat("INSERT INTO t(w) VALUES (hex(randomblob(50)));", 100) + "DELETE FROM t WHERE n % 3 = 0; VACUUM;"
			command(t, "", "sqlite3", "-bail", db, script)
			if out := command(t, "", "sqlite3", db, "PRAGMA integrity_check; SELECT count(*) FROM t"); out != "ok\n67\n" {
				t.Errorf("sqlite says %q", out)
			}
		})
	}
	syncAll(t, laptop)
	desk := anna.mountNew(t, "desk")
	if out := command(t, "", "sqlite3", filepath.Join(desk.Mount, "DELETE.db"), "PRAGMA integrity_check; SELECT count(*) FROM t"); out != "ok\n67\n" {
		t.Errorf("sqlite on the second device says %q", out)
	}
}

// TestEditorSaves: however an editor replaces a file, a person's document
// stays the same one.
func TestEditorSaves(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	laptop := anna.mountNew(t, "laptop")
	replace := func(path, content string) error {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteString(content); err != nil {
			return err
		}
		return f.Sync()
	}
	for name, save := range map[string]func(path, content string) error{
		"in place": replace,
		"temporary file renamed over": func(path, content string) error {
			if err := replace(path+".tmp", content); err != nil {
				return err
			}
			return os.Rename(path+".tmp", path)
		},
		"backup by rename, as vim": func(path, content string) error {
			if err := os.Rename(path, path+"~"); err != nil {
				return err
			}
			if err := replace(path, content); err != nil {
				return err
			}
			return os.Remove(path + "~")
		},
		"removed and written anew": func(path, content string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return replace(path, content)
		},
	} {
		t.Run(name, func(t *testing.T) {
			doc := strings.ReplaceAll(name, " ", "-") + ".txt"
			path := filepath.Join(laptop.Mount, doc)
			write(t, path, "draft")
			syncAll(t, laptop)
			before := anna.document(t, doc)
			for i := range 3 {
				must(t, save(path, fmt.Sprintf("version %d", i)))
				if i == 1 {
					syncAll(t, laptop) // some saves meet in the journal, some do not
				}
			}
			syncAll(t, laptop)
			must(t, anna.stored(t, doc, []byte("version 2")))
			if after := anna.document(t, doc); after != before {
				t.Errorf("the document was %s and is %s", before, after)
			}
			if all := anna.files(t, "file_path=like."+doc+"*"); len(all) != 1 {
				t.Errorf("besides the document there is %+v", all)
			}
		})
	}
}

// TestVim lets the real editor save, with its defaults.
func TestVim(t *testing.T) {
	vim := require.Tool(t, "vim", "vim.tiny")
	anna := newAccount(t, server(t), "anna")
	laptop := anna.mountNew(t, "laptop")
	path := filepath.Join(laptop.Mount, "letter.txt")
	write(t, path, "Dear Anna\n")
	syncAll(t, laptop)
	before := anna.document(t, "letter.txt")
	for i, setting := range []string{"backupcopy=auto", "backupcopy=no", "backupcopy=yes"} {
		command(t, laptop.Mount, vim, "-u", "NONE", "-es", "-c", "set nocompatible writebackup backupskip= "+setting, "-c", fmt.Sprintf("1s/.*/Dear %d/", i), "-c", "wq", path)
		must(t, has(path, fmt.Sprintf("Dear %d\n", i)))
		syncAll(t, laptop)
		must(t, anna.stored(t, "letter.txt", fmt.Appendf(nil, "Dear %d\n", i)))
		if after := anna.document(t, "letter.txt"); after != before {
			t.Errorf("set %s: the document was %s and is %s", setting, before, after)
		}
	}
}
