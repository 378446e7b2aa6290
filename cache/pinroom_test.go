package cache

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// onDisk gives a device a disk of 1 GiB on which so many bytes of content fit above what clean content leaves free, until another number is stored.
func (v *device) onDisk(fit int64) *atomic.Int64 {
	var room atomic.Int64
	room.Store(fit)
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	k := disk{size: 1 << 30}
	floor := k.floor()
	v.d.diskNow = func() disk { return disk{free: floor + room.Load() - v.d.slots.bytes, size: k.size} }
	return &room
}

// pin pins a path, and fails when that does not return.
func (v *device) pin(t *testing.T, path string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	err := v.d.Pin(ctx, path)
	if ctx.Err() != nil {
		t.Fatalf("to pin does not return: %v", err)
	}
	return err
}

// A pinned file that does not fit is not begun: nothing goes for it, programs write on, the rest of the folder is fetched, also what is large but for its holes, and it
// comes when there is room.
func TestPinThatDoesNotFit(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.mkdir("keep"))
		image := make([]byte, holesFrom)
		copy(image, noise(1<<20))
		must(t, x.write("keep/image", string(image)))
		must(t, x.write("keep/a", "a letter"))
		must(t, x.write("keep/film", string(noise(60<<20))))
		must(t, x.write("keep/z", "another"))
		must(t, x.write("other", string(noise(1<<20))))
		must(t, x.sync())
		eventually(t, "y knows it", func() bool { a, err := y.stat("other"); return err == nil && a.Size == 1<<20 })
		_, err := y.read("other")
		must(t, err)
		y.wire.faults(func(w *wire) {
			w.holes = func(context.Context) ([]api.Hole, error) {
				return []api.Hole{{Off: 1 << 20, Size: holesFrom - 1<<20}}, nil
			}
		})
		room := y.onDisk(8 << 20)
		if err := y.pin(t, "keep"); api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), `"keep/film"`) || strings.Contains(err.Error(), "more") {
			t.Errorf("it is said: %v", err)
		}
		for name, want := range map[string]bool{"keep/image": true, "keep/a": true, "keep/film": false, "keep/z": true, "other": true} {
			if y.has(t, name) != want {
				t.Errorf("%s is here: %v", name, !want)
			}
		}
		if st := y.d.Status(); st.PinnedMissing != 1 || st.DiskShort || st.CacheBytes > 8<<20 {
			t.Errorf("%d missing, %d bytes free, %d bytes here", st.PinnedMissing, st.DiskFreeBytes, st.CacheBytes)
		}
		must(t, y.write("mine", "written meanwhile"))
		room.Store(100 << 20)
		time.Sleep(2 * pinRoom)
		if n := y.d.Status().PinnedMissing; n != 0 || !y.has(t, "keep/film") {
			t.Errorf("with room, %d are missing", n)
		}
	})
}

// Where the room goes while a pinned file comes, what came of it makes room as all does that nobody needs.
func TestPinThatFitsNoMore(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("film", string(noise(80<<20))))
		must(t, x.sync())
		eventually(t, "y knows it", func() bool { a, err := y.stat("film"); return err == nil && a.Size == 80<<20 })
		room := y.onDisk(90 << 20)
		var asked atomic.Int64
		begun := make(chan struct{})
		y.wire.faults(func(w *wire) {
			w.lacks = func(api.ID) error {
				if asked.Add(1) == inFlight {
					room.Store(30 << 20)
					close(begun)
				}
				<-begun
				return nil
			}
		})
		if err := y.pin(t, "film"); api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), errFull.Error()) {
			t.Errorf("it is said: %v", err)
		}
		if n := asked.Load(); n > inFlight {
			t.Errorf("%d requests more were made without room", n-inFlight)
		}
		eventually(t, "what came of it goes", func() bool {
			err := y.write("mine", "written meanwhile")
			return err == nil && !y.d.Status().DiskShort
		})
	})
}

// Small pinned files don't take more of the disk than large ones, neither by themselves nor as what is fetched ahead.
func TestPinnedSmallFilesLeaveRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		const files, size, fit = 200, 200 << 10, 10 << 20
		must(t, x.mkdir("keep"))
		for i := range files {
			must(t, x.write(fmt.Sprint("keep/", i), string(noise(size))))
		}
		must(t, x.sync())
		eventually(t, "y knows them", func() bool {
			a, err := y.stat(fmt.Sprint("keep/", files-1))
			return err == nil && a.Size == size
		})
		y.onDisk(fit)
		if err := y.pin(t, "keep"); api.KindOf(err) != api.Unavailable {
			t.Errorf("it is said: %v", err)
		}
		st := y.d.Status()
		if st.CacheBytes > fit+fullBatch || st.CacheBytes < fit/2 {
			t.Errorf("%d bytes are here, where %d fit", st.CacheBytes, fit)
		}
		if here := files - st.PinnedMissing; st.PinnedMissing == 0 || int64(here*size) > st.CacheBytes {
			t.Errorf("%d are missing, and %d bytes are here", st.PinnedMissing, st.CacheBytes)
		}
		h, err := y.openFile("mine", unix.O_WRONLY|unix.O_CREAT)
		must(t, err)
		h.close()
	})
}
