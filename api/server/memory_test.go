package server

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// Uploads and downloads stream: flat memory whatever the size.
func TestLargeFilesInFlatMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("stores 300 MiB")
	}
	const size, allowed = 300 << 20, 100 << 20 // bytes
	f := newFixture(t)
	f.token(alice)
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var peak atomic.Uint64
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			peak.Store(max(peak.Load(), now.HeapAlloc))
		}
	}()

	sum := sha256.New()
	body := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), size), sum)
	a := f.do(request{method: "POST", path: "/rpc/store_file", as: alice, body: body, header: map[string]string{"File-Path": "film"}})
	if a.status != 200 {
		t.Fatalf("store = %d %s", a.status, a.body)
	}
	resp := f.send(request{path: "/rpc/retrieve_file?p_file_path=film", as: alice})
	defer resp.Body.Close()
	got := sha256.New()
	if n, err := io.Copy(got, resp.Body); err != nil || n != size {
		t.Fatalf("retrieved %d bytes, %v", n, err)
	}
	close(done)
	<-watched
	if want := hex.EncodeToString(sum.Sum(nil)); hex.EncodeToString(got.Sum(nil)) != want || resp.Header.Get("Etag") != `"`+want+`"` {
		t.Errorf("other bytes came back; ETag %s, want %s", resp.Header.Get("Etag"), want)
	}
	if used := int64(peak.Load()) - int64(before.HeapAlloc); used > allowed {
		t.Errorf("the heap grew by %d MiB for a file of %d MiB; at most %d are allowed", used>>20, size>>20, allowed>>20)
	} else {
		t.Logf("the heap grew by %d MiB", used>>20)
	}
}
