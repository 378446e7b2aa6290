package cache

import (
	"archive/tar"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"satchel/api"
)

var fixtureFile = flag.String("fixture", "", "where TestFixture leaves a cache of the current format, as testdata/format1.tar.gz")

// A fixture's server, as it is kept beside the cache.
type fixtureServer struct {
	Info         api.DriveInfo
	Nodes        map[api.ID]api.Node
	Entries      map[api.ID][]api.EntryState
	Content      map[api.ID][]byte
	User, Device api.ID
}

// open is a device's configuration and its server.
func (f *fixtureServer) open(t *testing.T, dir string) (Config, *shelf) {
	s := newShelf()
	s.info, s.nodes, s.entries, s.content = f.Info, f.Nodes, f.Entries, f.Content
	cfg := Config{Dir: dir, Remote: s, User: f.User, Device: f.Device, DeviceName: "test",
		Limit: 1 << 30, UID: 1000, GID: 1000, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	cfg.seam.boot = "fixture" // content that was clean is believed to be so
	return cfg, s
}

// makeFixture leaves a cache and its server in a directory: a device has read docs/read and
// docs/edited and pinned a folder, and then, without the server: edited docs/edited, made docs/new, holes,
// folder and folder/link, moved docs/from to docs/to, removed docs/gone and tagged docs/tagged.
func makeFixture(t *testing.T, dir string) (Config, *shelf) {
	t.Helper()
	s := newShelf()
	docs, pinned := s.mkdir(api.ID{}, "docs"), s.mkdir(api.ID{}, "pinned")
	s.add(docs, "read", []byte("read before"))
	s.add(docs, "cold", []byte("never read"))
	s.add(docs, "edited", []byte("first"))
	s.add(docs, "from", []byte("moves"))
	s.add(docs, "gone", []byte("goes"))
	s.add(docs, "tagged", []byte("has an attribute"))
	s.add(pinned, "kept", []byte("kept here"))
	server := &fixtureServer{s.info, s.nodes, s.entries, s.content, api.NewID(), api.NewID()}
	cfg, s := server.open(t, filepath.Join(dir, "cache"))
	must(t, os.MkdirAll(cfg.Dir, 0o700))
	d, err := Open(cfg)
	must(t, err)
	d.Start(noKernel{})
	soon(t, func() bool { return d.connected.Load() })
	v := &device{d: d, kern: newDcache(d), t: t}
	must(t, d.Pin(t.Context(), "pinned"))
	for _, p := range []string{"docs/read", "docs/edited"} {
		_, err := v.read(p)
		must(t, err)
	}
	soon(t, func() bool { return d.Status().Unproven == 0 })
	must(t, d.Close())

	d, err = Open(cfg) // never started: without the server
	must(t, err)
	v = &device{d: d, kern: newDcache(d), t: t}
	must(t, v.write("docs/edited", "second, unsent"))
	must(t, v.write("docs/new", "new and unsent"))
	must(t, v.rename("docs/from", "docs/to", 0))
	must(t, v.unlink("docs/gone"))
	must(t, v.mkdir("folder"))
	must(t, v.symlink("docs/new", "folder/link"))
	a, err := v.stat("docs/tagged")
	must(t, err)
	must(t, d.Setxattr(a.FID, "user.tag", []byte("blue"), false, false))
	h, err := v.openFile("holes", unix.O_RDWR|unix.O_CREAT)
	must(t, err)
	size := int64(1 << 20)
	_, err = d.Setattr(h.fid, Change{Size: &size}, nil)
	must(t, err)
	h.close()
	must(t, d.Close())
	must(t, os.WriteFile(filepath.Join(dir, "server.json"), mustJSON(server), 0o600))
	return cfg, s
}

// openFixture unpacks what makeFixture of an older satchel left.
func openFixture(t *testing.T, name string) (Config, *shelf) {
	t.Helper()
	dir := scratch(t)
	f, err := os.Open(filepath.Join("testdata", name))
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		b, err := io.ReadAll(r)
		must(t, err)
		must(t, os.WriteFile(path, b, 0o600))
	}
	b, err := os.ReadFile(filepath.Join(dir, "server.json"))
	must(t, err)
	var server fixtureServer
	must(t, json.Unmarshal(b, &server))
	return server.open(t, filepath.Join(dir, "cache"))
}

