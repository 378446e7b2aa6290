package blobtest

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"satchel/api"
	"satchel/storage/blob"
)

// ErrFault is what a failed operation may return.
var ErrFault = errors.New("injected fault")

// A Fault stands at a seam below a store, where it makes operations fail: one
// of them, or all from one on, as in an outage. The zero value lets all pass.
// It is safe for concurrent use.
type Fault struct {
	mu sync.Mutex
	plan
}

type plan struct {
	armed   bool
	pass    int // operations before the first that fails
	forever bool
	fired   bool
}

// Hit is called before, or after, each operation, and fails it or does not.
func (f *Fault) Hit() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.armed, f.fired && !f.forever:
		return nil
	case f.pass > 0:
		f.pass--
		return nil
	}
	f.fired = true
	return ErrFault
}

// during runs fn with the fault armed, and tells whether an operation failed.
func (f *Fault) during(pass int, forever bool, fn func()) (fired bool) {
	f.set(plan{armed: true, pass: pass, forever: forever})
	fn()
	return f.set(plan{}).fired
}

func (f *Fault) set(to plan) (was plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was, f.plan = f.plan, to
	return was
}

// Faults makes each operation of a store fail in turn, once and from then on.
// A call may succeed all the same, by trying again; but then it has done all,
// and otherwise nothing.
func Faults(t *testing.T, s blob.Store, f *Fault) {
	for name, size := range map[string]int{"small": 100_000, "large": 20 << 20} {
		content := random(size)
		each := func(what string, forever bool, fn func(t *testing.T, key string) (call func() error, after func(error))) {
			how := "once"
			if forever {
				how = "from then on"
			}
			t.Run(what+" a "+name+" object, a fault "+how, func(t *testing.T) {
				failed := 0
				pass := 0
				for ; ; pass += step(pass) {
					call, check := fn(t, key(1))
					var err error
					fired := f.during(pass, forever, func() { err = call() })
					if err != nil {
						failed++
					}
					if err != nil && !fired {
						t.Fatalf("without a fault: %v", err)
					}
					check(err)
					if !fired {
						break
					}
				}
				if err := s.Delete(t.Context(), key(1)); err != nil {
					t.Fatal(err)
				}
				t.Logf("%d operations, %d calls failed", pass, failed)
				if pass == 0 || forever && failed == 0 {
					t.Errorf("the seam saw %d operations; %d calls failed", pass, failed)
				}
			})
		}
		for _, forever := range []bool{false, true} {
			each("put", forever, func(t *testing.T, key string) (func() error, func(error)) {
				return func() error { return s.Put(t.Context(), key, bytes.NewReader(content)) },
					func(err error) {
						got, getErr := get(t.Context(), s, key, 0, -1)
						switch whole := getErr == nil && bytes.Equal(got, content); {
						case whole && (err == nil || forever): // an outage may have cost the answer alone
						case api.KindOf(getErr) == api.NotFound && err != nil:
						default:
							t.Errorf("after Put = %v, Get: %d bytes, %v", err, len(got), getErr)
						}
						if err := s.Delete(t.Context(), key); err != nil {
							t.Fatal(err)
						}
					}
			})
			var once sync.Once
			each("get", forever, func(t *testing.T, key string) (func() error, func(error)) {
				once.Do(func() { put(t, s, key, content) })
				var got []byte
				return func() (err error) {
						got, err = get(t.Context(), s, key, 0, -1)
						return err
					}, func(err error) {
						if err == nil && !bytes.Equal(got, content) || api.KindOf(err) == api.NotFound {
							t.Errorf("Get: %d bytes, %v", len(got), err)
						}
					}
			})
			each("delete", forever, func(t *testing.T, key string) (func() error, func(error)) {
				put(t, s, key, content)
				return func() error { return s.Delete(t.Context(), key) }, func(err error) {
					got, getErr := get(t.Context(), s, key, 0, -1)
					if gone := api.KindOf(getErr) == api.NotFound; !gone && (err == nil || getErr != nil || !bytes.Equal(got, content)) {
						t.Errorf("after Delete = %v, Get: %d bytes, %v", err, len(got), getErr)
					}
				}
			})
			once = sync.Once{}
			each("list", forever, func(t *testing.T, key string) (func() error, func(error)) {
				once.Do(func() { put(t, s, key, content) })
				seen := 0
				return func() error {
						for _, err := range s.List(t.Context()) {
							if err != nil {
								return err
							}
							seen++
						}
						return nil
					}, func(err error) {
						if err == nil && seen != 1 {
							t.Errorf("%d objects were listed", seen)
						}
					}
			})
		}
	}
	nothing(t, s)
}

// step leaves out some of many alike operations in the middle of a large object.
func step(pass int) int {
	if pass < 20 {
		return 1
	}
	return pass / 5
}
