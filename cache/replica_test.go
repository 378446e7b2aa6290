package cache

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// seen is what somebody sees at a path.
type seen struct {
	id      api.ID
	typ     string
	mode    uint32
	nlink   uint32
	mtime   int64 // of files
	target  string
	xattrs  string
	content string
}

// A view is a whole tree by path.
type view map[string]seen

func xattrText(x map[string][]byte) string {
	var b bytes.Buffer
	for _, k := range slices.Sorted(maps.Keys(x)) {
		fmt.Fprintf(&b, "%s=%q ", k, x[k])
	}
	return b.String()
}

// view is the tree as the device's programs see it.
func (v *device) view() (view, error) {
	tree := view{}
	var walk func(fid uint64, path string) error
	walk = func(fid uint64, path string) error {
		var names []string
		err := v.d.ReadDir(fid, 0, nil, func(e Dirent) bool {
			if e.Name != "." && e.Name != ".." {
				names = append(names, e.Name)
			}
			return true
		}, nil)
		if err != nil {
			return fmt.Errorf("list %q: %w", path, err)
		}
		for _, name := range names {
			a, err := v.kern.lookup(fid, name)
			if err != nil {
				return fmt.Errorf("%s%s is listed and not found: %w", path, name, err)
			}
			v.d.mu.Lock()
			n := v.d.byFID[a.FID]
			s := seen{id: n.id, typ: string(n.typ), mode: n.mode, nlink: n.nlink, target: n.target, xattrs: xattrText(n.xattrs)}
			if n.isFile() {
				s.mtime = n.mtime
			}
			v.d.mu.Unlock()
			switch a.Mode & unix.S_IFMT {
			case unix.S_IFREG:
				if s.content, err = v.read(path + name); err != nil {
					return fmt.Errorf("read %s%s: %w", path, name, err)
				}
			case unix.S_IFDIR:
				if err := walk(a.FID, path+name+"/"); err != nil {
					return err
				}
			}
			tree[path+name] = s
		}
		return nil
	}
	return tree, walk(rootFID, "")
}

// serverView is the tree as the server has it.
func serverView(r Remote) (view, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	info, err := r.Info(ctx)
	if err != nil {
		return nil, err
	}
	tree := view{}
	var walk func(dir api.ID, path string) error
	walk = func(dir api.ID, path string) error {
		var entries []api.EntryState
		nodes := map[api.ID]api.Node{}
		for after, more := api.Name(""), true; more; {
			l, err := r.Children(ctx, dir, after, 5000, nil)
			if err != nil {
				return err
			}
			for _, n := range l.Nodes {
				nodes[n.ID] = n
			}
			entries = append(entries, l.Entries...)
			if more = l.More; more {
				after = entries[len(entries)-1].Name
			}
		}
		for _, e := range entries {
			n, p := nodes[e.Node], path+string(e.Name)
			s := seen{id: n.ID, typ: string(n.Type), mode: n.Mode, nlink: n.Nlink, target: string(n.Target), xattrs: xattrText(n.Xattrs)}
			switch n.Type {
			case api.File:
				s.mtime = n.Mtime
				body, err := r.Content(ctx, n.ID, n.Version, 0, -1)
				if err != nil {
					return fmt.Errorf("content of %s: %w", p, err)
				}
				b, err := io.ReadAll(body)
				body.Close()
				if err != nil {
					return err
				}
				s.content = string(b)
			case api.Directory:
				if err := walk(n.ID, p+"/"); err != nil {
					return err
				}
			}
			tree[p] = s
		}
		return nil
	}
	return tree, walk(info.Root, "")
}

// differs says where two trees are not the same, "" if nowhere.
func differs(a, b view) string {
	var out []string
	for _, p := range slices.Sorted(maps.Keys(a)) {
		if o, ok := b[p]; !ok {
			out = append(out, fmt.Sprintf("%q is only here: %s", p, a[p]))
		} else if o != a[p] {
			out = append(out, fmt.Sprintf("%q is %s here and %s there", p, a[p], o))
		}
	}
	for _, p := range slices.Sorted(maps.Keys(b)) {
		if _, ok := a[p]; !ok {
			out = append(out, fmt.Sprintf("%q is only there: %s", p, b[p]))
		}
	}
	return strings.Join(out, "\n")
}

func (s seen) String() string {
	return fmt.Sprintf("%s %o ×%d %.40q %s%s mtime %d id %s", s.typ, s.mode, s.nlink, s.content, s.target, s.xattrs, s.mtime, s.id)
}

func (t view) String() string {
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintf(&b, "  %q: %s\n", p, t[p])
	}
	return b.String()
}

// find is the paths whose file has a content.
func (t view) find(content string) []string {
	var paths []string
	for _, p := range slices.Sorted(maps.Keys(t)) {
		if t[p].typ == "f" && t[p].content == content {
			paths = append(paths, p)
		}
	}
	return paths
}

// agree waits until every device shows what the server has, and returns that.
func agree(devices ...*device) (view, error) {
	var last error
	patience := 20 * time.Second
	if devices[0].wire.net != nil {
		patience = 2 * holdBack // of the bubble's
	}
	for pause, until := 20*time.Millisecond, time.Now().Add(patience); time.Now().Before(until); time.Sleep(pause) {
		pause += pause / 20
		truth, err := serverView(devices[0].wire)
		if err != nil {
			return nil, err
		}
		last = nil
		for _, v := range devices {
			err := v.kern.wrong() // before view looks all names up
			var mine view
			if err == nil {
				mine, err = v.view()
			}
			if err != nil {
				last = fmt.Errorf("%s: %w", v.name, err)
			} else if diff := differs(mine, truth); diff != "" {
				last = fmt.Errorf("%s is not what the server has:\n%s", v.name, diff)
			}
			if last != nil {
				break
			}
		}
		if last == nil {
			again, err := serverView(devices[0].wire)
			if err == nil && differs(truth, again) == "" {
				return truth, nil
			}
			last = fmt.Errorf("the server changes on: %v", err)
		}
	}
	return nil, last
}

// quiet sends all that is pending everywhere and waits until all agree.
func quietly(devices ...*device) (view, error) {
	for range 2 { // what one sends may give another something to send
		for _, v := range devices {
			v.wire.mend()
			v.wire.loseAnswers(0)
			if err := v.sync(); err != nil {
				return nil, fmt.Errorf("%s: sync: %w", v.name, err)
			}
		}
	}
	return agree(devices...)
}