// packFixture writes the files below a directory, but those that every start makes anew.
func packFixture(t *testing.T, dir, file string) {
	t.Helper()
	f, err := os.Create(file)
	must(t, err)
	z := gzip.NewWriter(f)
	w := tar.NewWriter(z)
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "ballast" || strings.EqualFold(e.Name(), "lock") {
			return err
		}
		b, err := os.ReadFile(path)
		must(t, err)
		name, err := filepath.Rel(dir, path)
		must(t, err)
		must(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(b))}))
		_, err = w.Write(b)
		return err
	}))
	must(t, errors.Join(w.Close(), z.Close(), f.Close()))
}

// checkFixture holds a drive to what the older one showed.
func checkFixture(t *testing.T, d *Drive) {
	t.Helper()
	v := &device{d: d, kern: newDcache(d), t: t}
	for path, want := range map[string]string{"docs/read": "read before", "docs/cold": "never read", "docs/edited": "second, unsent",
		"docs/new": "new and unsent", "docs/to": "moves", "docs/tagged": "has an attribute", "pinned/kept": "kept here"} {
		if text, err := v.read(path); err != nil || text != want {
			t.Errorf("%s: %q, %v; want %q", path, text, err, want)
		}
	}
	for _, path := range []string{"docs/gone", "docs/from"} {
		if _, err := v.stat(path); api.KindOf(err) != api.NotFound {
			t.Errorf("%s: %v", path, err)
		}
	}
	if a, err := v.stat("holes"); err != nil || a.Size != 1<<20 {
		t.Errorf("holes: %+v, %v", a, err)
	}
	if a, err := v.stat("folder/link"); err != nil {
		t.Errorf("folder/link: %v", err)
	} else if to, err := d.Readlink(a.FID); err != nil || to != "docs/new" {
		t.Errorf("folder/link: %q, %v", to, err)
	}
	a, err := v.stat("docs/tagged")
	must(t, err)
	if tag, err := d.Getxattr(a.FID, "user.tag"); err != nil || string(tag) != "blue" {
		t.Errorf("docs/tagged: %q, %v", tag, err)
	}
	if d.Status().Pinned != 1 {
		t.Errorf("%d folders pinned", d.Status().Pinned)
	}
}

