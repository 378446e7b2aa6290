package integration

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/integration/rig"
)

// exerciseVariable is how many operations TestExercise does to a file in each way of
// mounting; `make exercise` says 1,000,000.
const exerciseVariable = "SATCHEL_EXERCISE_OPERATIONS"

// smallCache is the smallest that satchel takes; forget makes it too small.
const smallCache, tooLarge = "64MiB", 66 << 20

// TestExercise does random things to files and trees and compares them with a model. In each pause all is
// sent, and the content that nobody has open leaves the cache.
func TestExercise(t *testing.T) {
	total, err := strconv.Atoi(os.Getenv(exerciseVariable))
	if err != nil {
		total = 4000
	}
	program := filepath.Join(parts.Bin, "exercise")
	must(t, parts.Build(t.Context(), program, "./integration/exercise"))
	t.Run("plain folder", func(t *testing.T) { // proves the exercise right
		exercise(t, program, plainFolder(t, nil), 2000, 500, nil)
	})
	for _, mode := range mountModes {
		t.Run(mode.name, func(t *testing.T) {
			laptop := mode.mount(t, nil, "--cache-size", smallCache)
			exercise(t, program, laptop.Mount, total, total/10, laptop)
			syncAll(t, laptop)
			if status, err := laptop.Status(t.Context()); err != nil || status.PendingMutations != 0 {
				t.Errorf("after all that: %+v %v", status, err)
			}
		})
	}
}

// exercise runs one exerciser of content and three of trees at a time, over several seeds. device, if
// not nil, forgets content in their pauses.
func exercise(t *testing.T, program, dir string, contentOps, treeOps int, device *rig.Device) {
	const seeds = 4
	for seed := range seeds {
		var wg sync.WaitGroup
		start := func(what, name string, seed, ops int) {
			wg.Go(func() {
				if err := exerciser(t, device, program, what, filepath.Join(dir, name), seed, ops); err != nil {
					t.Error(err)
				}
			})
		}
		start("content", fmt.Sprintf("content-%d", seed), seed, contentOps/seeds)
		for i := range 3 {
			start("tree", fmt.Sprintf("tree-%d-%d", seed, i), 10*seed+i, treeOps/seeds)
		}
		wg.Wait()
		if t.Failed() {
			return
		}
	}
}

var forgetting sync.Mutex

// forget makes a device with smallCache evict content: by a file larger than the cache (a hole, so the
// server has its chunks already).
func forget(t *testing.T, device *rig.Device) {
	forgetting.Lock()
	defer forgetting.Unlock()
	filler := filepath.Join(device.Mount, "filler")
	err := os.WriteFile(filler, nil, 0o644)
	if err == nil {
		err = os.Truncate(filler, tooLarge)
	}
	if err := errors.Join(err, device.Sync(t.Context())); err != nil {
		t.Error(err)
	}
	eventually(t, 20*time.Second, func() error {
		status, err := device.Status(t.Context())
		if err == nil && status.CacheBytes >= tooLarge {
			err = fmt.Errorf("nothing left the cache: it has %d bytes", status.CacheBytes)
		}
		return err
	})
}

func exerciser(t *testing.T, device *rig.Device, program, what, path string, seed, ops int) error {
	cmd := exec.CommandContext(t.Context(), program, what, path, strconv.Itoa(seed), strconv.Itoa(ops))
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() != "pause" {
			fmt.Fprintln(&said, lines.Text())
			continue
		}
		if device != nil {
			forget(t, device)
		}
		fmt.Fprintln(in, "go on")
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("exercise %s %s: %w\n%s", what, path, err, said.String())
	}
	return nil
}
