package backing

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Server registers content files for ordinary users. Serve runs it.
type Server struct {
	Log *slog.Logger

	// Register and Unregister do the ioctls; a seam for tests of the checks. nil: the kernel's.
	Register   func(fuse, file int) (id int32, err error)
	Unregister func(fuse int, id int32) error

	mu    sync.Mutex
	users map[uint32]*usage
	conns map[*net.UnixConn]bool
}

// usage is what one user has.
type usage struct{ files, connections int }

// Serve answers connections until the listener is closed.
func (s *Server) Serve(l *net.UnixListener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer s.closeAll()
	for {
		c, err := l.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			s.Log.Warn("accept", "err", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		wg.Go(func() { s.serve(c) })
	}
}

func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// enter counts a connection of a user, if he may have another.
func (s *Server) enter(c *net.UnixConn, uid uint32) (*usage, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == nil {
		s.users, s.conns = map[uint32]*usage{}, map[*net.UnixConn]bool{}
	}
	u := s.users[uid]
	if u == nil {
		u = &usage{}
		s.users[uid] = u
	}
	if u.connections >= MaxConnections {
		return nil, false
	}
	u.connections++
	s.conns[c] = true
	return u, true
}

func (s *Server) leave(c *net.UnixConn, uid uint32, u *usage, files int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	u.connections--
	u.files -= files
	if u.connections == 0 {
		delete(s.users, uid)
	}
}

// take counts a file of a user, if he may have another.
func (s *Server) take(u *usage) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.files >= MaxFiles {
		return false
	}
	u.files++
	return true
}

func (s *Server) give(u *usage) {
	s.mu.Lock()
	u.files--
	s.mu.Unlock()
}

// serve answers one connection. What it registered stays registered when it
// ends: the kernel lets go when the mount does.
func (s *Server) serve(c *net.UnixConn) {
	defer c.Close()
	peer, err := peerOf(c)
	if err != nil {
		s.Log.Warn("who connects", "err", err)
		return
	}
	u, ok := s.enter(c, peer.Uid)
	if !ok {
		s.Log.Warn("too many connections", "uid", peer.Uid)
		return
	}
	ids := map[int32]bool{}
	defer func() { s.leave(c, peer.Uid, u, len(ids)) }()
	buf, oob := make([]byte, 16), make([]byte, unix.CmsgSpace(4*4))
	for {
		n, oobn, flags, _, err := c.ReadMsgUnix(buf, oob)
		fds := descriptors(oob[:oobn]) // a message without a byte may have some, too
		answer := int32(-int32(unix.EINVAL))
		if err == nil && n > 0 && flags&unix.MSG_CTRUNC == 0 {
			answer = s.answer(buf[:n], fds, peer, u, ids)
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
		if err != nil || n == 0 {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				s.Log.Debug("read", "uid", peer.Uid, "err", err)
			}
			return
		}
		var out [4]byte
		binary.LittleEndian.PutUint32(out[:], uint32(answer))
		if _, err := c.Write(out[:]); err != nil {
			return
		}
	}
}

func (s *Server) answer(msg []byte, fds []int, peer *unix.Ucred, u *usage, ids map[int32]bool) int32 {
	switch {
	case len(msg) == 1 && msg[0] == opOpen && len(fds) == 2:
		id, err := s.open(fds[0], fds[1], peer, u)
		if err != nil {
			return failure(err)
		}
		ids[id] = true
		return id
	case len(msg) == 5 && msg[0] == opClose && len(fds) == 1:
		id := int32(binary.LittleEndian.Uint32(msg[1:]))
		if !ids[id] {
			return -int32(unix.ENOENT)
		}
		if err := checkFuse(fds[0]); err != nil {
			return failure(err)
		}
		if err := s.unregister(fds[0], id); err != nil {
			return failure(err)
		}
		delete(ids, id)
		s.give(u)
		return 0
	}
	return -int32(unix.EINVAL)
}

func failure(err error) int32 {
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != 0 {
		return -int32(errno)
	}
	return -int32(unix.EIO)
}

func (s *Server) open(fuse, file int, peer *unix.Ucred, u *usage) (int32, error) {
	if err := checkFuse(fuse); err != nil {
		return 0, err
	}
	if err := checkFile(file, peer.Uid); err != nil {
		return 0, err
	}
	if !s.take(u) {
		return 0, unix.EMFILE
	}
	id, err := s.register(fuse, file, peer)
	if err != nil {
		s.give(u)
	}
	return id, err
}

// fuseDevice is the device number of /dev/fuse (Documentation/admin-guide/devices.txt).
var fuseDevice = unix.Mkdev(10, 229)

func checkFuse(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != fuseDevice {
		return unix.ENODEV
	}
	return nil
}

// checkFile refuses what the caller could not open for writing himself.
func checkFile(fd int, uid uint32) error {
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS, &st); err != nil {
		return err
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	switch {
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFREG, flags&unix.O_ACCMODE != unix.O_RDONLY, flags&unix.O_PATH != 0:
		return unix.EINVAL
	case st.Uid != uid, st.Mode&0o600 != 0o600, st.Attributes&(unix.STATX_ATTR_IMMUTABLE|unix.STATX_ATTR_APPEND) != 0:
		return unix.EPERM
	}
	return nil
}

// The ioctls of /dev/fuse (include/uapi/linux/fuse.h).
const (
	backingOpen  = 0x4010e501
	backingClose = 0x4004e502
)

type backingMap struct {
	fd    int32
	flags uint32
	_     uint64
}

// register does the ioctl as the caller: the kernel remembers the credentials.
func (s *Server) register(fuse, file int, peer *unix.Ucred) (int32, error) {
	if s.Register != nil {
		return s.Register(fuse, file)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, ownGroup := unix.Geteuid(), unix.Getegid()
	defer func() {
		if err := become(own, ownGroup); err != nil {
			panic("the helper's thread could not return to its own identity")
		}
	}()
	if err := become(int(peer.Uid), int(peer.Gid)); err != nil {
		return 0, err
	}
	m := backingMap{fd: int32(file)}
	id, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fuse), backingOpen, uintptr(unsafe.Pointer(&m)))
	if errno != 0 {
		return 0, errno
	}
	return int32(id), nil
}

// become sets the thread's file system identity. CAP_SYS_ADMIN stays, since only a
// change of the effective uid takes it; CAP_DAC_OVERRIDE and its like the kernel takes from
// a thread whose fsuid leaves 0 (capabilities(7)).
func become(uid, gid int) error {
	if _, err := unix.SetfsgidRetGid(gid); err != nil {
		return err
	}
	if _, err := unix.SetfsuidRetUid(uid); err != nil {
		return err
	}
	// setfsuid tells no failure: ask again.
	if now, _ := unix.SetfsuidRetUid(-1); now != uid {
		return unix.EPERM
	}
	return nil
}

func (s *Server) unregister(fuse int, id int32) error {
	if s.Unregister != nil {
		return s.Unregister(fuse, id)
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fuse), backingClose, uintptr(unsafe.Pointer(&id))); errno != 0 {
		return errno
	}
	return nil
}

func peerOf(c *net.UnixConn) (cred *unix.Ucred, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	return cred, errors.Join(cerr, err)
}

// descriptors takes the descriptors out of a control message.
func descriptors(oob []byte) (fds []int) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range msgs {
		if got, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return fds
}
