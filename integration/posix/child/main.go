// Command child is the other program of cases that need two: it locks a file or
// appends to it.
//
//	child lock FILE     a POSIX write lock on all of it, until standard input ends
//	child wait FILE     the same, waiting for it
//	child append FILE   1000 lines
package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(what, file string) error {
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
	case "lock", "wait":
		cmd := unix.F_SETLK
		if what == "wait" {
			cmd = unix.F_SETLKW
		}
		if err := unix.FcntlFlock(f.Fd(), cmd, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
			return err
		}
		fmt.Println("locked")
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	}
	return fmt.Errorf("what is %q?", what)
}
