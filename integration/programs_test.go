package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/integration/require"
	"satchel/integration/rig"
)

// programsVariable makes TestPrograms run the slow ones too, whose packages `setup.sh programs`
// installs: `make programs`.
const programsVariable = "SATCHEL_PROGRAMS"

// program is heavy use of a real program, as a script that fails when something is wrong. It
// runs in a new folder of the mount; $SCRATCH is one outside.
type program struct {
	name     string
	needs    []string
	slow     bool
	ordinary bool // refuses to run as root
	script   string
}

var programs = []program{
	{name: "sqlite, two writers", needs: []string{"sqlite3"}, script: `
		sqlite3 db 'PRAGMA journal_mode=WAL; CREATE TABLE t(w, n)' >/dev/null
		writer() { for i in $(seq 150); do echo "INSERT INTO t VALUES($1, $i);"; done | sqlite3 -bail -cmd '.timeout 60000' db; }
		writer 1 & one=$!; writer 2; wait $one
		[ "$(sqlite3 db 'PRAGMA integrity_check; SELECT count(*), count(DISTINCT w) FROM t')" = "ok
300|2" ]`},
	{name: "rsync there and back", needs: []string{"rsync", "setfattr", "setfacl", "getfacl"}, script: `
		mkdir -p "$SCRATCH/from/a/b"; cd "$SCRATCH/from"
		head -c 300000 /dev/urandom >a/random; ln a/random a/b/hard; ln -s ../random a/b/soft; mkfifo a/pipe
		truncate -s 3M a/sparse; echo data | dd of=a/sparse bs=1 seek=2000000 conv=notrunc status=none
		setfattr -n user.comment -v "a note" a/random; chmod 640 a/random; chmod 1770 a/b
		setfacl -m u:4242:rw a/sparse; setfacl -d -m g:4243:rx a/b
		touch -d '2001-02-03 04:05:06.789' a/random a/b a
		cd - >/dev/null
		rsync -aHAXS "$SCRATCH/from/" here/; rsync -aHAXS here/ "$SCRATCH/back/"
		[ -z "$(rsync -aHAXSnic --delete "$SCRATCH/from/" here/)" ]
		[ -z "$(rsync -aHAXSnic --delete "$SCRATCH/from/" "$SCRATCH/back/")" ]
		[ "$(cd "$SCRATCH/from" && getfacl -R .)" = "$(cd "$SCRATCH/back" && getfacl -R .)" ]
		[ "$(stat -c %h here/a/random)" = 2 ] && [ "$(stat -c %b here/a/sparse)" -lt 100 ]`},
	{name: "tar, sparse and xattrs", needs: []string{"tar", "setfattr", "getfattr"}, script: `
		mkdir in out; truncate -s 5M in/sparse; echo data | dd of=in/sparse bs=1 seek=3000000 conv=notrunc status=none
		echo text >in/file; ln in/file in/hard; setfattr -n user.a -v b in/file
		tar -C in --sparse --xattrs -cf all.tar .
		[ "$(stat -c %s all.tar)" -lt 100000 ]
		tar -C out --sparse --xattrs -xpf all.tar
		diff -r in out; [ "$(stat -c %b out/sparse)" -lt 100 ]; [ "$(getfattr --only-values -n user.a out/hard)" = b ]`},
	{name: "postgres", ordinary: true, needs: []string{"initdb", "pgbench", "pg_ctl"}, script: `
		initdb -D data -A trust -U bench >/dev/null
		pg_ctl -D data -w -o "-k '$SCRATCH' -c listen_addresses= -c max_connections=20" -l log start >/dev/null
		trap 'pg_ctl -D data -m fast stop >/dev/null' EXIT
		export PGHOST="$SCRATCH" PGUSER=bench PGDATABASE=postgres
		pgbench -q -i -s 1 2>/dev/null >/dev/null
		pgbench -c 4 -j 2 -t 100 >/dev/null 2>log2 || { cat log2; exit 1; }
		[ "$(psql -Atc 'SELECT count(*) FROM pgbench_history')" = 400 ]
		pg_ctl -D data -m immediate stop >/dev/null
		pg_ctl -D data -w -o "-k '$SCRATCH' -c listen_addresses=" -l log start >/dev/null
		[ "$(psql -Atc 'SELECT count(*) FROM pgbench_history')" = 400 ]
		psql -Atc 'CREATE EXTENSION amcheck' >/dev/null 2>&1 || exit 0
		psql -Atc "SELECT bt_index_check(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam WHERE amname = 'btree' AND relpersistence = 'p'" >/dev/null`},
	{name: "git, heavy", slow: true, needs: []string{"git"}, script: `
		git init -q r; cd r; git config user.name t; git config user.email t@example.org
		cp -r "$(go env GOROOT)/src/net" .; git add -A; git commit -qm base; git checkout -qb side
		for i in $(seq 60); do echo "$i" >>net/side; git add -A; git commit -qm "side $i"; done
		git checkout -q -; for i in $(seq 20); do echo "$i" >>net/main; git add -A; git commit -qm "main $i"; done
		git checkout -q side; git rebase -q -; git gc -q --aggressive --prune=now; git repack -qadf
		git fsck --full --strict; [ -z "$(git status --porcelain)" ]; [ "$(git rev-list --count HEAD)" = 81 ]`},
	{name: "go build", slow: true, needs: []string{"go"}, script: `
		mkdir m cache; cd m; export GOCACHE="$PWD/../cache" GOFLAGS=-mod=mod
		printf 'module m\ngo 1.26\n' >go.mod
		printf 'package main\nimport ("fmt"; "net/http")\nfunc main() { fmt.Println(http.StatusText(200)) }\n' >main.go
		go build -o m . && [ "$(./m)" = OK ]; go vet .`},
	{name: "npm install", slow: true, needs: []string{"npm"}, script: `
		mkdir p; cd p; npm init -y >/dev/null; npm install --no-audit --no-fund express >/dev/null
		node -e 'require("express")()'; npm ls >/dev/null`},
	{name: "fio", slow: true, needs: []string{"fio"}, script: `
		fio --name=a --rw=randrw --size=64M --bs=4k --numjobs=4 --verify=crc32c --group_reporting >log
		fio --name=m --rw=randrw --size=64M --bs=4k --ioengine=mmap --verify=crc32c >>log
		fio --name=d --rw=randrw --size=64M --bs=4k --direct=1 --verify=crc32c >>log || { cat log; exit 1; }`},
	{name: "dbench", slow: true, needs: []string{"dbench"}, script: `dbench -t 20 8 >log || { tail log; exit 1; }`},
	{name: "stress-ng", slow: true, needs: []string{"stress-ng"}, script: `
		# 3: a stressor that this machine can't run
		stress-ng --class filesystem --sequential 2 --timeout 3 --verify --temp-path . >log 2>&1 || [ $? = 3 ] || { tail -30 log; exit 1; }
		! grep 'fail:' log`},
	{name: "libreoffice", slow: true, needs: []string{"soffice"}, script: `
		echo "Dear Anna" >letter.txt; mkdir profile
		office() { timeout 120 soffice "-env:UserInstallation=file://$SCRATCH/profile" --headless "$@" >log 2>&1 || { cat log; exit 1; }; }
		office --convert-to odt letter.txt; office --convert-to pdf letter.odt; office --convert-to docx letter.odt
		head -c 4 letter.pdf | grep -q %PDF; [ -s letter.docx ]; ! ls -a | grep 'lock\.'`},
}

