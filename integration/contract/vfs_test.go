package contract

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// vfs is /api/vfs as two people, a stranger and the admin use it. Each line
// has people of its own.
type vfs struct {
	t                  *testing.T
	w                  *world
	alice, bob, nobody *person
}

func onVFS(show func(*vfs)) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		show(&vfs{t: t, w: w, alice: w.newPerson(t), bob: w.newPerson(t), nobody: w.stranger()})
	}
}

// mounted is the directory of one of the world's local mounts.
func (w *world) mounted(name string) string {
	return filepath.Join(parts.Dir, "local-"+w.name, name)
}

// makeMounts makes the directories of two local mounts, and says what
// --vfs-config must for them and a system drive without one.
func (w *world) makeMounts() (config string, err error) {
	outside := filepath.Join(parts.Dir, "local-"+w.name, "secret")
	mounts := []object{{"name": "team"}}
	for _, name := range []string{"docs", "code"} {
		dir := w.mounted(name)
		for path, text := range map[string]string{outside: "secret", "a.md": "A", "b.log": "B", "sub/c.md": "C", "sub/.gitignore": "c.*\n", ".gitignore": "*.log\n/out/\n", "out/o": "O"} {
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return "", err
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				return "", err
			}
		}
		for name, target := range map[string]string{"escape": outside, "escapedir": filepath.Dir(outside), "up": "../secret", "inside": "a.md"} {
			if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
				return "", err
			}
		}
		mounts = append(mounts, object{"name": name, "type": "local", "path": dir})
	}
	b, err := json.Marshal(mounts)
	return string(b), err
}

// call makes a request under /api/vfs and checks its status.
func (v *vfs) call(as *person, method, path string, body any, status int) answer {
	v.t.Helper()
	a := as.send(v.t, method, "/api/vfs/"+path, nil, body)
	if a.status != status {
		v.t.Errorf("%s %s: %v, want %d", method, path, a, status)
	}
	if a.status >= 400 {
		var e struct {
			Success        *bool
			Error, Message string
		}
		if err := json.Unmarshal(a.body, &e); err != nil || e.Success == nil || *e.Success || e.Message == "" {
			v.t.Errorf("%s %s: the error is %v", method, path, a)
		}
	}
	return a
}

func (v *vfs) text(a answer) string { return string(a.body) }

type vfsEntry struct {
	Name, Path string
	Size       int64
}

func (v *vfs) entries(as *person, path string) []vfsEntry {
	v.t.Helper()
	var list []vfsEntry
	a := v.call(as, "GET", "ls/"+path, nil, 200)
	if err := json.Unmarshal(a.body, &list); err != nil {
		v.t.Errorf("ls %s: %v", path, a)
	}
	return list
}

// names lists a directory.
func (v *vfs) names(as *person, path string) string {
	v.t.Helper()
	var names []string
	for _, e := range v.entries(as, path) {
		names = append(names, e.Name)
	}
	return strings.Join(names, " ")
}

func (v *vfs) write(as *person, path, text string) {
	v.t.Helper()
	v.call(as, "PUT", "write/"+path, text, 200)
}

func (v *vfs) grant(as *person, mount, path, who string, status int, permissions ...string) {
	v.t.Helper()
	v.call(as, "POST", "acl/grant/"+mount, object{"path": path, "userId": who, "permissions": permissions}, status)
}

func (v *vfs) expect(what string, got, want any) {
	v.t.Helper()
	if got != want {
		v.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// stored counts the objects of the blob store.
func (v *vfs) stored() int {
	v.t.Helper()
	must(v.t, parts.UseBlobs(v.t.Context(), v.w.store, "")) // so that the rig looks there
	n, _, err := v.w.server.Objects(v.t.Context())
	must(v.t, err)
	return n
}
