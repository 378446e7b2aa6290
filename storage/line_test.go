package storage

import (
	"fmt"
	"strings"
	"testing"

	"satchel/api"
)

// When the service ends nothing of what waits for a drive holds a connection any more, however long others have the drive.
func TestCloseBreaksWritesOff(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	c := newCrowd(t, w, d)
	c.put(t.Context(), "behind", "behind", PutOptions{})
	w.Close()
	c.all.Wait()
	w.db.Close()
	for _, path := range []string{"first", "behind"} {
		if err := c.errs[path]; api.KindOf(err) != api.Unavailable || err.Error() != errEnding().Error() { // and not that it waited for too long
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := c.held.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
}

// What two devices of one user write is not done together: each change is of its own device.
func TestDevicesAreApart(t *testing.T) {
	w := newWorld(t)
	laptop := w.user(t, "editor")
	phone := laptop.device("phone")
	d := w.home(t, laptop)
	c := newCrowd(t, w, d)
	c.put(t.Context(), "of the laptop", "laptop", PutOptions{})
	other := w.home(t, phone)
	c.all.Go(func() {
		if _, _, err := other.Put(t.Context(), names(t, "/of the phone"), strings.NewReader("phone"), PutOptions{}); err != nil {
			t.Error(err)
		}
	})
	c.until("the phone's is being done", func(line *line) bool { return line.inside == 1 && len(line.turn) == 1 && len(line.waiting) == 0 })
	c.goOn()
	if n := c.transactions(); n != 3 { // with the first write
		t.Errorf("it took %d transactions, not 3", n)
	}
	for path, by := range map[string]Caller{"first": laptop, "of the laptop": laptop, "of the phone": phone} {
		var is bool
		if err := w.admin.QueryRow(t.Context(), `SELECT bool_and(device = $1) FROM satchel.changes WHERE drive = $2 AND $3 IN (name, to_name)`,
			by.Device.String(), d.ID().String(), path).Scan(&is); err != nil || !is {
			t.Errorf("%s is not of its device: %v", path, err)
		}
	}
}

// Versions of one file that together are beyond the quota, and of which the S3 API keeps something, are done together, and the oldest make room.
func TestRoomForMany(t *testing.T) {
	const quota = 100
	w := newWorld(t)
	u := w.user(t, "editor")
	d := w.home(t, u)
	if _, err := w.admin.Exec(t.Context(), `UPDATE satchel.users SET quota = $1 WHERE id = $2`, quota, u.User.String()); err != nil {
		t.Fatal(err)
	}
	c := newCrowd(t, w, d)
	for i := range 4 {
		c.put(t.Context(), "key", strings.Repeat(fmt.Sprint(i), 40), PutOptions{Object: func() *Object { return &Object{ETag: fmt.Sprint(i)} }})
	}
	c.goOn()
	c.has("key", strings.Repeat("3", 40))
	n, err := d.Lookup(t.Context(), names(t, "/key"))
	if err != nil {
		t.Fatal(err)
	}
	if n := c.transactions(); n != 2 { // and not each again, alone
		t.Errorf("it took %d transactions, not 2", n)
	}
	w.evictAsked(t)
	var stored int64
	if err := w.admin.QueryRow(t.Context(), `SELECT stored FROM satchel.drives WHERE id = $1`, d.ID().String()).Scan(&stored); err != nil || stored > quota || stored < 85 {
		t.Errorf("%d bytes are stored: %v", stored, err)
	}
	if kept, err := d.Objects(t.Context(), []api.ID{n.Version}); err != nil || kept[n.Version].ETag != "3" {
		t.Errorf("what is kept of the file is %+v: %v", kept, err)
	}
}
