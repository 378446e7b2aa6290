// Command child is the other program of cases that need two: it locks a file or
// appends to it.
//
//	child lock FILE     a POSIX write lock on all of it, until standard input ends
//	child wait FILE     the same, waiting for it
//	child flock FILE    the same with flock(2)
//	child ofd FILE      the same with a lock of the open file
//	child cross FILE 2  a lock on FILE, then waiting for one on the second
//	child append FILE   1000 lines
package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3:]...); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(what, file string, more ...string) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	switch what {
	case "append":
		for i := range 1000 {
			if _, err := fmt.Fprintf(f, "%d %d\n", os.Getpid(), i); err != nil {
				return err
			}
		}
		return nil
	case "lock", "wait", "flock", "ofd", "cross":
		if err := lock(f, what); err != nil {
			return err
		}
		fmt.Println("locked")
		if what == "cross" {
			return run("wait", more[0])
		}
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	}
	return fmt.Errorf("what is %q?", what)
}

func lock(f *os.File, what string) error {
	l := &unix.Flock_t{Type: unix.F_WRLCK}
	switch what {
	case "wait":
		return unix.FcntlFlock(f.Fd(), unix.F_SETLKW, l)
	case "flock":
		return unix.Flock(int(f.Fd()), unix.LOCK_EX)
	case "ofd":
		return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLKW, l)
	}
	return unix.FcntlFlock(f.Fd(), unix.F_SETLK, l)
}
