package backing

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"satchel/integration/require"
)

// service starts a server whose ioctls are counted and not done: these tests
// are about what it lets through.
func service(t *testing.T) (s *Server, socket string, opened *atomic.Int32) {
	t.Helper()
	opened = new(atomic.Int32)
	s = &Server{Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Register:   func(int, int) (int32, error) { return opened.Add(1), nil },
		Unregister: func(int, int32) error { return nil }}
	socket = filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: socket, Net: "unixpacket"})
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		l.Close()
		must(t, <-done)
	})
	return s, socket, opened
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// device is a descriptor of /dev/fuse. Opening it mounts nothing.
func device(t *testing.T) int {
	t.Helper()
	require.Fuse(t)
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func file(t *testing.T, flags int, prepare func(path string)) int {
	t.Helper()
	path := filepath.Join(t.TempDir(), "content")
	must(t, os.WriteFile(path, []byte("x"), 0o600))
	if prepare != nil {
		prepare(path)
	}
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func TestChecks(t *testing.T) {
	_, socket, opened := service(t)
	fuse := device(t)
	dir, err := unix.Open(t.TempDir(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(dir)
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(null)
	for _, c := range []struct {
		name       string
		fuse, file int
		want       error
	}{
		{"what is right", fuse, file(t, unix.O_RDONLY, nil), nil},
		{"a file in the device's place", file(t, unix.O_RDONLY, nil), file(t, unix.O_RDONLY, nil), unix.ENODEV},
		{"another device", null, file(t, unix.O_RDONLY, nil), unix.ENODEV},
		{"a directory", fuse, dir, unix.EINVAL},
		{"a device as content", fuse, null, unix.EINVAL},
		{"a descriptor that can write", fuse, file(t, unix.O_RDWR, nil), unix.EINVAL},
		{"a descriptor that can't read", fuse, file(t, unix.O_PATH, nil), unix.EINVAL},
		{"a file that may not be written", fuse, file(t, unix.O_RDONLY, func(p string) { must(t, os.Chmod(p, 0o400)) }), unix.EPERM},
		{"another user's file", fuse, file(t, unix.O_RDONLY, func(p string) {
			if os.Getuid() == 0 {
				must(t, os.Chown(p, 1234, 1234))
			} else {
				must(t, os.Chmod(p, 0o444))
			}
		}), unix.EPERM},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := Dial(socket, c.fuse)
			must(t, err)
			defer client.Close()
			before := opened.Load()
			id, err := client.Register(c.file)
			if !errors.Is(err, c.want) && (err != nil || c.want != nil) {
				t.Fatalf("answered %d, %v; want %v", id, err, c.want)
			}
			if did := opened.Load() - before; (did == 1) != (c.want == nil) {
				t.Errorf("%d ioctls", did)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	_, socket, opened := service(t)
	fuse, content := device(t), file(t, unix.O_RDONLY, nil)
	for name, send := range map[string]struct {
		msg []byte
		fds []int
	}{
		"nothing but an op":         {[]byte{opOpen}, nil},
		"one descriptor":            {[]byte{opOpen}, []int{fuse}},
		"three descriptors":         {[]byte{opOpen}, []int{fuse, content, content}},
		"a hundred descriptors":     {[]byte{opOpen}, append(make([]int, 0, 100), repeat(content, 100)...)},
		"an unknown op":             {[]byte{'x'}, []int{fuse, content}},
		"a long message":            {[]byte("oooooooooooooooooooooooooooooooo"), []int{fuse, content}},
		"close without an id":       {[]byte{opClose}, []int{fuse}},
		"close of what another has": {[]byte{opClose, 1, 0, 0, 0}, []int{fuse}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: socket, Net: "unixpacket"})
			must(t, err)
			defer c.Close()
			c.SetDeadline(time.Now().Add(time.Minute))
			_, _, err = c.WriteMsgUnix(send.msg, unix.UnixRights(send.fds...), nil)
			must(t, err)
			var b [4]byte
			n, err := c.Read(b[:])
			if err != nil || n != 4 || b[3] != 0xff {
				t.Errorf("answered % x, %v; want a negative errno", b[:n], err)
			}
		})
	}
	if opened.Load() != 0 {
		t.Errorf("%d ioctls were done", opened.Load())
	}
	if left := descriptorsOf(t); left > 64 {
		t.Errorf("%d descriptors are open: what came with refused messages was kept", left)
	}
}

// A message without a byte ends the connection. It may have descriptors all the same, which are not kept.
func TestDescriptorsWithoutAByte(t *testing.T) {
	_, socket, _ := service(t)
	content := file(t, unix.O_RDONLY, nil)
	before := descriptorsOf(t)
	for range 50 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		must(t, unix.Connect(fd, &unix.SockaddrUnix{Name: socket}))
		rights := unix.UnixRights(repeat(content, 4)...)
		message := unix.Msghdr{Control: &rights[0]} // Go's own calls would add a byte
		message.SetControllen(len(rights))
		if _, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&message)), 0); errno != 0 {
			t.Fatal(errno)
		}
		n, err := unix.Read(fd, make([]byte, 4)) // returns when the server has closed its end
		if n != 0 || err != nil {
			t.Errorf("answered %d bytes, %v", n, err)
		}
		must(t, unix.Close(fd))
	}
	if left := descriptorsOf(t) - before; left > 20 {
		t.Errorf("%d descriptors are left of 200 that were sent", left)
	}
}