// TestPrograms runs them in each way of mounting, and at the end compares what another device has: content, links,
// owners, modes, times, ACLs and xattrs. Not the times of directories: what was made and removed again before anybody
// heard of it, as a lock file is, has moved them on one device only.
func TestPrograms(t *testing.T) {
	slow := os.Getenv(programsVariable) != ""
	for _, mode := range mountModes {
		t.Run(mode.name, func(t *testing.T) {
			anna := newAccount(t, server(t), "anna")
			laptop := mode.mountOf(t, anna)
			for _, p := range programs {
				// All of PostgreSQL's many files are fetched again and again where the cache evicts.
				if slow || !p.slow && !(mode.evicting && p.name == "postgres") {
					t.Run(p.name, func(t *testing.T) { p.run(t, laptop) })
				}
			}
			desk := anna.mountNew(t, "desk")
			if slow {
				first, second := startOffice(t), startOffice(t)
				for _, kind := range []string{"odt", "ods", "docx"} {
					t.Run("libreoffice locks "+kind, func(t *testing.T) { officeLocks(t, anna, laptop, desk, first, second, kind) })
				}
			}
			syncAll(t, laptop)
			eventually(t, 30*time.Second, func() error {
				out, err := exec.CommandContext(t.Context(), "rsync", "-aHAXOcni", "--delete", laptop.Mount+"/", desk.Mount+"/").CombinedOutput()
				if err == nil && len(out) > 0 {
					err = errors.New("the other device differs")
				}
				if err != nil {
					err = fmt.Errorf("%w\n%.2000s", err, out)
				}
				return err
			})
		})
	}
}

