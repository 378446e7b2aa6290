package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Without passthrough the kernel says where a write with O_APPEND goes: at the end of the file as it knows it. What another device appended
// before, or cut, while nobody had the file open here, counts all the same, though the program asks for no size.
func TestAppendToWhatAnotherDeviceWrote(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	laptop := anna.newDevice(t, "laptop")
	laptop.Args = []string{"--no-passthrough"}
	mount(t, laptop)
	desk := anna.mountNew(t, "desk")
	const added = "added here"
	for size, what := range map[int]string{200: "grown", 50: "cut", 9000: "grown by pages"} {
		for _, byName := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, by name %v", what, byName), func(t *testing.T) {
				name := fmt.Sprintf("%d %v", size, byName)
				here, there := filepath.Join(laptop.Mount, name), filepath.Join(desk.Mount, name)
				write(t, here, strings.Repeat("0", 100))
				syncAll(t, laptop)
				known, err := unix.Open(here, unix.O_PATH, 0) // opens nothing; the kernel goes on knowing the file
				must(t, err)
				defer unix.Close(known)
				changed := strings.Repeat("1", size)
				eventually(t, 30*time.Second, func() error { return has(there, strings.Repeat("0", 100)) })
				write(t, there, changed)
				syncAll(t, desk)
				write(t, there+" is written", "yes")
				syncAll(t, desk)
				eventually(t, 30*time.Second, func() error { return has(here+" is written", "yes") })
				syncAll(t, laptop)

				path := here
				if !byName {
					path = fmt.Sprintf("/proc/self/fd/%d", known)
				}
				fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND, 0)
				must(t, err)
				n, err := unix.Write(fd, []byte(added))
				at, seekErr := unix.Seek(fd, 0, unix.SEEK_CUR)
				must(t, unix.Close(fd))
				if err != nil || seekErr != nil || n != len(added) {
					t.Fatalf("write: %d, %v; then %v", n, err, seekErr)
				}
				if want := int64(size + len(added)); byName && at != want {
					t.Errorf("the program is at %d, not at %d", at, want)
				}
				syncAll(t, laptop)
				for _, path := range []string{here, there} {
					eventually(t, 30*time.Second, func() error { return has(path, changed+added) })
				}
			})
		}
	}
}
