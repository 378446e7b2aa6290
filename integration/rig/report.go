package rig

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ReplaceSection puts text between the two lines of a Markdown file that mark
// a section of a name: <!-- NAME: begin --> and <!-- NAME: end -->.
func ReplaceSection(file, name, text string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	begin, end := fmt.Sprintf("<!-- %s: begin -->\n", name), fmt.Sprintf("<!-- %s: end -->\n", name)
	before, rest, found := bytes.Cut(b, []byte(begin))
	_, after, found2 := bytes.Cut(rest, []byte(end))
	if !found || !found2 {
		return fmt.Errorf("%s has no lines %q and %q to put the text between", file, begin, end)
	}
	return os.WriteFile(file, slices.Concat(before, []byte(begin), []byte(text), []byte(end), after), 0o644)
}

// Machine says in a sentence where and when something was measured. Dir is on
// the disk that it used.
func Machine(dir string) string {
	var u unix.Utsname
	unix.Uname(&u)
	release := strings.SplitN(unix.ByteSliceToString(u.Release[:]), ".", 3) // what follows major and minor is the machine's own
	return fmt.Sprintf("Measured on %s: %d CPUs, Linux %s, %s.", time.Now().UTC().Format(time.DateOnly),
		runtime.NumCPU(), strings.Join(release[:min(2, len(release))], "."), fileSystem(dir))
}

// fileSystem is the type of the file system that dir is on, as /proc/mounts
// calls it.
func fileSystem(dir string) string {
	b, _ := os.ReadFile("/proc/self/mounts")
	best, kind := "", "an unknown file system"
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 2 && len(f[1]) >= len(best) && (f[1] == "/" || strings.HasPrefix(filepath.Clean(dir)+"/", f[1]+"/")) {
			best, kind = f[1], f[2]
		}
	}
	return kind
}

// Resident is what a process has in memory, in bytes.
func Resident(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("the size of process %d is not known", pid)
}
