package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// processors is how long programs had a processor.
type processors struct {
	postgres, satcheld, client time.Duration
}

func (p processors) since(o processors) processors {
	return processors{p.postgres - o.postgres, p.satcheld - o.satcheld, p.client - o.client}
}

func (p processors) all() time.Duration { return p.postgres + p.satcheld + p.client }

// tick is the unit of times in /proc/PID/stat: USER_HZ is 100 on Linux
// (proc(5)).
const tick = 10 * time.Millisecond

// processorTimes is how long satcheld, its PostgreSQL with all that it
// started, and this process, the client, had a processor so far.
func processorTimes(satcheld int) (p processors, err error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return p, err
	}
	type process struct {
		parent    int
		own, dead time.Duration
	}
	all := map[int]process{}
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// PID (NAME) STATE PPID … utime stime cutime cstime: fields 14 to 17
		_, rest, _ := strings.Cut(string(b), ") ")
		f := strings.Fields(rest)
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || len(f) < 15 {
			return p, fmt.Errorf("%s is not understood: %q", file, b)
		}
		var n [5]int
		for i, at := range []int{1, 11, 12, 13, 14} {
			if n[i], err = strconv.Atoi(f[at]); err != nil {
				return p, fmt.Errorf("%s: %w", file, err)
			}
		}
		all[pid] = process{n[0], time.Duration(n[1]+n[2]) * tick, time.Duration(n[3]+n[4]) * tick}
	}
	p.client, p.satcheld = all[os.Getpid()].own, all[satcheld].own
	for pid, one := range all {
		switch {
		case one.parent == satcheld && pid != satcheld:
			p.postgres += one.own + one.dead
		case all[one.parent].parent == satcheld && one.parent != satcheld:
			p.postgres += one.own
		}
	}
	if p.postgres == 0 {
		return p, fmt.Errorf("process %d has no PostgreSQL", satcheld)
	}
	return p, nil
}
