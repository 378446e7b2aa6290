package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"satchel/cmd/internal/cli"
)

// holders are the programs that work in a folder or have something of it open, as "name (pid)", as far as this user may know.
// No path in the folder itself is looked at: the links of proc(5) say it all.
func holders(dir string) (all []string) {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		pid, err := strconv.Atoi(filepath.Base(proc))
		if err != nil || pid == os.Getpid() || !holds(proc, dir) {
			continue
		}
		name, err := os.ReadFile(filepath.Join(proc, "comm"))
		if err != nil {
			continue // it has ended
		}
		all = append(all, fmt.Sprintf("%s (%d)", cli.Printable(strings.TrimSpace(string(name))), pid))
	}
	return all
}

// holds tells whether a process, by its directory in /proc, uses something in a folder.
func holds(proc, dir string) bool {
	within := func(link string) bool {
		to, err := os.Readlink(link)
		return err == nil && strings.HasPrefix(to+"/", dir+"/")
	}
	for _, name := range []string{"cwd", "root", "exe"} {
		if within(filepath.Join(proc, name)) {
			return true
		}
	}
	open, _ := filepath.Glob(filepath.Join(proc, "fd", "*"))
	if slices.ContainsFunc(open, within) {
		return true
	}
	maps, err := os.ReadFile(filepath.Join(proc, "maps"))
	return err == nil && strings.Contains(string(maps), " "+dir+"/")
}
