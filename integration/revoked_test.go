package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/integration/rig"
)

// revokeLogin ends a device's login.
func (a *account) revokeLogin(t *testing.T, d *rig.Device) {
	t.Helper()
	var devices []api.Device
	must(t, json.Unmarshal(a.ask(t, "GET", "/v1/devices", nil, nil).body, &devices))
	i := slices.IndexFunc(devices, func(x api.Device) bool { return x.Name == d.Name })
	if i < 0 {
		t.Fatalf("%s is not among the devices %+v", d.Name, devices)
	}
	if got := a.ask(t, "DELETE", "/v1/devices/"+devices[i].ID.String(), nil, nil); got.status != 204 {
		t.Fatalf("revoking: %v", got)
	}
}

// TestRevokedWhileOffline: a device that was revoked while it was offline keeps what it has not sent,
// through restarts of its daemon too, says that one has to log in again, and gives the work out
// as plain files, with the server and without, mounted and not. After a new login all is sent.
func TestRevokedWhileOffline(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	laptop := anna.mountNew(t, "laptop")
	in := func(name string) string { return filepath.Join(laptop.Mount, name) }
	must(t, os.Mkdir(in("work"), 0o755))
	write(t, in("work/sent"), "on the server")
	write(t, in("work/edited"), "before")
	syncAll(t, laptop)

	export := func(when string, args ...string) {
		t.Helper()
		dir := filepath.Join(laptop.Home, "out "+when)
		out, err := laptop.Satchel(t.Context(), "", append([]string{"export-unsent", dir}, args...)...)
		if err != nil || !strings.Contains(out, "3 files") || !strings.Contains(out, "rename work/sent → work/moved") {
			t.Fatalf("%s: %q %v", when, out, err)
		}
		must(t, has(filepath.Join(dir, "work/edited"), "edited offline"))
		must(t, has(filepath.Join(dir, "new folder/new"), "made offline"))
		if _, err := os.Stat(filepath.Join(dir, "work/sent")); err == nil {
			t.Errorf("%s: what the server has was exported", when)
		}
		_, err = laptop.Satchel(t.Context(), "", append([]string{"export-unsent", dir}, args...)...)
		refused(t, err, "is not empty")
	}
	must(t, s.Stop())
	write(t, in("work/edited"), "edited offline")
	must(t, os.Mkdir(in("new folder"), 0o755))
	write(t, in("new folder/new"), "made offline")
	must(t, os.Rename(in("work/sent"), in("work/moved")))
	export("offline")
	_, err := laptop.Satchel(t.Context(), "", "export-unsent", in("copy"))
	refused(t, err, "in the drive itself")
	must(t, laptop.Unmount(t.Context(), "--now"))
	export("offline and unmounted")
	mount(t, laptop) // without the server

	must(t, s.Start(t.Context()))
	desk := anna.newDevice(t, "desk") // logs in and stays
	_ = desk
	// It was quick to send while it was still allowed: what is made after the revocation is what counts.
	anna.revokeLogin(t, laptop)
	must(t, s.Stop())
	write(t, in("work/edited"), "edited offline")
	write(t, in("later"), "made after it was revoked")
	must(t, s.Start(t.Context()))
	for _, when := range []string{"revoked", "revoked and mounted again"} {
		eventually(t, 30*time.Second, func() error {
			_, err := laptop.Satchel(t.Context(), "", "sync", "--wait", "--timeout", "20s")
			refused(t, err, "log in again")
			return nil
		})
		must(t, has(in("later"), "made after it was revoked"))
		out, err := laptop.Satchel(t.Context(), "", "status")
		if err != nil || !strings.Contains(out, "log in again") {
			t.Errorf("%s: status %q %v", when, out, err)
		}
		dir := filepath.Join(laptop.Home, "out "+when)
		if out, err := laptop.Satchel(t.Context(), "", "export-unsent", dir); err != nil {
			t.Fatalf("%s: %q %v", when, out, err)
		}
		must(t, has(filepath.Join(dir, "later"), "made after it was revoked"))
		must(t, laptop.Unmount(t.Context()))
		if when == "revoked" {
			mount(t, laptop)
		}
	}
	// Not even a login is needed for that.
	must(t, os.Remove(filepath.Join(laptop.Home, "config/satchel/default.json")))
	if out, err := laptop.Satchel(t.Context(), "", "export-unsent", filepath.Join(laptop.Home, "out logged out")); err != nil {
		t.Fatalf("logged out: %q %v", out, err)
	}
	must(t, has(filepath.Join(laptop.Home, "out logged out/later"), "made after it was revoked"))

	must(t, laptop.Login(t.Context(), s.URL, anna.email, anna.password))
	mount(t, laptop)
	syncAll(t, laptop)
	must(t, anna.stored(t, "later", []byte("made after it was revoked")))
	must(t, anna.stored(t, "work/edited", []byte("edited offline")))
	must(t, anna.stored(t, "new folder/new", []byte("made offline")))
	must(t, anna.stored(t, "work/moved", []byte("on the server")))
	out, err := laptop.Satchel(t.Context(), "", "export-unsent", filepath.Join(laptop.Home, "out in the end"))
	if err != nil || !strings.Contains(out, "no unsent content") {
		t.Errorf("in the end: %q %v", out, err)
	}
}
