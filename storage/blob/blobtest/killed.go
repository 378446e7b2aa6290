package blobtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"satchel/api"
	"satchel/storage/blob"
)

// childEnv tells a test program that it is to put an object: "read" that the
// object's reader kills it before the end.
const childEnv = "SATCHEL_BLOBTEST_CHILD"

// childSize is more than any store holds in memory.
const childSize = 60 << 20

func childContent() io.Reader { return io.LimitReader(mathrand.NewChaCha8([32]byte{}), childSize) }

// Child is called at the start of a TestMain. In a process that [Killed] or
// [KilledReading] started it puts an object and never returns; in others it does nothing.
func Child(open func(context.Context) (blob.Store, error)) {
	mode := os.Getenv(childEnv)
	if mode == "" {
		return
	}
	content := childContent()
	if mode == "read" {
		content = io.MultiReader(content, killer{})
	}
	ctx := context.Background()
	s, err := open(ctx)
	if err == nil {
		err = s.Put(ctx, key(1), content)
	}
	fmt.Println("still alive:", err)
	os.Exit(1)
}

// Kill ends this process at once, as a crash does.
func Kill() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

type killer struct{}

func (killer) Read([]byte) (int, error) { Kill(); return 0, nil }

// KilledReading kills a process in the middle of a Put into s, and expects no
// trace of the object. Env is what [Child]'s open needs to know.
func KilledReading(t *testing.T, s blob.Store, env ...string) {
	t.Helper()
	if killed(t, s, "read", env) {
		t.Error("a part of an object is found")
	}
}

// Killed runs a process that puts into s and calls [Kill] somewhere below it.
// It returns whether the object is there, and expects the whole if so.
func Killed(t *testing.T, s blob.Store, env ...string) (there bool) {
	t.Helper()
	return killed(t, s, "put", env)
}

func killed(t *testing.T, s blob.Store, mode string, env []string) (there bool) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(append(os.Environ(), childEnv+"="+mode), env...)
	out, err := child.CombinedOutput()
	if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the child was not killed: %v\n%s", err, strings.TrimSpace(string(out)))
	}
	r, err := s.Get(t.Context(), key(1), 0, -1)
	if api.KindOf(err) == api.NotFound {
		nothing(t, s)
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, want := sha256.New(), sha256.New()
	n, err := io.Copy(got, r)
	io.Copy(want, childContent())
	if err != nil || string(got.Sum(nil)) != string(want.Sum(nil)) {
		t.Errorf("the object has %d bytes, or wrong ones: %v", n, err)
	}
	return true
}
