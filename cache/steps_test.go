package cache

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

var (
	dirNames  = []string{"d", "e", "D"}
	fileNames = []string{"a", "b", "A", "caf\u00e9", "cafe\u0301", "d", "\xff"}
)

// known is the paths of the directories, or of all else, that the device has
// at hand; "" is the root.
func (v *device) known(dirs bool) (paths []string) {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	var walk func(n *node, path string)
	walk = func(n *node, path string) {
		if dirs {
			paths = append(paths, path)
		}
		if n.flags&flagComplete == 0 {
			return
		}
		l, err := v.d.dir(n, nil)
		if err != nil {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(l.byName)) {
			k, p := l.byName[name], strings.TrimPrefix(path+"/"+string(name), "/")
			if kid, err := v.d.load(k.id); err == nil && kid != nil && kid.isDir() {
				walk(kid, p)
			} else if !dirs {
				paths = append(paths, p)
			}
		}
	}
	walk(v.d.root, "")
	return paths
}

func pick[T any](m *model, all []T) T { return all[m.rng.IntN(len(all))] }

// dir draws a directory, mostly one that is there.
func (m *model) dir(v *device) string {
	if m.rng.IntN(10) == 9 {
		return pick(m, dirNames)
	}
	return pick(m, v.known(true))
}

// file draws the path of something that is there and no directory, or where
// something could be.
func (m *model) file(v *device) string {
	if all := v.known(false); len(all) > 0 && m.rng.IntN(10) < 8 {
		return pick(m, all)
	}
	return m.place(v)
}

// place draws a path where something could be made.
func (m *model) place(v *device) string {
	names := fileNames
	if m.rng.IntN(2) == 0 {
		names = dirNames
	}
	dir := m.dir(v)
	if strings.Count(dir, "/") > 2 {
		dir = ""
	}
	return strings.TrimPrefix(dir+"/"+pick(m, names), "/")
}

// target draws where something is put: half the time something is there.
func (m *model) target(v *device) string {
	if m.rng.IntN(2) == 0 {
		return m.file(v)
	}
	return m.place(v)
}

// any draws what is there, of any kind.
func (m *model) any(v *device) string {
	if m.rng.IntN(2) == 0 {
		return m.file(v)
	}
	if p := m.dir(v); p != "" {
		return p
	}
	return m.place(v)
}

// peek is what a program would find at a path without waiting for the server.
func (v *device) peek(path string) (content string, a Attr, err error) {
	if a, err = v.stat(path); err != nil || a.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", a, err
	}
	v.d.mu.Lock()
	cold := v.d.byFID[a.FID].slot == 0
	v.d.mu.Unlock()
	if cold {
		return "", a, nil // then it came from the server
	}
	content, err = v.read(path)
	return content, a, err
}

// doings is what programs, people and fate may do.
var doings = []string{
	"write", "write", "write", "write", "mkdir", "mkdir", "rename", "rename", "rename", "unlink", "unlink", "rmdir", "link", "symlink",
	"exchange", "chmod", "save", "setxattr", "open", "rewrite", "rewrite", "close", "fsync", "read", "list",
	"offline", "offline", "offline", "online", "lose", "break", "sync", "sync", "settle", "pause", "kill", "power", "restart", "api store", "api delete", "api move", "server",
}

