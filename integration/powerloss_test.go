package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"satchel/integration/rig"
)

// losePower has a file system forget all that it has not written, as the loss of power does: FS_IOC_SHUTDOWN of
// linux/fs.h with EXT4_GOING_FLAGS_NOLOGFLUSH.
func losePower(t *testing.T, disk string) {
	t.Helper()
	const shutdown, noLogFlush = 0x8004587d, 2
	f, err := os.Open(disk)
	must(t, err)
	defer f.Close()
	how := uint32(noLogFlush)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		t.Fatalf("shut the file system at %s down: %v", disk, errno)
	}
}

// onItsOwnDisk mounts a device whose cache is on a file system of its own.
func onItsOwnDisk(t *testing.T, desk *rig.Device) (disk string) {
	t.Helper()
	disk = smallDisk(t, filepath.Join(desk.Home, "cache"), 600<<20) // ext4 gives smaller ones blocks of 1 KiB, which no rider fits in
	mount(t, desk)
	t.Cleanup(func() { // before its disk is unmounted
		ctx, cancel := finish()
		defer cancel()
		if desk.Mounted() {
			must(t, desk.Unmount(ctx, "--now"))
		}
	})
	return disk
}

// pullOut takes the disk away from a cache, ends the daemon and the programs' handles, and brings the disk back.
func pullOut(t *testing.T, desk *rig.Device, disk string, handles ...*os.File) {
	t.Helper()
	pid := daemonOf(t, desk)
	losePower(t, disk)
	syscall.Kill(pid, syscall.SIGKILL)
	for _, f := range handles {
		f.Close()
	}
	eventually(t, 20*time.Second, func() error { return syscall.Unmount(desk.Mount, syscall.MNT_DETACH) })
	eventually(t, 20*time.Second, func() error { return syscall.Unmount(disk, 0) })
	command(t, "/", "mount", "-o", "loop", disk+".img", disk)
	mount(t, desk)
}

// save writes a file as editors do.
func save(t *testing.T, path, content string) {
	t.Helper()
	f, err := os.Create(path + "~")
	must(t, err)
	_, err = f.WriteString(content)
	must(t, errors.Join(err, f.Sync(), f.Close(), os.Rename(path+"~", path)))
}

// TestPowerLossOnADisk: what fsync(2) has returned for is there when the power went right then, on a real file system, without
// the server. The writer's daemon ends with the power.
func TestPowerLossOnADisk(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	desk := anna.newDevice(t, "desk")
	disk := onItsOwnDisk(t, desk)
	must(t, os.Mkdir(filepath.Join(desk.Mount, "docs"), 0o755))
	syncAll(t, desk)
	letter := filepath.Join(desk.Mount, "docs", "letter")
	diary := filepath.Join(desk.Mount, "docs", "diary")
	var written string
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	for round := range 5 {
		must(t, s.Stop())
		text := ""
		for i := range 1 + rng.IntN(30) {
			text = fmt.Sprintf("round %d, version %d %s", round, i, strings.Repeat("x", rng.IntN(40_000)))
			save(t, letter, text)
		}
		f, err := os.OpenFile(diary, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		must(t, err)
		for i := range rng.IntN(4) { // the same file several times; all before it is promised too
			line := fmt.Sprintf("round %d, entry %d\n", round, i)
			_, err := f.WriteString(line)
			must(t, errors.Join(err, f.Sync()))
			written += line
		}
		must(t, f.Sync())
		pullOut(t, desk, disk, f)
		must(t, has(diary, written))
		must(t, has(letter, text))
		must(t, s.Start(t.Context()))
		syncAll(t, desk)
		must(t, anna.stored(t, "docs/letter", []byte(text)))
		must(t, anna.stored(t, "docs/diary", []byte(written)))
	}
	if !strings.Contains(desk.Logs(), "changes of just before the end were found") {
		t.Error("nothing rode on content files")
	}
}

// TestDiskPulledOut: what was fetched, and had not reached the disk when that went, is not taken for what programs wrote, though the machine
// has not started again since.
func TestDiskPulledOut(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	laptop, desk := anna.newDevice(t, "laptop"), anna.newDevice(t, "desk")
	mount(t, laptop)
	disk := onItsOwnDisk(t, desk)
	text := map[string][]byte{}
	for i := range 30 {
		name := fmt.Sprint("letter ", i)
		text[name] = []byte(strings.Repeat(name, 1000))
		must(t, os.WriteFile(filepath.Join(laptop.Mount, name), text[name], 0o644))
	}
	syncAll(t, laptop)
	for name := range text {
		eventually(t, 20*time.Second, func() error { return has(filepath.Join(desk.Mount, name), string(text[name])) })
	}
	top, err := os.Open(desk.Mount)
	must(t, err)
	must(t, top.Sync()) // what was fetched is on record
	pullOut(t, desk, disk, top)
	syncAll(t, desk)
	for name := range text {
		must(t, anna.stored(t, name, text[name]))
		must(t, has(filepath.Join(desk.Mount, name), string(text[name])))
	}
}

func daemonOf(t *testing.T, d *rig.Device) int {
	t.Helper()
	status, err := d.Status(t.Context())
	must(t, err)
	return status.PID
}
