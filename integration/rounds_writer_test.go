package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A writer works in one directory of a device, makes everything durable, and
// keeps what it was told is durable: the promise that a checker holds the
// drive to.
type writer struct {
	name string // of the directory
	dir  string
	rng  *rand.Rand
	n    int // names given out

	files map[string]*expected
	done  int // calls that said it is durable
	lost  int // calls that failed
}

// expected is what one name may have.
type expected struct {
	content []byte // the last content that is durable
	exists  bool
	// What a call that failed, or did not come back, may have left as well.
	doubt bool
	may   func(content []byte, exists bool) bool
}

func newWriter(name, mount string, seed uint64) *writer {
	return &writer{name: name, dir: filepath.Join(mount, name), rng: rand.New(rand.NewPCG(seed, 0)), files: map[string]*expected{}}
}

// work does one thing after another until stop is closed.
func (w *writer) work(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if err := w.step(); err != nil {
			w.lost++
			time.Sleep(20 * time.Millisecond) // as a program that retries
		} else {
			w.done++
		}
	}
}

func (w *writer) path(name string) string { return filepath.Join(w.dir, name) }

func (w *writer) fresh() string {
	w.n++
	return fmt.Sprintf("f%05d", w.n)
}

// some is one of the files that is surely there, or "".
func (w *writer) some() string {
	var names []string
	for name, e := range w.files {
		if e.exists && !e.doubt {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return names[w.rng.IntN(len(names))]
}

// there is how many files there are.
func (w *writer) there() (n int) {
	for _, e := range w.files {
		if e.exists {
			n++
		}
	}
	return n
}

func (w *writer) bytes() []byte {
	n := 1 + w.rng.IntN(20_000)
	switch w.rng.IntN(20) {
	case 0:
		n = 1<<20 + w.rng.IntN(3<<20)
	case 1, 2, 3:
		n = 100_000 + w.rng.IntN(200_000)
	}
	b := make([]byte, n)
	for i := 0; i < n; i += 8 {
		v := w.rng.Uint64()
		for j := i; j < min(i+8, n); j++ {
			b[j] = byte(v)
			v >>= 8
		}
	}
	return b
}

// step is one change and what makes it durable.
func (w *writer) step() error {
	name := w.some()
	kind := w.rng.IntN(10)
	switch {
	case name == "" || w.there() < 10:
		kind = 0
	case w.there() > 100:
		kind = 9
	}
	switch kind {
	case 0, 1, 2, 3:
		return w.create(w.fresh())
	case 4, 5:
		return w.add(name)
	case 6, 7:
		return w.replace(name)
	case 8:
		return w.rename(name, w.fresh())
	default:
		return w.remove(name)
	}
}

// try puts names in doubt while fn runs, and keeps them there if it fails.
func (w *writer) try(names []string, may func(content []byte, exists bool) bool, fn func() error) error {
	for _, name := range names {
		e := w.files[name]
		if e == nil {
			e = &expected{}
			w.files[name] = e
		}
		e.doubt, e.may = true, may
	}
	if err := fn(); err != nil {
		return err
	}
	for _, name := range names {
		w.files[name].doubt = false
	}
	return nil
}

func anything([]byte, bool) bool { return true }

func (w *writer) create(name string) error {
	b := w.bytes()
	return w.try([]string{name}, anything, func() error {
		err := writeSynced(w.path(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, b)
		if err == nil {
			*w.files[name] = expected{content: b, exists: true}
		}
		return err
	})
}

func (w *writer) add(name string) error {
	e, b := w.files[name], w.bytes()
	whole := append(bytes.Clone(e.content), b...)
	may := func(content []byte, exists bool) bool {
		return exists && len(content) >= len(e.content) && bytes.HasPrefix(content, e.content)
	}
	return w.try([]string{name}, may, func() error {
		err := writeSynced(w.path(name), os.O_APPEND|os.O_WRONLY, b)
		if err == nil {
			e.content = whole
		}
		return err
	})
}

// replace is how editors save.
func (w *writer) replace(name string) error {
	e, b, temporary := w.files[name], w.bytes(), "."+w.fresh()
	err := w.try([]string{temporary}, anything, func() error {
		return writeSynced(w.path(temporary), os.O_CREATE|os.O_EXCL|os.O_WRONLY, b)
	})
	if err != nil {
		return err
	}
	w.files[temporary].doubt, w.files[temporary].may = true, anything
	may := func(content []byte, exists bool) bool {
		return exists && (bytes.Equal(content, b) || bytes.Equal(content, e.content))
	}
	return w.try([]string{name}, may, func() error {
		err := os.Rename(w.path(temporary), w.path(name))
		if err = errors.Join(err, syncDir(w.dir)); err == nil {
			e.content = b
			*w.files[temporary] = expected{}
		}
		return err
	})
}

func (w *writer) rename(name, to string) error {
	e := w.files[name]
	may := func(content []byte, exists bool) bool { return !exists || bytes.Equal(content, e.content) }
	return w.try([]string{name, to}, may, func() error {
		err := os.Rename(w.path(name), w.path(to))
		if err = errors.Join(err, syncDir(w.dir)); err == nil {
			*w.files[to] = expected{content: e.content, exists: true}
			*e = expected{}
		}
		return err
	})
}

func (w *writer) remove(name string) error {
	e := w.files[name]
	may := func(content []byte, exists bool) bool { return !exists || bytes.Equal(content, e.content) }
	return w.try([]string{name}, may, func() error {
		err := os.Remove(w.path(name))
		if err = errors.Join(err, syncDir(w.dir)); err == nil {
			*e = expected{}
		}
		return err
	})
}

func writeSynced(path string, flags int, b []byte) error {
	f, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// check compares a directory, the writer's on any device, with what the writer
// was told.
func (w *writer) check(dir string) error {
	there := map[string]bool{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var wrong []string
	for _, e := range entries {
		there[e.Name()] = true
		if w.files[e.Name()] == nil {
			wrong = append(wrong, e.Name()+" was never made")
		}
	}
	for name, e := range w.files {
		var content []byte
		if there[name] {
			if content, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
				wrong = append(wrong, err.Error())
				continue
			}
		}
		switch {
		case e.doubt && e.may(content, there[name]):
		case there[name] != e.exists:
			wrong = append(wrong, fmt.Sprintf("%s: there %v, wanted %v", name, there[name], e.exists))
		case !bytes.Equal(content, e.content):
			wrong = append(wrong, fmt.Sprintf("%s has other content: %d bytes, wanted %d, the first that differs is %d", name, len(content), len(e.content), firstDifference(content, e.content)))
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return fmt.Errorf("%s:\n%s", dir, strings.Join(wrong[:min(len(wrong), 20)], "\n"))
	}
	return nil
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// settle takes what is there for what is durable, where that was in doubt.
func (w *writer) settle() error {
	for name, e := range w.files {
		if !e.doubt {
			continue
		}
		content, err := os.ReadFile(w.path(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		*e = expected{content: content, exists: err == nil}
	}
	return nil
}
