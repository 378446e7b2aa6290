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
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	authorization := "Bearer " + anna.token
	size, hash := streams(t, s, func(method string, body io.Reader) *http.Request {
		if method == http.MethodGet {
			return newRequest(t, "GET", s.URL+"/rpc/retrieve_file?p_file_path=films/long", authorization, nil)
		}
		req := newRequest(t, "POST", s.URL+"/rpc/store_file", authorization, body)
		req.Header.Set("File-Path", "films/long")
		req.Header.Set("Content-Type", "application/octet-stream")
		return req
	})
	if all := anna.files(t, "file_path=eq.films/long"); len(all) != 1 || all[0].Size != size || all[0].Hash != hash {
		t.Errorf("the row is %+v; sent were %d bytes of %s", all, size, hash)
	}
}

func newRequest(t *testing.T, method, url, authorization string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	must(t, err)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return req
}

// streams sends a large file to a server, which has done nothing yet, and
// gets it back, and looks at the server's memory: request makes the request with PUT
// that has a body, and the one with GET.
func streams(t *testing.T, s *rig.Server, request func(method string, body io.Reader) *http.Request) (size int64, hash string) {
	t.Helper()
	size = streamSize(t)
	sum := sha256.New()
	begin := time.Now()
	res, err := http.DefaultClient.Do(request(http.MethodPut, io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), size), sum)))
	must(t, err)
	said, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode/100 != 2 {
		t.Fatalf("storing %d bytes: %s %s %v", size, res.Status, said, err)
	}
	stored := time.Since(begin)
	hash = hex.EncodeToString(sum.Sum(nil))
	t.Logf("%d MiB stored in %v (%.0f MB/s)", size>>20, stored.Round(time.Second), float64(size)/1e6/stored.Seconds())
	streamed(t, s)

	begin = time.Now()
	res, err = http.DefaultClient.Do(request(http.MethodGet, nil))
	must(t, err)
	defer res.Body.Close()
	got := sha256.New()
	if n, err := io.Copy(got, res.Body); err != nil || n != size || hex.EncodeToString(got.Sum(nil)) != hash {
		t.Errorf("back came %d bytes of %x, %v", n, got.Sum(nil), err)
	}
	t.Logf("and read in %v (%.0f MB/s)", time.Since(begin).Round(time.Second), float64(size)/1e6/time.Since(begin).Seconds())
	streamed(t, s)
	return size, hash
}

// streamSize is how large a file the tests of streaming send, in bytes.
func streamSize(t *testing.T) int64 {
	t.Helper()
	v := os.Getenv(streamVariable)
	if v == "" {
		return 1 << 30
	}
	n, err := strconv.Atoi(v)
	must(t, err)
	return int64(n) << 30
}

// streamed checks that satcheld never had more memory at a time (proc(5), VmHWM) than it may, whatever passed
// through it. The race detector takes several times as much, and is not held to it.
func streamed(t *testing.T, s *rig.Server) {
	t.Helper()
	const allowed = 200e6 // bytes
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	must(t, err)
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	must(t, err)
	if peak := n << 10; peak > allowed && !rig.Race {
		t.Errorf("satcheld took %d MB of memory", peak/1e6)
	} else {
		t.Logf("satcheld's peak is %d MB", peak/1e6)
	}
}
