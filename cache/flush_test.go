package cache

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sicken has fn called when a content file is made durable.
func (v *device) sicken(fn func() error) { v.sick.Store(&fn) }

// While a flush waits for content, a commit that needs a new memtable goes on: it holds the drive's lock, which the flush
// needs to go on itself.
func TestCommitDuringAFlush(t *testing.T) {
	v := alone(t)
	mustQuiet(t, v)
	v.wire.cut()
	must(t, v.write("letter", "to be made durable"))
	begun, gate := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	v.sicken(func() error {
		if !first.Swap(true) {
			close(begun)
		}
		<-gate
		return nil
	})
	flushed := make(chan error, 1)
	go func() { flushed <- v.d.st.Flush() }()
	<-begun
	committed := make(chan error, 1)
	go func() { // as a listing of a large directory does
		v.d.mu.Lock()
		defer v.d.mu.Unlock()
		tx := v.d.begin()
		for i := range 17 {
			tx.b.Set(metaKey(fmt.Sprint("test ", i)), make([]byte, 1<<20), nil)
		}
		committed <- tx.commit()
	}()
	select {
	case err := <-committed:
		must(t, err)
	case <-time.After(time.Minute):
		panic("a commit waits for a flush that waits for the drive's lock")
	}
	close(gate)
	must(t, <-flushed)
}

// An error of the disk that another sync met is told by the file's next fsync, once.
func TestFsyncTellsOfAnEarlierError(t *testing.T) {
	v := alone(t)
	mustQuiet(t, v)
	v.wire.cut()
	h, err := v.openFile("letter", unix.O_RDWR|unix.O_CREAT)
	must(t, err)
	must(t, h.write("lost on its way to the disk"))
	v.sicken(func() error { return unix.EIO })
	must(t, v.d.st.settle()) // the journal is whole
	v.sicken(func() error { return nil })
	if err := h.fsync(); !errors.Is(err, unix.EIO) {
		t.Errorf("fsync after a failed write-back: %v", err)
	}
	must(t, h.fsync())
	h.close()
}

// What is saved while content is being made durable is not left without its content by the journal's sync that follows.
func TestSavedDuringASync(t *testing.T) {
	for i := range 6 {
		after := int32(i%3 + 1)
		v := unkindly(t)
		must(t, v.write("letter", "old"))
		must(t, v.d.st.settle())
		must(t, v.write("other", "x"))
		var calls atomic.Int32
		v.sicken(func() error {
			switch n := calls.Add(1); {
			case n < after: // others
				must(t, v.write("other", fmt.Sprint("x", n)))
				time.Sleep(30 * time.Millisecond)
			case n == after:
				must(t, v.write("letter.new", "new"))
				must(t, v.rename("letter.new", "letter", 0))
				time.Sleep(30 * time.Millisecond) // a disk that is slow
			}
			return nil
		})
		must(t, v.d.st.settle())
		v.kill(true)
		v.start()
		if got, err := v.read("letter"); err != nil || got != "old" && got != "new" {
			t.Errorf("the letter has %q, %v\n%s", got, err, v.log)
		}
		v.wire.mend()
		mustQuiet(t, v)
	}
}

// What is being written all the time keeps the journal's sync up once.
func TestWrittenDuringASync(t *testing.T) {
	v := unkindly(t)
	h, err := v.openFile("video", unix.O_WRONLY|unix.O_CREAT)
	must(t, err)
	must(t, h.write("frame"))
	var calls atomic.Int32
	v.sicken(func() error {
		n := calls.Add(1)
		must(t, h.write(fmt.Sprint("frame ", n)))
		must(t, v.mkdir(fmt.Sprint("dir ", n)))
		time.Sleep(30 * time.Millisecond) // a disk that is slow
		return nil
	})
	must(t, v.d.st.settle())
	if n := calls.Load(); n > 2 { // the other one is the timer's
		t.Errorf("it was synced %d times", n)
	}
	v.sicken(func() error { return nil })
	h.close()
	v.wire.mend()
	mustQuiet(t, v)
}

// An fsync whose commits can't ride makes content durable before the names that lead to it: when the power goes meanwhile the former content is there.
func TestFsyncSyncsContentBeforeTheLog(t *testing.T) {
	for range 6 {
		v := adrift(t)
		v.d.st.riders.off = true // as on btrfs
		must(t, v.write("letter", "old"))
		must(t, v.d.st.settle())
		h, err := v.openFile("letter.new", unix.O_RDWR|unix.O_CREAT)
		must(t, err)
		must(t, h.write("new"))
		must(t, v.rename("letter.new", "letter", 0))
		renamed := v.d.st.commits.Load()
		v.sicken(func() error { return unix.EIO }) // the sync does not come to its end
		if err := h.fsync(); !errors.Is(err, unix.EIO) {
			t.Errorf("fsync on a sick disk: %v", err)
		}
		if v.d.st.durable() >= renamed {
			t.Error("the new name is durable, and its content is not")
		}
		v.sick.Store(nil)
		v.kill(true)
		v.start()
		if got, err := v.read("letter"); err != nil || got != "old" {
			t.Errorf("the letter has %q, %v\n%s", got, err, v.log)
		}
	}
}

// What was discarded is let go though new files keep coming while the journal is made durable.
func TestDiscardedWhileFilesKeepComing(t *testing.T) {
	v := unkindly(t)
	discarded := func() int {
		v.d.mu.Lock()
		defer v.d.mu.Unlock()
		return len(v.d.slots.limbo)
	}
	v.wire.mend()
	must(t, v.write("letter", "old"))
	mustQuiet(t, v)
	v.wire.cut()
	must(t, v.d.st.settle())
	v.d.mu.Lock()
	v.d.cfg.Limit = 1
	v.d.evictSome()
	v.d.mu.Unlock()
	must(t, v.write("new", "content"))
	if discarded() == 0 {
		t.Fatal("nothing was discarded")
	}
	var n atomic.Int32
	v.sicken(func() error {
		must(t, v.write(fmt.Sprint("new ", n.Add(1)), "content"))
		time.Sleep(30 * time.Millisecond) // a disk that is slow
		return nil
	})
	must(t, v.d.st.settle())
	if n := discarded(); n > 0 {
		t.Errorf("%d content files are still in limbo", n)
	}
	v.sicken(func() error { return nil })
	v.wire.mend()
	mustQuiet(t, v)
}

// What is discarded while content is made durable goes with the next sync, though nothing was committed since.
func TestDiscardedDuringASync(t *testing.T) {
	v := unkindly(t)
	v.wire.mend()
	must(t, v.write("letter", "old"))
	mustQuiet(t, v)
	v.wire.cut()
	must(t, v.d.st.settle())
	must(t, v.write("new", "content"))
	var once atomic.Bool
	v.sicken(func() error {
		if !once.Swap(true) {
			v.d.mu.Lock()
			v.d.cfg.Limit = 1
			v.d.evictSome()
			v.d.mu.Unlock()
		}
		return nil
	})
	must(t, v.d.st.settle())
	must(t, v.d.st.sync())
	must(t, v.d.st.settle())
	v.d.mu.Lock()
	left, sheds := len(v.d.slots.limbo), v.d.slots.sheds
	v.d.mu.Unlock()
	if left > 0 || sheds == 0 {
		t.Errorf("%d content files are still in limbo, of %d", left, sheds)
	}
	v.sicken(func() error { return nil })
	v.wire.mend()
	mustQuiet(t, v)
}
