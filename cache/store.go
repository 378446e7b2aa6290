package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	softInterval = 10 * time.Millisecond // what kill -9 may lose at the most, with a margin to the promised 50 ms
	hardInterval = 5 * time.Second       // what power loss may lose at the most
)

// A store is the replica's Pebble with two strengths of durability. Commits
// are made without sync. While there are any, the log is written out every
// softInterval (survives kill -9) and synced after hardInterval (survives
// power loss); sync makes it durable at once. Pebble alone offers only the last:
// its NoSync loses acknowledged commits at kill -9.
type store struct {
	*pebble.DB
	surroundings
	hard  atomic.Int32 // > 0: a Sync of the log is a real one
	dirty atomic.Bool

	flushes flushes

	commits atomic.Int64 // how many there were, ever
	synced  atomic.Int64 // up to which they are durable by the log
	riders  riders       // and by other means
	kept    atomic.Bool  // what was discarded waits for a sync (limbo)

	wake chan struct{}
	done chan struct{}
	wg   sync.WaitGroup
	rush chan struct{}
}

// storeLeast is what Pebble has in any case, bytes.
const storeLeast = 8 << 20

// StoreMemory is how many of Config.Memory's bytes Pebble has for blocks that it has read and for what it has not written yet: that may be
// twice MemTableSize, and comes first. In what is left the blocks stay that nodes and entries are looked up in.
func StoreMemory(memory int64) int64 { return max(memory/storeShare, storeLeast) }

// surroundings are what a store has from its drive.
type surroundings struct {
	memory   int64 // Config.Memory
	fs       vfs.FS
	log      *slog.Logger
	space    *ballast
	damage   func(error)                              // told of records that can't be read
	contents func(each func(path string) error) error // goes through the content files
	before   func(seen map[*content]bool) error       // makes content durable; called before records become so
	during   func() func(sound bool)                  // called before the content that a sync is of is made durable; what it returns, when that is done
}

