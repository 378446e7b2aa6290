package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"satchel/integration/require"
	"satchel/integration/rig"
)

// exerciseVariable is how many operations TestExercise does to files in each way of mounting, and a tenth of it to
// each tree; `make exercise` says 1,000,000. seedVariable is the first seed.
const (
	exerciseVariable = "SATCHEL_EXERCISE_OPERATIONS"
	seedVariable     = "SATCHEL_EXERCISE_SEED"
)

// TestExercise does random things to files and trees and compares them with a model. Where the cache evicts, all is
// sent in each pause and leaves it.
func TestExercise(t *testing.T) {
	total, err := strconv.Atoi(os.Getenv(exerciseVariable))
	if err != nil {
		total = 4000
	}
	first, _ := strconv.Atoi(os.Getenv(seedVariable))
	program := filepath.Join(parts.Bin, "exercise")
	must(t, parts.Build(t.Context(), program, "./integration/exercise"))
	t.Run("plain folder", func(t *testing.T) { // proves the exercise right
		exercise(t, program, plainFolder(t, nil), first, 2000, nil, nil)
	})
	for _, mode := range mountModes {
		t.Run(mode.name, func(t *testing.T) {
			laptop := mode.mount(t)
			exercise(t, program, laptop.Mount, first, total, laptop, nil)
			syncAll(t, laptop)
			if status, err := laptop.Status(t.Context()); err != nil || status.PendingMutations != 0 {
				t.Errorf("after all that: %+v %v", status, err)
			}
		})
	}
	if os.Getuid() != 0 {
		return // what follows is the same once more
	}
	t.Run("ordinary user, evicting", func(t *testing.T) {
		require.Tool(t, "fusermount3")
		openFuse(t)
		cred := nobody(t)
		laptop := mountAs(t, cred, filepath.Join(t.TempDir(), "no-helper"), "--cache-size", smallCache)
		fillCache(t, laptop)
		exercise(t, program, laptop.Mount, first, total/4, laptop, cred)
		syncAll(t, laptop)
	})
}

// exercise runs one exerciser of content, three of trees and three in a crowd at a time, over several
// seeds. device, if not nil, is of the mount that dir is in; cred, if not nil, whom that belongs to.
func exercise(t *testing.T, program, dir string, first, ops int, device *rig.Device, cred *syscall.Credential) {
	seeds := max(4, ops/10_000)
	for seed := first; seed < first+seeds; seed++ {
		var wg sync.WaitGroup
		start := func(what, name string, seed, ops int) {
			wg.Go(func() {
				pause := func() error {
					switch {
					case device == nil:
						return nil
					case what == "content":
						return forget(t.Context(), device)
					}
					return device.Sync(t.Context())
				}
				if err := exerciser(t.Context(), cred, pause, program, what, filepath.Join(dir, name), strconv.Itoa(seed), strconv.Itoa(ops)); err != nil {
					t.Error(err)
				}
			})
		}
		start("content", fmt.Sprintf("content-%d", seed), seed, ops/seeds)
		for i := range 3 {
			start("tree", fmt.Sprintf("tree-%d-%d", seed, i), 10*seed+i, ops/seeds/10)
			start("crowd", fmt.Sprintf("crowd-%d/%d", seed, i), 10*seed+i, ops/seeds/10)
		}
		wg.Wait()
		start("crowded", fmt.Sprintf("crowd-%d", seed), 0, 0)
		wg.Wait()
		if t.Failed() {
			return
		}
		if seed%10 == 9 {
			t.Logf("seed %d passed", seed)
		}
	}
}

// forget sends all. Where the cache evicts, it waits until the content that nobody has open left it: until there is
// the filler of fillCache, and next to nothing else.
func forget(ctx context.Context, d *rig.Device) error {
	if err := d.Sync(ctx); err != nil {
		return err
	}
	for asked := 0; ; asked++ { // a count, and no clock: a process that was stopped and goes on has lost no time
		status, err := d.Status(ctx)
		switch {
		case err != nil:
			return err
		case status.CacheLimitBytes > filler || status.CacheBytes < filler+64<<10:
			return nil
		case asked == 6000:
			return fmt.Errorf("content does not leave the cache: %+v", status)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// exerciser runs the program as a user (nil: this one), and pause whenever it asks for one.
func exerciser(ctx context.Context, cred *syscall.Credential, pause func() error, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = "/" // which everybody may enter
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
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
	var paused error
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() != "pause" {
			fmt.Fprintln(&said, lines.Text())
			continue
		}
		paused = errors.Join(paused, pause())
		fmt.Fprintln(in, "go on")
	}
	if err := errors.Join(paused, cmd.Wait()); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, said.String())
	}
	return nil
}
