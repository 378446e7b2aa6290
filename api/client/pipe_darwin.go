package client

import (
	"net"
	"os"
)

// A pipe is not to be had: macOS knows no way from a connection into a file but through memory.
type pipe struct{ held int }

func newPipe(*[takeAtOnce]byte) *pipe                { return nil }
func (*pipe) close()                                 {}
func (*pipe) standsIn([]byte) bool                   { return false }
func (*pipe) read(*net.TCPConn, []byte) (int, error) { return 0, nil }
func (*pipe) put(*os.File, int64) (int, error)       { return 0, nil }
