package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"satchel/integration/rig"
)

// streamVariable is how many GiB TestStoreFileStreams sends: 10 in `make stream`.
const streamVariable = "SATCHEL_TEST_STREAM_GIB"

// TestStoreFileStreams: whatever a file's size, satcheld takes and gives it in
// under 200 MB of memory.
func TestStoreFileStreams(t *testing.T) {
	const allowed = 200e6 // bytes
	size := int64(1 << 30)
	if v := os.Getenv(streamVariable); v != "" {
		n, err := strconv.Atoi(v)
		must(t, err)
		size = int64(n) << 30
	}
	s := ownServer(t)
	anna := newAccount(t, s, "anna")

	sum := sha256.New()
	begin := time.Now()
	body := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), size), sum)
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/rpc/store_file", body)
	must(t, err)
	req.Header.Set("File-Path", "films/long")
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Authorization", "Bearer "+anna.token)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	said, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("store_file of %d bytes: %s %s %v", size, res.Status, said, err)
	}
	stored := time.Since(begin)
	hash := hex.EncodeToString(sum.Sum(nil))
	if all := anna.files(t, "file_path=eq.films/long"); len(all) != 1 || all[0].Size != size || all[0].Hash != hash {
		t.Errorf("the row is %+v; sent were %d bytes of %s", all, size, hash)
	}
	peak := peakMemory(t, s)
	t.Logf("%d MiB stored in %v (%.0f MB/s); satcheld's peak is %.0f MB", size>>20, stored.Round(time.Second), float64(size)/1e6/stored.Seconds(), float64(peak)/1e6)
	if peak > allowed {
		t.Errorf("satcheld took %.0f MB of memory for a file of %d MiB", float64(peak)/1e6, size>>20)
	}

	begin = time.Now()
	req, err = http.NewRequestWithContext(t.Context(), "GET", s.URL+"/rpc/retrieve_file?p_file_path=films/long", nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+anna.token)
	res, err = http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	got := sha256.New()
	if n, err := io.Copy(got, res.Body); err != nil || n != size || hex.EncodeToString(got.Sum(nil)) != hash {
		t.Errorf("back came %d bytes of %x, %v", n, got.Sum(nil), err)
	}
	peak = peakMemory(t, s)
	t.Logf("and read in %v (%.0f MB/s); the peak is %.0f MB", time.Since(begin).Round(time.Second), float64(size)/1e6/time.Since(begin).Seconds(), float64(peak)/1e6)
	if peak > allowed {
		t.Errorf("satcheld took %.0f MB of memory", float64(peak)/1e6)
	}
}

// peakMemory is the most memory in bytes that satcheld had at a time
// (proc(5), VmHWM).
func peakMemory(t *testing.T, s *rig.Server) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	must(t, err)
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	must(t, err)
	return n << 10
}
