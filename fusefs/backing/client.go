package backing

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Client asks the service for one mount. It is safe for concurrent use;
// requests go one at a time.
type Client struct {
	fuse int // of /dev/fuse

	mu sync.Mutex
	c  *net.UnixConn
}

// Dial connects to the service for the mount whose /dev/fuse descriptor is given.
func Dial(socket string, fuse int) (*Client, error) {
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: socket, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("connect to satchel-helper: %w", err)
	}
	return &Client{fuse: fuse, c: c}, nil
}

// timeout is how long the service may take; it does one system call.
const timeout = 2 * time.Second

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
	c.c.SetDeadline(time.Now().Add(timeout))
	if _, _, err := c.c.WriteMsgUnix(msg, unix.UnixRights(fds...), nil); err != nil {
		return 0, fmt.Errorf("ask satchel-helper: %w", err)
	}
	var b [4]byte
	if n, err := c.c.Read(b[:]); err != nil || n != 4 {
		c.c.Close() // a late answer must not be taken for the next one's
		return 0, fmt.Errorf("satchel-helper did not answer: %w", err)
	}
	id := int32(binary.LittleEndian.Uint32(b[:]))
	if id < 0 {
		return 0, unix.Errno(-id)
	}
	return id, nil
}

// Close ends the connection; what is registered stays until the unmount.
func (c *Client) Close() error { return c.c.Close() }
