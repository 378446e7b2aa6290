package client

import (
	"time"

	"golang.org/x/sys/unix"
)

// userTimeout is macOS' option for how long sent bytes may stay unacknowledged, in seconds.
const userTimeout = unix.TCP_RXT_CONNDROPTIME

func userTimeoutOf(d time.Duration) int { return int(d.Seconds()) }