// openStore opens the replica in a cache directory, makes it one of the present format, and adds to it what was journalled last, which
// may be in the content files.
func openStore(dir string, its surroundings) (*store, error) {
	s := &store{surroundings: its, wake: make(chan struct{}, 1), done: make(chan struct{}), rush: make(chan struct{}, 1)}
	format, err := s.open(dir)
	if err != nil {
		return nil, err
	}
	if err := s.board(); err != nil {
		s.DB.Close()
		return nil, err
	}
	if format < formatVersion && format >= sameRecords {
		if err := s.DB.Set(metaKey("format"), binary.AppendUvarint(nil, formatVersion), pebble.NoSync); err != nil {
			s.DB.Close()
			return nil, err
		}
	} else if format < formatVersion {
		if err := s.DB.Close(); err != nil {
			return nil, err
		}
		if err := migrate(s.fs, dir, format, s.log); err != nil {
			return nil, err
		}
		if _, err := s.open(dir); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(noteFormat(dir), s.begin(dir)); err != nil {
		s.DB.Close()
		return nil, err
	}
	s.wg.Go(s.flusher)
	return s, nil
}

// open opens Pebble and returns the format of what it has, which may be an older one.
func (s *store) open(dir string) (format uint64, err error) {
	options := &pebble.Options{
		FS:                 storeFS{s.fs, s},
		FormatMajorVersion: storeFormat,
		MemTableSize:       16 << 20,
		CacheSize:          StoreMemory(s.memory),
		// A flush waits for content (before), which takes Drive.mu; a commit under Drive.mu must
		// not wait for the flush, nor for a compaction.
		MemTableStopWritesThreshold: 1 << 10,
		L0StopWritesThreshold:       1 << 10,
		Logger:                      pebbleLog{s.log},
		EventListener: &pebble.EventListener{
			FlushBegin:     func(pebble.FlushInfo) { s.flushes.begun.Store(true) },
			DataCorruption: func(i pebble.DataCorruptionInfo) { s.damage(i.Details) },
		},
	}
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // most look-ups while a large drive is listed for the first time are in vain
	}
	// The default one also looks ten times a second, for ever, whether more compactions may run at a time. Looking
	// when one is due and when one ends is enough for a replica, and leaves an idle machine asleep.
	options.Experimental.CompactionScheduler = pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
	db, err := pebble.Open(filepath.Join(dir, replicaDir), options)
	if err != nil {
		err = fmt.Errorf("open the replica in %s: %w", dir, err)
		if passing(err) {
			return 0, fmt.Errorf("%w (nothing was given up: mount again when the cause is gone; if it never goes, as on a sick disk, a file %s makes the next mount begin anew, with unsent content in Recovered)",
				err, filepath.Join(dir, damagedFile))
		}
		return 0, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	s.DB = db
	if format, err = s.format(dir); err != nil {
		db.Close()
	}
	return format, err
}

// format is the number of the replica's format, which a new one gets; a newer one is an error.
func (s *store) format(dir string) (uint64, error) {
	v, err := s.meta("format")
	switch {
	case err != nil:
		return 0, err
	case v == nil:
		return formatVersion, s.DB.Set(metaKey("format"), binary.AppendUvarint(nil, formatVersion), pebble.Sync)
	}
	n, _ := binary.Uvarint(v)
	if n > formatVersion {
		return n, newer(dir, n)
	}
	return n, nil
}

// meta returns a value kept under a word, nil if there is none.
func (s *store) meta(word string) ([]byte, error) {
	v, err := s.get(metaKey(word))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	return v, err
}

// get returns a copy of a value, or pebble.ErrNotFound.
func (s *store) get(key []byte) ([]byte, error) {
	v, c, err := s.DB.Get(key)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return append([]byte(nil), v...), nil
}

// unsynced tells whether there are commits that are not durable.
func (s *store) unsynced() bool { return s.durable() < s.commits.Load() }

// flushes are Pebble's, which make records durable: first what they refer to. Pebble tells of one
// with its own lock held, which a commit under Drive.mu may be waiting for. So its content is waited for
// when it creates its first table, without that lock.
type flushes struct {
	mu    sync.Mutex // held while content is made durable for one
	begun atomic.Bool
}

// beforeTable is called before a table is created.
func (s *store) beforeTable() {
	s.flushes.mu.Lock()
	defer s.flushes.mu.Unlock()
	if s.flushes.begun.Swap(false) {
		if err := s.before(map[*content]bool{}); err != nil {
			s.log.Error("make content durable", "err", err)
		}
	}
}

// sync makes all commits durable against power loss, by the log.
func (s *store) sync() error {
	n := s.commits.Load()
	if s.synced.Load() >= n {
		return nil
	}
	if err := s.syncLog(); err != nil {
		return err
	}
	for was := s.synced.Load(); was < n && !s.synced.CompareAndSwap(was, n); {
		was = s.synced.Load()
	}
	return nil
}

// syncLog syncs Pebble's log.
func (s *store) syncLog() error {
	s.hard.Add(1)
	defer s.hard.Add(-1)
	return s.LogData(nil, pebble.Sync)
}

// settle is sync, after the content that the records refer to. What had been discarded before goes then, if all of that is durable.
func (s *store) settle() error {
	if s.synced.Load() >= s.commits.Load() && !s.kept.Load() {
		return nil
	}
	done := s.during()
	failed := s.ready(s.before)
	if failed != nil {
		s.log.Error("make content durable", "err", failed) // whose fsync tells of it
	}
	err := s.sync()
	done(failed == nil && err == nil)
	return err
}

// ready makes the content durable that the commits refer to, and, where that took long enough for many, that of the commits that
// came meanwhile: until it was brief, or has gone on too long for who waits. Of what is still being written each is looked at once.
func (s *store) ready(contents func(seen map[*content]bool) error) (failed error) {
	const most, brief = 8, 20 * time.Millisecond
	seen := map[*content]bool{}
	for range most {
		commits, begin := s.commits.Load(), time.Now()
		failed = errors.Join(failed, contents(seen))
		if s.commits.Load() == commits || time.Since(begin) < brief {
			break
		}
	}
	return failed
}

// hurry asks for durability before hardInterval is over.
func (s *store) hurry() {
	select {
	case s.rush <- struct{}{}:
	default:
	}
}

// flusher writes the log out while there is something to write, and sleeps
// without a timer when there is not.
func (s *store) flusher() {
	var unsynced time.Time
	var hard <-chan time.Time
	sync := func() {
		if err := s.settle(); err != nil {
			s.log.Error("sync the journal", "err", err)
		}
		unsynced, hard = time.Time{}, nil
	}
	for {
		select {
		case <-s.done:
			return
		case <-hard:
			sync()
		case <-s.rush:
			sync()
		case <-s.wake:
			time.Sleep(softInterval)
			s.dirty.Store(false)
			if err := s.LogData(nil, pebble.Sync); err != nil {
				s.log.Error("write out the journal", "err", err)
			}
			if unsynced.IsZero() {
				unsynced, hard = time.Now(), time.After(hardInterval)
			}
		}
	}
}

func (s *store) close() error {
	close(s.done)
	s.wg.Wait()
	s.hard.Add(1)
	return s.DB.Close()
}

// scan calls fn for each key with the prefix, in order. Neither slice may be kept.
func (s *store) scan(prefix []byte, fn func(k, v []byte) error) error {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			end = end[:i+1]
			break
		}
	}
	it, err := s.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: end})
	if err != nil {
		return err
	}
	defer it.Close()
	for it.First(); it.Valid(); it.Next() {
		if err := fn(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return it.Error()
}

// read calls fn with each of these keys that there is, in order. keys must be sorted. Neighbours take a fraction of what each takes by
// itself (Get): blocks are decompressed once.
func (s *store) read(keys [][]byte, fn func(k, v []byte) error) error {
	it, err := s.NewIter(&pebble.IterOptions{LowerBound: keys[0]})
	if err != nil {
		return err
	}
	defer it.Close()
	for _, k := range keys {
		if !it.SeekGE(k) {
			break
		}
		if !bytes.Equal(it.Key(), k) {
			continue
		}
		if err := fn(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return it.Error()
}

type pebbleLog struct{ log *slog.Logger }

func (l pebbleLog) Infof(string, ...any) {}
func (l pebbleLog) Errorf(format string, a ...any) {
	l.log.Error("replica: " + fmt.Sprintf(format, a...))
}
func (l pebbleLog) Fatalf(format string, a ...any) {
	l.log.Error("replica: " + fmt.Sprintf(format, a...))
	panic(fmt.Sprintf("replica: "+format, a...))
}
