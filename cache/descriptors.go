package cache

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// Each file that a program has open costs a descriptor here, and another one where it is written through the daemon. Were
// none left, the replica could not go on with its log and its tables, and nothing would, not even the closes that give
// descriptors back. So programs get no more before that.

// spareDescriptors is how many are kept for all else: the replica's tables, connections, what is sent and fetched.
const spareDescriptors = 2048

// descriptors is how many this process may have (RLIMIT_NOFILE; Go has raised it to what it may be).
var descriptors = sync.OnceValue(func() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 1024
	}
	return int(min(l.Cur, 1<<30))
})

// spare fails with ENFILE when a program may open no further file: not with EMFILE, which would speak of the program's own
// descriptors (open(2)). What is open though nobody uses it is closed then, for the next one; locked.
func (d *Drive) spare() error {
	limit := descriptors()
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0) // the lowest number that is free: all below are in use
	if err == nil {
		unix.Close(fd)
		if fd < limit-min(spareDescriptors, limit/2) {
			return nil
		}
	} else if !errors.Is(err, unix.EMFILE) {
		return nil // there is no descriptor 0
	}
	d.idleDown(0)
	d.st.hurry() // what is durable need not stay open
	return unix.ENFILE
}

// idleDown closes the content files that nobody has open, the oldest first, but for so many; locked.
func (d *Drive) idleDown(to int) {
	for len(d.slots.idle) > to {
		i := d.slots.idle[0]
		d.slots.idle = d.slots.idle[1:]
		if i.c.idle && i.n.c == i.c && i.n.opens == 0 && i.n.hot == nil {
			i.n.c, i.c.idle = nil, false
			d.slots.later(func() { d.closeContent(i.c) })
		}
	}
}
