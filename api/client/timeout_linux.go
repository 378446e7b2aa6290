package client

import (
	"time"

	"golang.org/x/sys/unix"
)

// userTimeout is the option for how long sent bytes may stay unacknowledged (tcp(7)).
const userTimeout = unix.TCP_USER_TIMEOUT

func userTimeoutOf(d time.Duration) int { return int(d.Milliseconds()) }
