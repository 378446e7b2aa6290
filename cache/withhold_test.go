package cache

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// A strictServer is one that lets a device change nothing, as long as it is strict, and the place where that device's refused content is kept.
type strictServer struct {
	Remote
	strict  atomic.Bool
	refused atomic.Int32 // mutations

	mu      sync.Mutex
	kept    map[string][]string
	copying func(name string) // what happens after content was copied, before that is over; once
}

func (k *strictServer) Commit(ctx context.Context, b api.Batch) (c api.Committed, err error) {
	if !k.strict.Load() {
		return k.Remote.Commit(ctx, b)
	}
	all := b.Mutations
	b.Mutations = []api.Mutation{}
	if c, err = k.Remote.Commit(ctx, b); err != nil {
		return c, err
	}
	for _, m := range all {
		k.refused.Add(1)
		c.Outcomes = append(c.Outcomes, api.Outcome{Status: api.Refused, Kind: api.Permission, Message: "you may not do this here"})
		if n, err := k.Node(ctx, m.Node); err == nil {
			c.Nodes = append(c.Nodes, n)
		} else {
			c.Gone = append(c.Gone, m.Node)
		}
		if m.Op == api.OpCreate {
			c.Entries = append(c.Entries, api.EntryState{Parent: m.Parent, Name: m.Name})
		}
	}
	return c, nil
}

func (k *strictServer) rescue(name string, content io.Reader) (string, error) {
	b, err := io.ReadAll(content)
	k.mu.Lock()
	k.kept[name] = append(k.kept[name], string(b))
	then := k.copying
	k.copying = nil
	k.mu.Unlock()
	if then != nil {
		then(name)
	}
	return "Recovered/" + name, err
}

// has tells what was kept last under a name.
func (k *strictServer) has(name string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if all := k.kept[name]; len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// inStrict runs a test with a device whose refused content is kept elsewhere, and that has a file "old".
func inStrict(t *testing.T, fn func(t *testing.T, k *strictServer, v *device)) {
	t.Helper()
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("old", "as it was"))
		mustQuiet(t, x, y)
		x.end()
		k := &strictServer{Remote: x.wire.Remote, kept: map[string][]string{}}
		x.wire.Remote, x.cfg.Rescue = k, k.rescue
		x.wire.mend()
		x.start()
		_, err := x.view()
		must(t, err)
		mustQuiet(t, x, y)
		k.strict.Store(true)
		fn(t, k, x)
		k.strict.Store(false)
		if truth := mustQuiet(t, x, y); len(truth) != 1 || truth["old"].content != "as it was" {
			t.Errorf("the drive has\n%v", truth)
		}
	})
}

// refuse waits until the server has refused something more.
func (k *strictServer) refuse(t *testing.T) {
	t.Helper()
	before := k.refused.Load()
	eventually(t, "the server refuses it", func() bool { return k.refused.Load() > before })
	synctest.Wait()
}

// What a program that has a refused file open writes, before or after the server refuses it, is rescued when it closes the file.
func TestRescuedWhenItIsClosed(t *testing.T) {
	for _, name := range []string{"old", "new"} {
		inStrict(t, func(t *testing.T, k *strictServer, v *device) {
			h, err := v.openFile(name, unix.O_RDWR|unix.O_CREAT)
			must(t, err)
			must(t, h.write("begun, and "))
			k.refuse(t)
			k.refuse(t) // as it is set aside, and offered again
			if s := v.d.Status(); s.Failing != 1 {
				t.Errorf("%s: while it is open %d changes are said to fail: %s", name, s.Failing, s.Problem)
			}
			must(t, h.write("written after it was refused"))
			must(t, h.fsync())
			before := time.Now()
			h.close()
			eventually(t, "it is kept", func() bool { return k.has(name) != "" })
			if took := time.Since(before); took > 5*time.Second || k.has(name) != "written after it was refused" || len(k.kept[name]) != 1 {
				t.Errorf("%s: %s after it was closed this is kept: %q", name, took, k.kept[name])
			}
		})
	}
}

// So is what is written while it is rescued.
func TestWrittenWhileItIsRescued(t *testing.T) {
	for _, name := range []string{"old", "new"} {
		for _, closed := range []bool{true, false} {
			inStrict(t, func(t *testing.T, k *strictServer, v *device) {
				var h *handle
				k.copying = func(string) {
					var err error
					h, err = v.openFile(name, unix.O_WRONLY)
					must(t, err)
					must(t, h.write("written while it was copied"))
					must(t, h.fsync())
					if closed {
						h.close()
					}
				}
				must(t, v.write(name, "first"))
				k.refuse(t)
				if !closed {
					k.refuse(t)
					must(t, h.write("written after it was copied"))
					h.close()
				}
				want := map[bool]string{true: "written while it was copied", false: "written after it was copied"}[closed]
				eventually(t, "what was written is kept", func() bool { return k.has(name) == want })
			})
		}
	}
}

// A machine that loses its power meanwhile loses nothing that was made durable.
func TestWithheldOverAPowerLoss(t *testing.T) {
	inStrict(t, func(t *testing.T, k *strictServer, v *device) {
		v.unkind = true
		h, err := v.openFile("new", unix.O_RDWR|unix.O_CREAT)
		must(t, err)
		must(t, h.write("begun"))
		k.refuse(t)
		must(t, h.write("written after it was refused"))
		must(t, h.fsync())
		v.kill(true)
		v.start()
		eventually(t, "it is kept", func() bool { return k.has("new") == "written after it was refused" })
	})
}

// A server that allows it, before the file is closed, has it, by the name that it has by then.
func TestAllowedBeforeItIsClosed(t *testing.T) {
	inStrict(t, func(t *testing.T, k *strictServer, v *device) {
		h, err := v.openFile("new", unix.O_RDWR|unix.O_CREAT)
		must(t, err)
		must(t, h.write("begun"))
		must(t, v.rename("new", "newer", 0))
		k.refuse(t)
		must(t, h.write("written after it was refused"))
		k.strict.Store(false)
		h.close()
		if truth := mustQuiet(t, v); truth["newer"].content != "written after it was refused" || len(truth) != 2 || k.has("newer") != "" {
			t.Errorf("the drive has\n%v", truth)
		}
		must(t, v.unlink("newer"))
	})
}

// A file that the server has taken away can be read on by who has it open, and nobody can begin to write to it: that would be lost.
func TestNobodyWritesToWhatIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("f", "text"))
		mustQuiet(t, x, y)
		h, err := y.openFile("f", unix.O_RDONLY)
		must(t, err)
		_, err = h.read()
		must(t, err)
		must(t, x.unlink("f"))
		mustQuiet(t, x, y)
		if _, err := y.d.Open(h.fid, unix.O_RDWR, self, nil); err != ErrStale {
			t.Errorf("open to write: %v", err)
		}
		if text, err := h.read(); text != "text" || err != nil {
			t.Errorf("it reads %q, %v", text, err)
		}
		h.close()
	})
}