// step does one random thing.
func (m *model) step() {
	v := pick(m, m.devices)
	what := pick(m, m.doings)
	note := func(err error, args ...any) {
		m.log = append(m.log, fmt.Sprintf("%-2s %-10s %s → %v", v.name, what, strings.TrimSpace(fmt.Sprintln(args...)), err))
		if t, ok := v.wire.Remote.(traced); ok {
			t.note("=== %s", m.log[len(m.log)-1])
		}
	}
	switch what {
	case "write", "save":
		path := m.target(v)
		old, _, _ := v.peek(path)
		x := m.text(v)
		if m.rng.IntN(8) == 0 { // what somebody has written already
			x.content = pick(m, m.texts).content
		}
		var err error
		if what == "write" {
			err = v.write(path, x.content)
		} else {
			tmp := path + "~" // which may be there: another device's, or one that a crash left
			was, _, _ := v.peek(tmp)
			if err = v.write(tmp, x.content); err == nil {
				m.replace(v, tmp, was)
				err = v.rename(tmp, path, 0)
				if err != nil {
					v.unlink(tmp)
				}
			}
		}
		note(err, path, x.content[:min(len(x.content), 9)])
		if err != nil {
			x.excused = true
			return
		}
		m.replace(v, path, old)
	case "open":
		path := m.target(v)
		if len(m.open) < 4 {
			h, err := v.openFile(path, unix.O_RDWR|unix.O_CREAT)
			note(err, path)
			if err == nil {
				m.open = append(m.open, h)
			}
		}
	case "rewrite":
		if h := m.handle(v); h != nil {
			old, _ := h.read()
			x := m.text(v)
			// One size: a shorter text would leave the end of the longer one.
			x.content = fmt.Sprintf("%-6000s", x.content)
			err := h.write(x.content)
			note(err, "handle", h.fid, x.content[:9])
			if err != nil {
				x.excused = true
				return
			}
			if n := h.node(); n == nil || n.dead || n.stale && n.hot == nil {
				x.excused = true // no name leads to it
			}
			m.replace(v, "", old)
		}
	case "close":
		if h := m.handle(v); h != nil {
			h.close()
			m.forget(h)
			note(nil, "handle", h.fid)
		}
	case "fsync":
		if h := m.handle(v); h != nil {
			err := h.fsync()
			note(err, "handle", h.fid)
			if err == nil {
				now, _ := h.read()
				m.fsynced(v, now)
			}
		}
	case "read":
		path := m.file(v)
		_, err := v.read(path)
		note(err, path)
	case "list":
		_, err := v.view()
		note(err)
	case "mkdir":
		path := m.place(v)
		note(v.mkdir(path), path)
	case "symlink":
		path := m.place(v)
		note(v.symlink("target of "+path, path), path)
	case "unlink":
		path := m.file(v)
		old, _, _ := v.peek(path)
		err := v.unlink(path)
		note(err, path)
		if err == nil {
			m.replace(v, path, old)
		}
	case "rmdir":
		path := m.dir(v)
		note(v.rmdir(path), path)
	case "rename":
		from, to := m.any(v), m.target(v)
		old, _, _ := v.peek(to)
		err := v.rename(from, to, 0)
		note(err, from, to)
		if err == nil {
			m.replace(v, to, old)
		}
	case "exchange":
		from, to := m.any(v), m.any(v)
		note(v.rename(from, to, unix.RENAME_EXCHANGE), from, to)
	case "link":
		from, to := m.file(v), m.place(v)
		note(v.link(from, to), from, to)
	case "chmod":
		path, mode := m.any(v), 0o400+m.rng.Uint32N(0o400)
		note(v.chmod(path, mode), path)
	case "setxattr":
		path := m.any(v)
		a, err := v.stat(path)
		if err == nil {
			err = v.d.Setxattr(a.FID, "user."+pick(m, []string{"x", "y"}),
				[]byte(pick(m, []string{"", "1", "2"})), false, false)
		}
		note(err, path)
	case "offline":
		v.wire.cut()
		m.offline[v] = true
		note(nil)
	case "online":
		v.wire.mend()
		m.offline[v] = false
		note(nil)
	case "lose":
		v.wire.loseAnswers(1 + m.rng.IntN(3))
		note(nil)
	case "break":
		v.wire.breakCommits(1+m.rng.IntN(6), m.rng.IntN(2) == 0)
		note(nil)
	case "sync":
		if !m.offline[v] {
			behind := m.behind(v)
			err := v.sync()
			note(err)
			if api.KindOf(err) == api.Internal || err != nil && v.wire.net != nil { // the server fails on something, or the network does
				return
			}
			if err != nil {
				m.fail("%s: sync: %v", v.name, err)
			}
			if !behind && !m.behind(v) {
				m.sent(v)
			}
		}
	case "settle":
		v.settled()
		m.safer(v, soft)
		note(nil)
	case "pause":
		time.Sleep(time.Duration(1+m.rng.IntN(700)) * time.Millisecond)
		note(nil)
	case "kill", "power":
		v.kill(what == "power")
		if what == "power" {
			m.crashed(v, hard)
		} else {
			m.crashed(v, soft)
		}
		note(nil)
		m.reopen(v)
	case "restart":
		v.restart()
		note(nil)
		m.reopen(v)
	case "server":
		m.world.restart()
		note(nil)
	case "weather", "forget", "backup", "restore":
		m.log = append(m.log, "the server: "+what)
		m.world.(*simulated).fate(m, what)
	default:
		m.api(strings.TrimPrefix(what, "api "))
	}
}

// api does something through the HTTP API.
func (m *model) api(what string) {
	path := pick(m, dirNames) + "/" + pick(m, []string{"a", "b", "café"})
	var err error
	switch what {
	case "store":
		x := m.text(nil)
		if err = m.world.store(path, x.content); err != nil {
			x.excused = true
		} else {
			x.server = true
		}
	case "delete":
		err = m.world.remove(path)
	case "move":
		err = m.world.move(path, pick(m, dirNames)+"/moved")
	}
	m.log = append(m.log, fmt.Sprintf("the API %s %s → %v", what, path, err))
}
