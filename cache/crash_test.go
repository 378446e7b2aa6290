package cache

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"satchel/integration/live"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// alone is a device of a new account on a new server.
func alone(t *testing.T) *device {
	s := live.New(t)
	return newDevice(t, s.User(), s.URL, "laptop", rand.New(rand.NewPCG(1, 1)))
}

// pair is two devices of a new account on a new server.
func pair(t *testing.T) (a, b *device, s *live.Server, u *live.User) {
	s = live.New(t)
	u = s.User()
	rng := rand.New(rand.NewPCG(1, 1))
	return newDevice(t, u, s.URL, "laptop", rng), newDevice(t, u, s.URL, "desk", rng), s, u
}

func mustQuiet(t testing.TB, devices ...*device) view {
	t.Helper()
	truth, err := quietly(devices...)
	if err != nil {
		for _, v := range devices {
			t.Logf("--- log of %s\n%s", v.name, v.log)
		}
		t.Fatal(err)
	}
	return truth
}

// replicaFiles is the files of the replica whose names end so.
func (v *device) replicaFiles(t testing.TB, suffix string) (paths []string) {
	t.Helper()
	dir := filepath.Join(v.dir(), "replica")
	names, err := v.mem.List(dir)
	must(t, err)
	slices.Sort(names)
	for _, n := range names {
		if strings.HasSuffix(n, suffix) {
			paths = append(paths, filepath.Join(dir, n))
		}
	}
	return paths
}

// alter changes what a file of the replica has.
func (v *device) alter(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	f, err := v.mem.Open(path)
	must(t, err)
	b, err := io.ReadAll(f)
	must(t, err)
	must(t, f.Close())
	w, err := v.mem.Create(path, vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = w.Write(change(bytes.Clone(b)))
	must(t, err)
	must(t, w.Sync())
	must(t, w.Close())
}

func garble(b []byte) []byte {
	for i := len(b) / 8; i < len(b)-len(b)/8; i += 7 {
		b[i] ^= 0x5a
	}
	return b
}

// Power loss takes content files whose records got to the disk: a new file is empty then, as on a local disk, with the
// same times here and on the server; of an old one the server has a version, which an empty one must not replace.
func TestContentFilesAreMissing(t *testing.T) {
	v := alone(t)
	must(t, v.write("old", "sent"))
	mustQuiet(t, v)
	v.wire.cut()
	must(t, v.write("old", "not sent"))
	must(t, v.write("new", "not sent"))
	must(t, v.write("saved~", "not sent"))
	must(t, v.rename("saved~", "saved", 0))
	v.settled()
	v.kill(false)
	v.boots++
	for path := range v.contentFiles() {
		must(t, os.Remove(path))
	}
	v.wire.stopUploads(true)
	v.start()
	v.restart()
	v.wire.stopUploads(false)
	truth := mustQuiet(t, v)
	if old, made, saved := truth["old"].content, truth["new"].content, truth["saved"].content; old != "sent" || made != "" || saved != "" || len(truth) != 3 {
		t.Errorf("the server has\n%v", truth)
	}
	if s := v.d.Status(); s.PendingMutations != 0 || s.Unproven != 0 {
		t.Errorf("it is not quiet: %+v", s)
	}
}

// A damaged replica is noticed, and made anew from the server; unsent work
// is in the Recovered folder.
func TestDamagedReplica(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, v *device)
	}{
		{"garbled tables", func(t *testing.T, v *device) {
			for _, p := range v.replicaFiles(t, ".sst") {
				v.alter(t, p, garble)
			}
		}},
		{"a missing table", func(t *testing.T, v *device) {
			for _, p := range v.replicaFiles(t, ".sst") {
				must(t, v.mem.Remove(p))
			}
		}},
		{"a garbled manifest", func(t *testing.T, v *device) {
			for _, p := range v.replicaFiles(t, "") {
				if strings.Contains(p, "MANIFEST") {
					v.alter(t, p, garble)
				}
			}
		}},
		{"a replica that is gone", func(t *testing.T, v *device) { must(t, v.mem.RemoveAll(filepath.Join(v.dir(), "replica"))) }},
		{"damage that was found while it ran", func(t *testing.T, v *device) {
			must(t, os.WriteFile(filepath.Join(v.dir(), "damaged"), []byte("a bad block"), 0o600))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := alone(t)
			must(t, v.mkdir("docs"))
			must(t, v.write("docs/old", "the server has this"))
			must(t, v.write("docs/edited", "first"))
			must(t, v.mkdir("Recovered"))
			must(t, v.write("Recovered/draft", "from an earlier time"))
			mustQuiet(t, v)
			v.wire.cut()
			must(t, v.write("docs/edited", "second, unsent"))
			must(t, v.write("docs/draft", "new and unsent"))
			must(t, v.d.st.settle())
			must(t, v.d.st.settle()) // it stays unsent, so it describes itself
			must(t, v.d.st.Flush())
			v.kill(false)
			c.damage(t, v)
			v.wire.cut()
			v.start() // without the server too
			must(t, v.d.st.settle())
			v.wire.mend()
			truth := mustQuiet(t, v)
			for _, want := range []string{"the server has this", "first", "from an earlier time"} {
				if len(truth.find(want)) != 1 {
					t.Errorf("%q is at %q", want, truth.find(want))
				}
			}
			for _, want := range []string{"second, unsent", "new and unsent"} {
				if p := truth.find(want); len(p) != 1 || !strings.HasPrefix(p[0], "Recovered") {
					t.Errorf("%q is at %q, not in Recovered", want, p)
				}
			}
			if t.Failed() {
				t.Logf("the server has\n%v\n%s", truth, v.log)
			}
			// It was a one-time thing.
			v.restart()
			if again := mustQuiet(t, v); differs(truth, again) != "" {
				t.Errorf("another restart changed things:\n%s", differs(truth, again))
			}
		})
	}
}