// useFixture opens a fixture's cache, and sends what is unsent in it.
func useFixture(t *testing.T, cfg Config, s *shelf) {
	t.Helper()
	d, err := Open(cfg)
	must(t, err)
	if n := d.Status().PendingMutations; n < 8 {
		t.Errorf("%d changes pending", n)
	}
	checkFixture(t, d)
	must(t, d.Close())
	for _, rest := range []string{newDir, oldDir, "replica.damaged"} {
		if _, err := os.Stat(filepath.Join(cfg.Dir, rest)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", rest, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(cfg.Dir, formatFile)); err != nil || strings.TrimSpace(string(b)) != fmt.Sprint(formatVersion) {
		t.Errorf("the format's file has %q, %v", b, err)
	}
	d, err = Open(cfg) // nothing is left to do
	must(t, err)
	d.Start(noKernel{})
	soon(t, func() bool { s := d.Status(); return s.PendingMutations == 0 && s.Unproven == 0 })
	checkFixture(t, d)
	must(t, d.Close())
	s.mu.Lock()
	defer s.mu.Unlock()
	var sent []string
	for _, c := range s.content {
		sent = append(sent, string(c))
	}
	for _, want := range []string{"second, unsent", "new and unsent"} {
		if !strings.Contains(strings.Join(sent, "\n"), want) {
			t.Errorf("%q was not sent", want)
		}
	}
}

// A cache of the current format is what the tests of a later one have to read.
func TestFixture(t *testing.T) {
	dir := scratch(t)
	cfg, s := makeFixture(t, dir)
	if *fixtureFile != "" {
		packFixture(t, dir, *fixtureFile)
	}
	useFixture(t, cfg, s)
}

// A cache of an older release works with this one, and what it had not sent is sent.
func TestOlderFormatIsMigrated(t *testing.T) {
	for _, name := range []string{"format1.tar.gz", "format2.tar.gz"} {
		t.Run(name, func(t *testing.T) {
			cfg, s := openFixture(t, name)
			useFixture(t, cfg, s)
		})
	}
}

// A watchedFS tells before each change to its files.
type watchedFS struct {
	vfs.FS
	changing func()
}

func (f *watchedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f.changing()
	file, err := f.FS.Create(name, c)
	return watchedFile{file, f}, err
}

func (f *watchedFS) Rename(from, to string) error {
	f.changing()
	return f.FS.Rename(from, to)
}

func (f *watchedFS) Remove(name string) error {
	f.changing()
	return f.FS.Remove(name)
}

func (f *watchedFS) RemoveAll(name string) error {
	f.changing()
	return f.FS.RemoveAll(name)
}

func (f *watchedFS) MkdirAll(name string, mode os.FileMode) error {
	f.changing()
	return f.FS.MkdirAll(name, mode)
}

func (f *watchedFS) OpenDir(name string) (vfs.File, error) {
	dir, err := f.FS.OpenDir(name)
	return watchedFile{dir, f}, err
}

// A watchedFile is a file or a directory of a watchedFS.
type watchedFile struct {
	vfs.File
	fs *watchedFS
}

func (f watchedFile) Write(p []byte) (int, error) {
	f.fs.changing()
	return f.File.Write(p)
}

func (f watchedFile) Sync() error {
	f.fs.changing()
	return f.File.Sync()
}

func (f watchedFile) SyncData() error {
	f.fs.changing()
	return f.File.SyncData()
}

// Wherever the process or the power ends in a migration, the next start finds the old replica or the new one, whole.
func TestMigrationSurvivesEveryEnd(t *testing.T) {
	for how, percent := range map[string]int{"killed": 100, "power lost": 50, "power lost at the worst": 0} {
		t.Run(how, func(t *testing.T) {
			cfg, _ := openFixture(t, "format1.tar.gz")
			replica := filepath.Join(cfg.Dir, replicaDir)
			all := contentsOf(t, vfs.Default, replica, 1)
			if len(all) < 30 {
				t.Fatalf("the fixture has %d values", len(all))
			}
			mem := memReplica(t, cfg.Dir)
			var mu sync.Mutex // Pebble writes from several goroutines
			var ends []*vfs.MemFS
			end := func() {
				mu.Lock()
				defer mu.Unlock()
				rng := rand.New(rand.NewPCG(1, uint64(len(ends))))
				ends = append(ends, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
			}
			must(t, migrate(&watchedFS{mem, end}, cfg.Dir, 1, slog.New(slog.DiscardHandler)))
			end()
			seen := map[uint64]int{}
			for i, mem := range ends {
				if err := readyFormat(mem, cfg.Dir); err != nil {
					t.Fatalf("%s after %d changes: %v", how, i, err)
				}
				format := formatOf(t, mem, replica)
				seen[format]++
				if now := contentsOf(t, mem, replica, format); !maps.Equal(now, all) {
					t.Fatalf("%s after %d changes: the replica, of format %d, has\n%q\nnot\n%q", how, i, format, now, all)
				}
				for _, rest := range []string{newDir, oldDir} {
					if _, err := mem.Stat(filepath.Join(cfg.Dir, rest)); err == nil {
						t.Errorf("%s after %d changes: %s is left", how, i, rest)
					}
				}
			}
			if last := ends[len(ends)-1]; formatOf(t, last, replica) != formatVersion || seen[1] < 10 || seen[formatVersion] < 2 {
				t.Errorf("it ended so often with each format: %v", seen)
			}
		})
	}
}

// memReplica is a file system that has a cache's replica, all of it durable.
func memReplica(t *testing.T, dir string) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewCrashableMem()
	must(t, mem.MkdirAll(dir, 0o700))
	_, err := vfs.Clone(vfs.Default, mem, filepath.Join(dir, replicaDir), filepath.Join(dir, replicaDir), vfs.CloneSync)
	must(t, err)
	for ; dir != "/"; dir = filepath.Dir(dir) {
		must(t, syncDir(mem, dir))
	}
	must(t, syncDir(mem, dir))
	return mem
}

func formatOf(t *testing.T, fs vfs.FS, dir string) uint64 {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FS: fs, ReadOnly: true, Logger: pebbleLog{slog.New(slog.DiscardHandler)}})
	must(t, err)
	v, c, err := db.Get(metaKey("format"))
	must(t, err)
	n, _ := binary.Uvarint(v)
	must(t, errors.Join(c.Close(), db.Close()))
	return n
}

