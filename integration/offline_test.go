package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestOffline: with the server gone the mount goes on, and when the server is
// back everything arrives without a command.
func TestOffline(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	laptop := anna.mountNew(t, "laptop")
	dir := filepath.Join(laptop.Mount, "work")
	must(t, os.Mkdir(dir, 0o755))
	for i := range 20 {
		write(t, filepath.Join(dir, fmt.Sprint("old-", i)), fmt.Sprint("content ", i))
	}
	syncAll(t, laptop)

	s.Kill()
	start := time.Now()
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 20 {
		t.Errorf("offline, the folder has %d entries, %v", len(list), err)
	}
	must(t, has(filepath.Join(dir, "old-7"), "content 7"))
	for i := range 20 {
		write(t, filepath.Join(dir, fmt.Sprint("new-", i)), fmt.Sprint("made offline ", i))
	}
	must(t, os.Rename(filepath.Join(dir, "old-1"), filepath.Join(dir, "moved")))
	must(t, os.Remove(filepath.Join(dir, "old-2")))
	write(t, filepath.Join(dir, "old-3"), "edited offline")
	if _, err := os.Stat(filepath.Join(dir, "never")); !os.IsNotExist(err) {
		t.Errorf("a name that does not exist: %v", err)
	}
	// Each of some sixty calls would take 5 s if it waited for the server.
	if took := time.Since(start); took > time.Minute {
		t.Errorf("working offline took %v", took)
	}
	status, err := laptop.Status(t.Context())
	if err != nil || status.PendingMutations == 0 {
		t.Errorf("status offline: %+v %v", status, err)
	}
	eventually(t, 30*time.Second, func() error {
		if status, err := laptop.Status(t.Context()); err != nil || status.Connected {
			return fmt.Errorf("status says connected: %+v %v", status, err)
		}
		return nil
	})

	must(t, s.Start(t.Context()))
	took := eventually(t, time.Minute, func() error {
		if err := anna.stored(t, "work/new-19", []byte("made offline 19")); err != nil {
			return err
		}
		return anna.stored(t, "work/old-3", []byte("edited offline"))
	})
	t.Logf("everything arrived %v after the server was back", took)
	syncAll(t, laptop)
	must(t, anna.stored(t, "work/moved", []byte("content 1")))
	if all := anna.files(t, "select=id,file_path"); len(all) != 39 {
		t.Errorf("the server has %d files, not 39", len(all))
	}
	for _, path := range []string{"work/old-1", "work/old-2"} {
		if got := anna.retrieve(t, path); got.status != 400 {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// TestMountWithoutServer: a device that was used before starts without the
// server too.
func TestMountWithoutServer(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	laptop := anna.mountNew(t, "laptop")
	write(t, filepath.Join(laptop.Mount, "letter"), "Dear Anna")
	syncAll(t, laptop)
	must(t, laptop.Unmount(t.Context()))
	must(t, s.Stop())

	start := time.Now()
	mount(t, laptop)
	must(t, has(filepath.Join(laptop.Mount, "letter"), "Dear Anna"))
	write(t, filepath.Join(laptop.Mount, "answer"), "Dear Boris")
	if took := time.Since(start); took > time.Minute {
		t.Errorf("mounting and reading without the server took %v", took)
	}
	// What was not sent goes out at the next mount.
	must(t, laptop.Unmount(t.Context(), "--now"))
	must(t, s.Start(t.Context()))
	mount(t, laptop)
	eventually(t, time.Minute, func() error { return anna.stored(t, "answer", []byte("Dear Boris")) })
}

// TestServerKilledWhileWorking: kill -9 of the server in the middle of uploads
// loses nothing and applies nothing twice.
func TestServerKilledWhileWorking(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	laptop := anna.mountNew(t, "laptop")
	const files = 300
	for i := range files {
		write(t, filepath.Join(laptop.Mount, fmt.Sprintf("f%03d", i)), fmt.Sprint("content ", i))
		if i%100 == 50 {
			time.Sleep(700 * time.Millisecond) // the syncer is at it
			s.Kill()
			must(t, s.Start(t.Context()))
		}
	}
	syncAll(t, laptop)
	if all := anna.files(t, "select=id,file_path&limit=1000"); len(all) != files {
		t.Errorf("the server has %d files, not %d", len(all), files)
	}
	desk := anna.mountNew(t, "desk")
	command(t, "", "diff", "-r", laptop.Mount, desk.Mount)
}

// TestConflictKeepsBoth: two devices that changed the same file while neither
// could know of the other end with both contents, alike on both.
func TestConflictKeepsBoth(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	a, b := anna.mountNew(t, "a"), anna.mountNew(t, "b")
	write(t, filepath.Join(a.Mount, "plan.txt"), "draft")
	write(t, filepath.Join(a.Mount, "gone.txt"), "draft")
	syncAll(t, a)
	for _, name := range []string{"plan.txt", "gone.txt"} {
		eventually(t, 5*time.Second, func() error { return has(filepath.Join(b.Mount, name), "draft") })
	}

	must(t, s.Stop())
	write(t, filepath.Join(a.Mount, "plan.txt"), "a's plan")
	write(t, filepath.Join(b.Mount, "plan.txt"), "b's plan")
	must(t, os.Remove(filepath.Join(a.Mount, "gone.txt")))
	write(t, filepath.Join(b.Mount, "gone.txt"), "edited")
	must(t, s.Start(t.Context()))
	syncAll(t, a)
	syncAll(t, b)

	for _, d := range []string{a.Mount, b.Mount} {
		eventually(t, 10*time.Second, func() error {
			entries, err := os.ReadDir(d)
			if err != nil {
				return err
			}
			found := map[string]string{}
			for _, e := range entries {
				content, err := os.ReadFile(filepath.Join(d, e.Name()))
				if err != nil {
					return err
				}
				found[string(content)] = e.Name()
			}
			copies, err := filepath.Glob(filepath.Join(d, "plan (conflict, *.txt"))
			switch {
			case err != nil:
				return err
			case len(found) != 3 || found["a's plan"] == "" || found["b's plan"] == "" || len(copies) != 1:
				return fmt.Errorf("not both plans and one conflict copy: %v", found)
			case found["edited"] != "gone.txt":
				return fmt.Errorf("an edit must beat a delete: %v", found)
			}
			return nil
		})
	}
	command(t, "", "diff", "-r", a.Mount, b.Mount)
}
