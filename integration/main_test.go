package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"satchel/integration/require"
	"satchel/integration/rig"
)

// blobsVariable names the blob store of the servers under test: file (the
// default), s3 or postgres.
const blobsVariable = "SATCHEL_TEST_BLOBS"

// parts is the rig that all tests share. A test that stops or fills something
// makes its own server in it.
var parts *rig.Rig

func TestMain(m *testing.M) {
	rig.Janitor()
	if dir := os.Getenv(posixtestVariable); dir != "" {
		runPosixtest(dir)
	}
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	var err error
	if parts, err = rig.New(""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Nothing may be left when all is done: no mount, process or socket.
	defer func() {
		if sharedServer != nil {
			if err := sharedServer.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
		if err := parts.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	ctx := context.Background()
	if store := os.Getenv(blobsVariable); store != "" {
		fmt.Fprintf(os.Stderr, "content is kept in %s:\n", store)
		if err := parts.UseBlobs(ctx, store, require.Find("versitygw")); err != nil {
			fmt.Fprintf(os.Stderr, "%s=%s: %v\n", blobsVariable, store, err)
			return 1
		}
	}
	if err := parts.Programs(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := parts.Build(ctx, holderProgram(), "./integration/holder"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func holderProgram() string { return filepath.Join(parts.Bin, "holder") }

var (
	sharedOnce   sync.Once
	sharedServer *rig.Server
	sharedErr    error
)

// server is the one that most tests share.
func server(t *testing.T) *rig.Server {
	t.Helper()
	require.Fuse(t)
	sharedOnce.Do(func() {
		if sharedServer, sharedErr = parts.NewServer("shared-server"); sharedErr == nil {
			sharedErr = sharedServer.Start(context.Background())
		}
	})
	if sharedErr != nil {
		t.Fatal(sharedErr)
	}
	showLogOnFailure(t, sharedServer)
	return sharedServer
}

// ownServer is one that the test may stop and start as it likes.
func ownServer(t *testing.T, args ...string) *rig.Server {
	t.Helper()
	require.Fuse(t)
	s, err := parts.NewServer(unique(t, "server"), args...)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	showLogOnFailure(t, s)
	return s
}

func showLogOnFailure(t *testing.T, s *rig.Server) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("--- %s\n%s", s.Log, rig.Tail(s.Log, 40))
		}
	})
}

// finish is a context for cleaning up: the test's own has ended by then.
func finish() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Second)
}