// contentsOf is what a replica has, records of nodes as text.
func contentsOf(t *testing.T, fs vfs.FS, dir string, format uint64) map[string]string {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FS: fs, ReadOnly: true, Logger: pebbleLog{slog.New(slog.DiscardHandler)}})
	must(t, err)
	it, err := db.NewIter(nil)
	must(t, err)
	all := map[string]string{}
	for it.First(); it.Valid(); it.Next() {
		switch {
		case string(it.Key()) == string(metaKey("format")):
		case it.Key()[0] == keyNode:
			decode := decodeRecord
			if format == 1 {
				decode = decodeRecord1
			}
			r, err := decode(it.Value())
			must(t, err)
			all[string(it.Key())] = fmt.Sprintf("%+v", r)
		default:
			all[string(it.Key())] = string(it.Value())
		}
	}
	must(t, errors.Join(it.Error(), it.Close(), db.Close()))
	return all
}

// A migration for which there is no room is not begun.
func TestMigrationWithoutRoom(t *testing.T) {
	cfg, _ := openFixture(t, "format1.tar.gz")
	full := &fullFS{FS: vfs.Default, free: 1 << 20}
	cfg.seam.replica = full
	if _, err := Open(cfg); api.KindOf(err) != api.NoSpace || !strings.Contains(err.Error(), "free") {
		t.Fatalf("opened on a full disk: %v", err)
	}
	full.free = 1 << 40
	d, err := Open(cfg)
	must(t, err)
	checkFixture(t, d)
	must(t, d.Close())
}

// A fullFS has so many bytes free.
type fullFS struct {
	vfs.FS
	free uint64
}

func (f *fullFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: f.free, TotalBytes: 1 << 40}, nil
}

// A cache that this satchel can't read is left alone, whatever tells so; it is not put aside as damaged.
func TestUnreadableFormatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		says   string
	}{
		"newer, and nothing of it can be read": {func(t *testing.T, dir string) {
			must(t, os.RemoveAll(filepath.Join(dir, replicaDir)))
			must(t, os.WriteFile(filepath.Join(dir, replicaDir), []byte("who knows"), 0o600))
			must(t, os.WriteFile(filepath.Join(dir, formatFile), fmt.Appendln(nil, formatVersion+1), 0o600))
		}, "run the newer satchel"},
		"newer, and thought damaged by it": {func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, formatFile), fmt.Appendln(nil, formatVersion+1), 0o600))
			must(t, os.WriteFile(filepath.Join(dir, "damaged"), []byte("a checksum"), 0o600))
		}, "run the newer satchel"},
		"newer, by the replica's word": {func(t *testing.T, dir string) {
			db, err := pebble.Open(filepath.Join(dir, replicaDir), &pebble.Options{Logger: pebbleLog{slog.New(slog.DiscardHandler)}})
			must(t, err)
			must(t, db.Set(metaKey("format"), binary.AppendUvarint(nil, formatVersion+1), pebble.Sync))
			must(t, db.Close())
		}, "run the newer satchel"},
		"a newer store": {func(t *testing.T, dir string) { storeFormatIs(t, dir, pebble.FormatNewest+1) }, "run the newer satchel"},
		"an older store than any": {func(t *testing.T, dir string) { storeFormatIs(t, dir, pebble.FormatMinSupported-1) },
			"mount once with the satchel that made it"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _ := openFixture(t, "format1.tar.gz")
			c.change(t, cfg.Dir)
			for range 2 {
				_, err := Open(cfg)
				if api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("opening it: %v", err)
				}
				if _, err := os.Stat(filepath.Join(cfg.Dir, "replica.damaged")); !errors.Is(err, os.ErrNotExist) {
					t.Fatalf("it was put aside: %v", err)
				}
			}
		})
	}
}

// storeFormatIs makes Pebble's files say that they have a format.
func storeFormatIs(t *testing.T, dir string, format pebble.FormatMajorVersion) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(dir, replicaDir, "marker.format-version.*"))
	must(t, err)
	if len(old) != 1 {
		t.Fatalf("markers: %q", old)
	}
	must(t, os.Rename(old[0], filepath.Join(dir, replicaDir, fmt.Sprintf("marker.format-version.000001.%03d", format))))
}