// What survives a torn end of the journal is a prefix of what was done.
func TestTornJournal(t *testing.T) {
	v := alone(t)
	mustQuiet(t, v)
	for round := range 6 {
		v.wire.cut()
		const files = 40
		for i := range files {
			must(t, v.write(fmt.Sprintf("r%d-%02d", round, i), fmt.Sprintf("content %d of %d", i, round)))
		}
		v.settled()
		v.kill(false)
		logs := v.replicaFiles(t, ".log")
		last := logs[len(logs)-1]
		v.alter(t, last, func(b []byte) []byte {
			cut := len(b) - 1 - v.rng.IntN(min(len(b)-1, 6000))
			if round%2 == 1 {
				return append(b[:cut], make([]byte, len(b)-cut)...) // the file's size got there first
			}
			return b[:cut]
		})
		v.start()
		tree, err := v.view()
		must(t, err)
		n := 0
		for ; n < files; n++ {
			s, ok := tree[fmt.Sprintf("r%d-%02d", round, n)]
			if !ok {
				break
			}
			if want := fmt.Sprintf("content %d of %d", n, round); s.content != want && n < files-1 {
				t.Errorf("round %d: file %d has %q", round, n, s.content)
			}
		}
		for i := n; i < files; i++ {
			if _, ok := tree[fmt.Sprintf("r%d-%02d", round, i)]; ok {
				t.Errorf("round %d: file %d is there, and %d is not", round, i, n)
			}
		}
		t.Logf("round %d: %d of %d files survived", round, n, files)
		mustQuiet(t, v)
	}
}

// With passthrough programs write past the daemon, so they go on when it is dead.
func TestWrittenWhileDead(t *testing.T) {
	v := alone(t)
	must(t, v.write("clean", "as it was"))
	must(t, v.write("same size", "before"))
	must(t, v.write("open", "as it was"))
	mustQuiet(t, v)
	h, err := v.openFile("open", unix.O_RDWR)
	must(t, err)
	paths := map[string]string{}
	for _, name := range []string{"clean", "same size", "open"} {
		a, err := v.stat(name)
		must(t, err)
		v.d.mu.Lock()
		paths[name] = strings.TrimPrefix(v.d.slotPath(v.d.byFID[a.FID].slot), v.dir())
		v.d.mu.Unlock()
	}
	_ = h
	v.settled()
	v.kill(false)
	for name, text := range map[string]string{"clean": "written while it was dead", "same size": "behind", "open": "a program went on"} {
		var st unix.Stat_t
		p := v.dir() + paths[name]
		must(t, unix.Stat(p, &st))
		must(t, os.WriteFile(p, []byte(text), 0o600))
		if name == "same size" { // only the ctime tells
			must(t, os.Chtimes(p, time.Time{}, time.Unix(0, st.Mtim.Nano())))
		}
	}
	v.start()
	truth := mustQuiet(t, v)
	for name, text := range map[string]string{"clean": "written while it was dead", "same size": "behind", "open": "a program went on"} {
		if truth[name].content != text {
			t.Errorf("%s has %q on the server, not %q", name, truth[name].content, text)
		}
	}
}

// What fsync has returned for survives power loss, with all that came before
// it; what was clean and did not reach the disk is fetched again.
func TestPowerLoss(t *testing.T) {
	v := alone(t)
	must(t, v.write("clean", "on the server"))
	mustQuiet(t, v)
	for round := range 12 {
		v.wire.cut()
		dir := fmt.Sprint("dir", round)
		must(t, v.mkdir(dir))
		must(t, v.write(dir+"/before", "written before the fsync"))
		must(t, v.rename(dir+"/before", dir+"/moved", 0))
		h, err := v.openFile(dir+"/synced", unix.O_RDWR|unix.O_CREAT)
		must(t, err)
		must(t, h.write("fsync returned"))
		must(t, h.fsync())
		h.close()
		must(t, v.write(dir+"/after", "nothing is promised"))
		must(t, v.write("clean", fmt.Sprint("edit ", round)))
		v.kill(true)
		v.start()
		for path, want := range map[string]string{dir + "/synced": "fsync returned", dir + "/moved": "written before the fsync"} {
			if got, err := v.read(path); err != nil || got != want {
				t.Fatalf("round %d: %s has %q, %v\n%s", round, path, got, err, v.log)
			}
		}
		mustQuiet(t, v)
	}
}
