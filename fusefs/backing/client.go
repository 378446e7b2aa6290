package backing

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Client asks the service for one mount. It is safe for concurrent use;
// requests go one at a time. When the service was away and is back, the client connects anew.
type Client struct {
	socket string
	fuse   int // of /dev/fuse

	mu   sync.Mutex
	c    *net.UnixConn // nil: the service is gone
	next time.Time     // it is not looked for before
	hush time.Duration // how long it is left alone since it took a request and did not answer; 0 = it did last
	over bool          // it is looked for no more
}

// ErrGone is the error when the service does not answer: not now, and perhaps later.
var ErrGone = errors.New("satchel-helper is gone")

// Dial connects to the service for the mount whose /dev/fuse descriptor is given.
func Dial(socket string, fuse int) (*Client, error) {
	c := &Client{socket: socket, fuse: fuse}
	if err := c.connect(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Client) connect() error {
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: c.socket, Net: "unixpacket"})
	if err != nil {
		c.next = time.Now().Add(lookEvery)
		return fmt.Errorf("connect to satchel-helper: %w", err)
	}
	c.c = conn
	return nil
}

// timeout is how long the service may take; it does one system call. Once it is gone it is looked for every lookEvery. One that is there and
// does not answer (stopped, or on a sick disk) is left alone for minHush, longer each time: the whole mount waits for its answers.
const (
	timeout   = 2 * time.Second
	lookEvery = time.Second
	minHush   = time.Minute
	maxHush   = time.Hour
)

// Register registers a content file (O_RDONLY) and returns its backing id.
func (c *Client) Register(file int) (int32, error) {
	return c.ask([]byte{opOpen}, c.fuse, file)
}

// Unregister gives a backing id back.
func (c *Client) Unregister(id int32) error {
	_, err := c.ask(binary.LittleEndian.AppendUint32([]byte{opClose}, uint32(id)), c.fuse)
	return err
}

func (c *Client) ask(msg []byte, fds ...int) (int32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.c != nil
	id, err := c.tell(msg, fds)
	if errors.Is(err, syscall.EPIPE) && before { // it was restarted meanwhile
		id, err = c.tell(msg, fds)
	}
	if err != nil && c.c == nil {
		return 0, fmt.Errorf("%w: %w", ErrGone, err)
	}
	return id, err
}

// tell sends a request and returns the answer. With mu held; c is nil after an error of the connection.
func (c *Client) tell(msg []byte, fds []int) (int32, error) {
	if c.c == nil {
		if c.over || time.Now().Before(c.next) {
			return 0, net.ErrClosed
		}
		if err := c.connect(); err != nil {
			return 0, err
		}
	}
	c.c.SetDeadline(time.Now().Add(timeout))
	_, _, err := c.c.WriteMsgUnix(msg, unix.UnixRights(fds...), nil)
	var b [4]byte
	n := 0
	if err == nil {
		n, err = c.c.Read(b[:])
	}
	if err != nil || n != len(b) {
		c.c.Close() // a late answer must not be taken for the next one's
		c.c = nil
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.hush = min(max(2*c.hush, minHush), maxHush)
			c.next = time.Now().Add(c.hush)
		case !errors.Is(err, syscall.EPIPE):
			c.next = time.Now().Add(lookEvery)
		}
		return 0, fmt.Errorf("no answer from satchel-helper: %w", cmp.Or(err, io.ErrUnexpectedEOF))
	}
	c.hush = 0
	id := int32(binary.LittleEndian.Uint32(b[:]))
	if id < 0 {
		return 0, unix.Errno(-id)
	}
	return id, nil
}

// Close ends the connection; what is registered stays until the unmount.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.c == nil {
		return nil
	}
	err := c.c.Close()
	c.c = nil
	return err
}
