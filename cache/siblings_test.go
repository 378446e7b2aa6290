package cache

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

func cat(t *testing.T, d *Drive, dir uint64, name string) []byte {
	t.Helper()
	a, err := d.Lookup(dir, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	open(t, d, a.FID, unix.O_RDONLY)
	defer d.Release(a.FID, unix.O_RDONLY)
	b, err := readAt(d, a.FID, 0, int(a.Size))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// settled waits until nothing is being fetched.
func settled(t *testing.T, d *Drive) {
	t.Helper()
	soon(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.readers.running || d.walk.workers > 0 {
			return false
		}
		for _, n := range d.byID {
			if n.fetch != nil {
				return false
			}
		}
		return true
	})
}

func TestSiblingsComeAlong(t *testing.T) {
	s := newShelf()
	for i := range 30 {
		s.add(api.ID{}, api.Name(fmt.Sprintf("f%02d", i)), fmt.Appendf(nil, "content %d", i))
	}
	s.add(api.ID{}, "large", noise(2<<20))
	d := openShelf(t, s, t.TempDir(), 0)
	if got := cat(t, d, rootFID, "f17"); string(got) != "content 17" {
		t.Fatalf("%q", got)
	}
	settled(t, d)
	for i := range 30 {
		if got := cat(t, d, rootFID, fmt.Sprintf("f%02d", i)); string(got) != fmt.Sprint("content ", i) {
			t.Errorf("f%02d: %q", i, got)
		}
	}
	if requests, _, fetched := s.counts(); requests != 1 || fetched > 1000 {
		t.Errorf("%d requests, %d bytes", requests, fetched)
	}
}

func TestSiblingsAreBounded(t *testing.T) {
	s := newShelf()
	for i := range 100 {
		s.add(api.ID{}, api.Name(fmt.Sprintf("f%02d", i)), noise(200<<10))
	}
	d := openShelf(t, s, t.TempDir(), 0)
	cat(t, d, rootFID, "f00")
	settled(t, d)
	if _, _, fetched := s.counts(); fetched > firstBatch+200<<10 {
		t.Errorf("one small file brought %d bytes", fetched)
	}
}

// A content that can't be had, or is wrong, spoils no other.
func TestSiblingsFailAlone(t *testing.T) {
	s := newShelf()
	s.add(api.ID{}, "a", []byte("good"))
	bad := s.add(api.ID{}, "b", []byte("right"))
	s.content[bad.Version] = []byte("wrong")
	s.add(api.ID{}, "c", []byte("fine"))
	d := openShelf(t, s, t.TempDir(), 0)
	if got := cat(t, d, rootFID, "a"); string(got) != "good" {
		t.Errorf("a: %q", got)
	}
	settled(t, d)
	if _, err := d.Open(find(t, d, "b"), unix.O_RDONLY, Cred{}, nil); api.KindOf(err) != api.Internal {
		t.Errorf("wrong content: %v", err)
	}
	if got := cat(t, d, rootFID, "c"); string(got) != "fine" {
		t.Errorf("c: %q", got)
	}
}

// What can't be had, and is met again by another of its names, is not asked for again and again.
func TestWhatCannotBeHadEndsTheChase(t *testing.T) {
	s := newShelf()
	s.add(api.ID{}, "a", []byte("first"))
	dir, later := s.mkdir(api.ID{}, "d"), s.mkdir(api.ID{}, "e")
	s.add(dir, "a", []byte("second"))
	bad := s.add(dir, "b", []byte("right"))
	bad.Nlink = 2
	s.put(later, "c", bad)
	s.content[bad.Version] = []byte("wrong")
	d := openShelf(t, s, t.TempDir(), 0)
	first, last := find(t, d, "d"), find(t, d, "e")
	for _, dir := range []uint64{first, last} { // the file goes by the name listed first
		if err := d.ReadDir(dir, 0, nil, func(Dirent) bool { return true }, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Lookup(first, "b", nil); err != nil { // it stays in memory
		t.Fatal(err)
	}
	cat(t, d, rootFID, "a")
	settled(t, d)
	cat(t, d, first, "a")
	settled(t, d)
	if requests, _, _ := s.counts(); requests > 4 {
		t.Errorf("%d requests for three files", requests)
	}
}

// plant makes directories of so many small files each, three deep, and returns the files' number.
func plant(s *shelf, dirs, files int) int {
	n := 0
	for i := range dirs {
		a := s.mkdir(api.ID{}, api.Name(fmt.Sprintf("d%02d", i)))
		b := s.mkdir(a, "sub")
		for _, dir := range []api.ID{a, b, s.mkdir(b, "below")} {
			for j := range files {
				s.add(dir, api.Name(fmt.Sprintf("f%02d", j)), fmt.Appendf(nil, "%d %d %s", i, j, bytes.Repeat([]byte("x"), 2000)))
				n++
			}
		}
	}
	return n
}

// tour reads a tree as `grep -r` does, and returns how many files it read.
func tour(t *testing.T, d *Drive, dir uint64, content bool) (files int) {
	t.Helper()
	var names []Dirent
	err := d.ReadDir(dir, 0, nil, func(e Dirent) bool {
		if e.Name != "." && e.Name != ".." {
			names = append(names, e)
		}
		return true
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		if e.Mode == typeBits('d') {
			a, err := d.Lookup(dir, e.Name, nil)
			if err != nil {
				t.Fatal(err)
			}
			files += tour(t, d, a.FID, content)
			continue
		}
		files++
		if content {
			cat(t, d, dir, e.Name)
		}
	}
	return files
}

func TestATourThroughTheTreeIsFewRequests(t *testing.T) {
	s := newShelf()
	want := plant(s, 20, 20)
	d := openShelf(t, s, t.TempDir(), 0)
	if got := tour(t, d, rootFID, true); got != want {
		t.Errorf("%d files of %d", got, want)
	}
	if requests, _, _ := s.counts(); requests > 20 {
		t.Errorf("%d requests for the content of %d files", requests, want)
	}
}

// Listings come before they are asked for, and content does not come with them.
func TestATourListsAhead(t *testing.T) {
	s := newShelf()
	plant(s, 20, 1)
	s.listing = func() { time.Sleep(10 * time.Millisecond) }
	d := openShelf(t, s, t.TempDir(), 0)
	tour(t, d, rootFID, false)
	settled(t, d)
	requests, listings, _ := s.counts()
	if requests != 0 || listings < 61 {
		t.Errorf("%d listings of 61 directories, %d requests for content", listings, requests)
	}
	if s.asks > 30 {
		t.Errorf("%d requests for 61 directories", s.asks)
	}
}

// One look at a directory is no tour.
func TestALookListsNothingAhead(t *testing.T) {
	s := newShelf()
	plant(s, 5, 1)
	d := openShelf(t, s, t.TempDir(), 0)
	if err := d.ReadDir(rootFID, 0, nil, func(Dirent) bool { return true }, nil); err != nil {
		t.Fatal(err)
	}
	cat(t, d, find(t, d, "d03"), "f00")
	settled(t, d)
	if _, listings, _ := s.counts(); listings != 2 {
		t.Errorf("%d listings", listings)
	}
}

// What was found in a directory stays in memory for who waits to read it with all attributes, and not when he is
// through, when another directory is read so, or when he does not go on.
func TestNodesWaitForTheirReader(t *testing.T) {
	s := newShelf()
	for _, dir := range []api.Name{"one", "two"} {
		id := s.mkdir(api.ID{}, dir)
		for i := range 50 {
			s.add(id, api.Name(fmt.Sprintf("f%02d", i)), []byte("x"))
		}
	}
	d := openShelf(t, s, t.TempDir(), 0)
	read := func(name string, upTo int, plus bool) {
		t.Helper()
		var seen []uint64
		see := func(a Attr) { seen = append(seen, a.FID) }
		if !plus {
			see = nil
		}
		must(t, d.ReadDir(find(t, d, name), 0, nil, func(e Dirent) bool { upTo--; return upTo >= 0 }, see))
		for _, fid := range seen {
			d.Forget(fid, 1)
		}
	}
	files := func() (n int) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, x := range d.byID {
			if x.isFile() {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		name string
		upTo int
		plus bool
		want int
	}{
		{"one", 10, true, 50}, // the rest of it is expected to be read
		{"one", 60, true, 0},
		{"two", 60, false, 0}, // nobody asks for attributes
	} {
		if read(c.name, c.upTo, c.plus); files() != c.want {
			t.Errorf("%d files in memory after %+v", files(), c)
		}
	}
	d = openShelf(t, s, t.TempDir(), 0)
	read("one", 10, true)
	if read("two", 10, true); files() != 50 {
		t.Errorf("%d files in memory for one reader", files())
	}
	d.mu.Lock()
	d.readEnd.Reset(0)
	d.mu.Unlock()
	soon(t, func() bool { return files() == 0 })
}