func repeat(fd, n int) []int {
	fds := make([]int, n)
	for i := range fds {
		fds[i] = fd
	}
	return fds
}

func descriptorsOf(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(all)
}

func TestBounds(t *testing.T) {
	s, socket, _ := service(t)
	fuse, content := device(t), file(t, unix.O_RDONLY, nil)
	client, err := Dial(socket, fuse)
	must(t, err)
	var last int32
	for range MaxFiles {
		last, err = client.Register(content)
		must(t, err)
	}
	if _, err := client.Register(content); !errors.Is(err, unix.EMFILE) {
		t.Errorf("one file too many: %v", err)
	}
	must(t, client.Unregister(last))
	if _, err := client.Register(content); err != nil {
		t.Errorf("after one was given back: %v", err)
	}

	var others []*Client
	for range MaxConnections - 1 {
		c, err := Dial(socket, fuse)
		must(t, err)
		if _, err := c.Register(content); !errors.Is(err, unix.EMFILE) {
			t.Fatalf("the bound is the user's, not the connection's: %v", err)
		}
		others = append(others, c)
	}
	if c, err := Dial(socket, fuse); err == nil {
		if _, err := c.Register(content); err == nil {
			t.Error("one connection too many was served")
		}
		c.Close()
	}

	// Whoever dies leaves nothing counted.
	for _, c := range append(others, client) {
		c.Close()
	}
	for until := time.Now().Add(time.Minute); ; {
		s.mu.Lock()
		users := len(s.users)
		s.mu.Unlock()
		if users == 0 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("%d users are still counted", users)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// answering starts a service that says yes to all.
func answering(t *testing.T, socket string) (stop func()) {
	t.Helper()
	s := &Server{Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Register:   func(int, int) (int32, error) { return 1, nil },
		Unregister: func(int, int32) error { return nil }}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: socket, Net: "unixpacket"})
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	return func() {
		l.Close()
		must(t, <-done)
	}
}

// A service that was away, as for an upgrade, is found again.
func TestClientConnectsAnew(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	start := func() (stop func()) { return answering(t, socket) }
	fuse, content := device(t), file(t, unix.O_RDONLY, nil)
	stop := start()
	client, err := Dial(socket, fuse)
	must(t, err)
	defer client.Close()
	_, err = client.Register(content)
	must(t, err)
	stop()
	stop = start()
	_, err = client.Register(content) // nothing was noticed
	must(t, err)
	stop()
	for range 3 {
		if _, err := client.Register(content); !errors.Is(err, ErrGone) {
			t.Fatalf("without a service: %v", err)
		}
	}
	stop = start()
	defer stop()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err = client.Register(content); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	if err := client.Unregister(99); !errors.Is(err, unix.ENOENT) {
		t.Errorf("what it never had: %v", err)
	}
	must(t, client.Close())
	if _, err := client.Register(content); !errors.Is(err, ErrGone) {
		t.Errorf("after Close: %v", err)
	}
}

// A service that takes requests and does not answer is left alone for long, and longer each time: who waits for it holds up a whole mount.
func TestClientLeavesASilentServiceAlone(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: socket, Net: "unixpacket"})
	must(t, err)
	client, err := Dial(socket, device(t))
	must(t, err)
	defer client.Close()
	content := file(t, unix.O_RDONLY, nil)
	for _, least := range []time.Duration{minHush, 2 * minHush} {
		client.next = time.Time{}
		start := time.Now()
		if _, err := client.Register(content); !errors.Is(err, ErrGone) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a service that is silent: %v", err)
		}
		if client.next.Before(start.Add(least)) {
			t.Errorf("it is asked again after %v", client.next.Sub(start))
		}
		if _, err := client.Register(content); !errors.Is(err, ErrGone) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("right after: %v", err)
		}
	}
	must(t, l.Close())
	os.Remove(socket)
	defer answering(t, socket)()
	client.next = time.Time{}
	if _, err := client.Register(content); err != nil || client.hush != 0 {
		t.Errorf("it answers again: %v, left alone for %v", err, client.hush)
	}
}
