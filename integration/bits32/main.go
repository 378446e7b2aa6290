// Command bits32 is a 32-bit program: built for 386, it prints what such programs see of a folder and of the files
// in it, by the calls that they make.
//
//	bits32 DIR
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"unsafe"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// statfs32 is the statfs(2) from before large file support, and what it fills in: numbers that do not fit are EOVERFLOW.
const statfs32 = 99

type statfsBuf struct {
	Type, Bsize, Blocks, Bfree, Bavail, Files, Ffree uint32
	Rest                                             [9]uint32
}

func run(dir string) error {
	path, err := syscall.BytePtrFromString(dir)
	if err != nil {
		return err
	}
	var old statfsBuf
	_, _, errno := syscall.Syscall(statfs32, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&old)), 0)
	fmt.Println("statfs:", errno == 0, old.Blocks > 0, old.Bavail <= old.Blocks, old.Ffree <= old.Files)
	var fs syscall.Statfs_t // statfs64
	err = syscall.Statfs(dir, &fs)
	fmt.Println("statfs64:", err, fs.Bavail <= fs.Blocks, fs.Ffree <= fs.Files, fs.Namelen)
	entries, err := os.ReadDir(dir) // getdents64
	if err != nil {
		return err
	}
	for _, e := range entries {
		var st syscall.Stat_t // stat64
		if err := syscall.Lstat(filepath.Join(dir, e.Name()), &st); err != nil {
			return err
		}
		if e.IsDir() { // each file system has its own idea
			st.Size, st.Blocks = 0, 0
		}
		fmt.Printf("%s: %o %d bytes, %d blocks, %d links, %d.%09d\n", e.Name(), st.Mode, st.Size, st.Blocks, st.Nlink, st.Mtim.Sec, st.Mtim.Nsec)
	}
	f, err := os.OpenFile(filepath.Join(dir, "large"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := f.Seek(0, 2)
	fmt.Println("seek:", end, err)
	_, err = f.WriteAt([]byte("beyond"), end)
	b := make([]byte, 10)
	n, rerr := f.ReadAt(b, end)
	fmt.Printf("write and read: %v %q %v\n", err, b[:n], rerr)
	return f.Truncate(5 << 30)
}
