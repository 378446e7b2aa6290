package chunk

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// holes are the parts of a file that were never written: a sparse file of a terabyte shall not cost the reading
// of a terabyte. The zero value has none.
type holes struct{ f *os.File }

// holesOf finds out whether r is a sparse file.
func holesOf(r io.Reader) holes {
	f, ok := r.(*os.File)
	var st unix.Stat_t
	if !ok || unix.Fstat(int(f.Fd()), &st) != nil || st.Blocks*512 >= st.Size {
		return holes{}
	}
	return holes{f}
}

// chunksAt is how many whole chunks of zeros follow at an offset without being stored. Where the file is read does not move.
func (h holes) chunksAt(off int64) int64 {
	if h.f == nil {
		return 0
	}
	at, err := h.f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0
	}
	end, err := h.f.Seek(off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) { // a hole up to the end
		end, err = h.f.Seek(0, io.SeekEnd)
	}
	if _, back := h.f.Seek(at, io.SeekStart); err != nil || back != nil {
		return 0
	}
	return max(end-off, 0) / MaxSize
}

// goOn reads on at an offset.
func (h holes) goOn(off int64) error {
	_, err := h.f.Seek(off, io.SeekStart)
	return err
}