func (p program) run(t *testing.T, d *rig.Device) {
	path := os.Getenv("PATH")
	postgres, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	path = strings.Join(append(postgres, path), ":")
	t.Setenv("PATH", path)
	for _, tool := range p.needs {
		require.Tool(t, tool)
	}
	dir, scratch := filepath.Join(d.Mount, strings.ReplaceAll(p.name, " ", "-")), plainFolder(t, nil)
	must(t, os.Mkdir(dir, 0o755))
	cmd := exec.CommandContext(t.Context(), "bash", "-e", "-o", "pipefail", "-c", p.script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SCRATCH="+scratch, "LC_ALL=C")
	cmd.WaitDelay = 10 * time.Second
	if p.ordinary && os.Getuid() == 0 {
		cred := nobody(t)
		must(t, os.Chmod(d.Mount, 0o755))
		must(t, os.Chown(dir, int(cred.Uid), int(cred.Gid)))
		must(t, os.Chown(scratch, int(cred.Uid), int(cred.Gid)))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%.4000s", err, out)
	}
}

// TestRemount: what stat shows is the same after the server heard of it and after the daemon began anew, and
// files that it finds cached can be opened in every way.
func TestRemount(t *testing.T) {
	laptop := newAccount(t, server(t), "anna").mountNew(t, "laptop")
	dir := filepath.Join(laptop.Mount, "d")
	command(t, "", "sh", "-ec", `mkdir "$1"; cd "$1"; mkdir sub; echo one >f; ln f sub/hard; ln -s f soft; mkfifo p
		truncate -s 1M sparse; echo x >>sparse; touch -d '2001-02-03 04:05:06.789' f sub; chmod 2750 sub`, "sh", dir)
	names := []string{".", "f", "sub", "sub/hard", "soft", "p", "sparse"}
	look := func() (all []unix.Stat_t) {
		for _, n := range names {
			var st unix.Stat_t
			must(t, unix.Lstat(filepath.Join(dir, n), &st))
			st.Dev, st.Atim = 0, unix.Timespec{}
			all = append(all, st)
		}
		return all
	}
	want := look()
	same := func(when string) {
		t.Helper()
		for i, st := range look() {
			if st != want[i] {
				t.Errorf("%s, %s: %+v\nwas %+v", when, names[i], st, want[i])
			}
		}
	}
	syncAll(t, laptop)
	same("after the server heard")
	must(t, laptop.Unmount(t.Context()))
	mount(t, laptop)
	same("after a remount")
	for i := range 3 { // fusermount3 and umount do not wait for the daemon; the next mount does
		write(t, filepath.Join(laptop.Mount, "unsent"), strings.Repeat("x", i))
		command(t, "", "fusermount3", "-u", laptop.Mount)
		mount(t, laptop)
	}
	same("after others unmounted it")
	for _, flags := range []int{os.O_WRONLY | os.O_APPEND, os.O_RDWR, os.O_RDONLY, os.O_WRONLY | os.O_TRUNC} {
		f, err := os.OpenFile(filepath.Join(dir, "f"), flags, 0)
		must(t, err)
		f.Close()
		must(t, laptop.Unmount(t.Context()))
		mount(t, laptop)
	}
}
