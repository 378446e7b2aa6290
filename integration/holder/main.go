// Command holder opens a file and does with it what its standard input says,
// line by line, answering "ok" or the error to each: it is the program of the
// tests that keeps a file open, or mapped, while other things happen.
//
//	write OFFSET TEXT   pwrite(2)
//	map SIZE            ftruncate, then mmap MAP_SHARED for reading and writing
//	close               close the descriptor; the map stays
//	store OFFSET TEXT   store into the map
//	fsync | unmap
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: holder FILE")
		os.Exit(2)
	}
	f, err := os.OpenFile(os.Args[1], os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ok")
	h := holder{file: f}
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		if err := h.do(s.Text()); err != nil {
			fmt.Println(err)
		} else {
			fmt.Println("ok")
		}
	}
}

type holder struct {
	file *os.File
	mem  []byte
}

func (h *holder) do(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	number, text, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(number)
	if number != "" && err != nil {
		return err
	}
	switch verb {
	case "write":
		_, err := h.file.WriteAt([]byte(text), int64(n))
		return err
	case "map":
		if err := h.file.Truncate(int64(n)); err != nil {
			return err
		}
		h.mem, err = unix.Mmap(int(h.file.Fd()), 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		return err
	case "close":
		return h.file.Close()
	case "store":
		if n+len(text) > len(h.mem) {
			return errors.New("outside the map")
		}
		copy(h.mem[n:], text)
		return nil
	case "fsync":
		return h.file.Sync()
	case "unmap":
		return unix.Munmap(h.mem)
	}
	return fmt.Errorf("what is %q?", verb)
}
