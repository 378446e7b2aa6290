package cache

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/api/chunk"
)

// The hash of what came fast waits while somebody reads, but not for long, and not where somebody waits for it.
func TestHashLetsReadersGoFirst(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*partial)
		reads  time.Duration // for how long
		want   time.Duration
	}{
		"a reader":              {func(*partial) {}, 330 * time.Millisecond, 400 * time.Millisecond},
		"one who does not stop": {func(*partial) {}, time.Hour, restMost},
		"nobody":                {func(p *partial) { p.streams = nil }, 0, 0},
		"one who waits":         {func(p *partial) { p.all = 1 }, time.Hour, 0},
		"a smaller file":        {func(p *partial) { p.size = restFrom }, time.Hour, 0},
		"the end of a large":    {func(p *partial) { p.hashed = p.size - restFrom }, time.Hour, 0},
		"a slow link":           {func(p *partial) { p.fast = false }, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				s := &stream{used: begin}
				p := &partial{d: &Drive{done: make(chan struct{})}, size: 1 << 30, fast: true, streams: []*stream{s}}
				test.change(p)
				stop := make(chan struct{})
				go func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(10 * time.Millisecond):
						}
						if time.Since(begin) <= test.reads {
							p.mu.Lock()
							s.used = time.Now()
							p.mu.Unlock()
						}
					}
				}()
				p.rest()
				if took := time.Since(begin); took != test.want {
					t.Errorf("it waited for %v, want %v", took, test.want)
				}
				close(stop)
			})
		})
	}
}

// A reader on a fast link asks seldom, and for much.
func TestFastLinkNeedsFewRequests(t *testing.T) {
	requests := func(fast bool) (n int) {
		const size = 1 << 30
		p := &partial{size: size, fast: fast, have: newBlockMap(size), asked: newBlockMap(size)}
		for off := int64(0); off < size; off += 128 << 10 {
			p.readAhead(off, off+128<<10)
			for s, ok := p.next(); ok; s, ok = p.next() {
				n++
				for b := s.first; b < s.end; b++ {
					p.have.set(b)
				}
			}
		}
		if left := p.have.left; left > 8 {
			t.Errorf("%d blocks were not asked for", left)
		}
		return n
	}
	slow, fast := requests(false), requests(true)
	if t.Logf("%d requests, on a fast link %d", slow, fast); slow < 3*fast {
		t.Errorf("1 GiB takes %d requests, on a fast link %d", slow, fast)
	}
}

// TestReaderComesAtTheProof: readers that come between the last byte's hash and the verdict get the verdict.
func TestReaderComesAtTheProof(t *testing.T) {
	d := openShelf(t, newShelf(), t.TempDir(), 0)
	data := noise(blockSize)
	path := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var hash chunk.Whole
	hash.Write(data)
	sum := hash.Sum()
	for range 500 {
		p := &partial{d: d, node: api.NewID(), size: blockSize, sha: sum, c: &content{fd: int(f.Fd())},
			have: newBlockMap(blockSize), asked: newBlockMap(blockSize), users: 1}
		p.have.set(0)
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for hashed := false; !hashed; {
					p.mu.Lock()
					hashed = p.hashed == p.size
					p.mu.Unlock()
				}
				if err := p.await(0, p.size, nil); err != nil {
					t.Error(err)
				}
			})
		}
		p.mu.Lock()
		p.follow()
		p.mu.Unlock()
		readers.Wait()
		if t.Failed() {
			return
		}
	}
}

// TestPartialIsProvenAfterARestart: all of a file had come when the daemon ended, but its hash was not known yet.
func TestPartialIsProvenAfterARestart(t *testing.T) {
	s := newShelf()
	data := noise(8 << 20)
	s.add(api.ID{}, "film", data)
	dir := t.TempDir()
	d := openShelf(t, s, dir, 0)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	if _, err := readAt(d, fid, 0, 4096); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	p := d.byFID[fid].part
	d.mu.Unlock()
	soon(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.working) == 0 && !p.hashing
	})
	if err := os.WriteFile(d.slotPath(p.slot), data, 0o600); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.have.fill(0, p.have.blocks, &p.asked)
	p.mu.Unlock()
	d.Release(fid, unix.O_RDONLY)
	soon(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return p.c == nil
	})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	_, _, before := s.counts()
	d = openShelf(t, s, dir, 0)
	fid = find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	got, err := readAt(d, fid, 5<<20, 4096)
	if err != nil || !bytes.Equal(got, data[5<<20:5<<20+4096]) {
		t.Errorf("after the restart: %v", err)
	}
	d.Release(fid, unix.O_RDONLY)
	if _, _, after := s.counts(); after != before {
		t.Errorf("%d bytes were fetched again", after-before)
	}
}

// TestWrongContentOfAFastLink: however fast a file comes, whoever has read all of it has been told that it is wrong. The hash of this one
// takes longer than the reads of what is left when all is here.
func TestWrongContentOfAFastLink(t *testing.T) {
	s := newShelf()
	data := noise(160 << 20)
	n := s.add(api.ID{}, "film", data)
	data[5<<20] ^= 1
	s.content[n.Version] = data
	for range 3 {
		d := openShelf(t, s, t.TempDir(), 0)
		fid := find(t, d, "film")
		open(t, d, fid, unix.O_RDONLY)
		var err error
		for off := int64(0); off < n.Size && err == nil; off += 128 << 10 {
			_, err = readAt(d, fid, off, 128<<10)
		}
		if api.KindOf(err) != api.Internal {
			t.Errorf("reading all of it: %v", err)
		}
		d.Release(fid, unix.O_RDONLY)
	}
}
