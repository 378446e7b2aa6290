package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/integration/rig"
)

// satchel runs a command of the client on a device and returns its output.
func satchel(t *testing.T, d *rig.Device, args ...string) string {
	t.Helper()
	out, err := d.Satchel(t.Context(), "", args...)
	must(t, err)
	return out
}

// same is an error unless two trees have the same content.
func same(a, b string) error {
	if out, err := exec.Command("diff", "-r", a, b).CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%.1000s", err, out)
	}
	return nil
}

// TestThePastComesBack: a version, a deleted tree, and the whole drive at a
// time come back by the commands and by /v1, and every device sees it.
func TestThePastComesBack(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	laptop, desk := anna.mountNew(t, "laptop"), anna.mountNew(t, "desk")
	at := func(d *rig.Device, path ...string) string {
		return filepath.Join(append([]string{d.Mount}, path...)...)
	}
	both := func(what string, holds func(d *rig.Device) error) {
		t.Helper()
		for _, d := range []*rig.Device{laptop, desk} {
			took := eventually(t, 10*time.Second, func() error { return holds(d) })
			t.Logf("%s: seen on %s after %v", what, d.Name, took.Round(time.Millisecond))
		}
	}

	// Three versions of a letter, by two devices.
	for i, d := range []*rig.Device{laptop, desk, laptop} {
		content := fmt.Sprintf("version %d", i+1)
		write(t, at(d, "letter.txt"), content)
		syncAll(t, d)
		both(content, func(d *rig.Device) error { return has(at(d, "letter.txt"), content) })
	}
	var versions []api.FileVersion
	must(t, json.Unmarshal([]byte(satchel(t, desk, "history", "letter.txt", "--json")), &versions))
	if len(versions) != 3 || !versions[0].Current || versions[1].DeviceName == versions[2].DeviceName {
		t.Fatalf("the history is %+v", versions)
	}
	satchel(t, desk, "restore", "letter.txt", "--version", versions[2].ID.String())
	both("satchel restore", func(d *rig.Device) error { return has(at(d, "letter.txt"), "version 1") })
	document := anna.node(t, "letter.txt").Document
	got := anna.ask(t, "POST", fmt.Sprintf("/v1/drives/home/documents/%s/versions/%s/restore", document, versions[1].ID), nil, nil)
	if got.status != 200 {
		t.Fatalf("restore over /v1: %v", got)
	}
	both("restore over /v1", func(d *rig.Device) error { return has(at(d, "letter.txt"), "version 2") })

	// A deleted tree.
	for _, name := range []string{"a", "b", "c"} {
		must(t, os.MkdirAll(at(laptop, "tree", "deep"), 0o755))
		write(t, at(laptop, "tree", name), name)
		write(t, at(laptop, "tree", "deep", name), "deep "+name)
	}
	syncAll(t, laptop)
	before := t.TempDir()
	command(t, laptop.Mount, "cp", "-r", ".", before)
	both("the tree", func(d *rig.Device) error { return same(before, d.Mount) })
	info := func() (d api.DriveInfo) {
		must(t, json.Unmarshal(anna.ask(t, "GET", "/v1/drives/home", nil, nil).body, &d))
		return d
	}
	point := info().Seq
	remove := func() {
		t.Helper()
		must(t, os.RemoveAll(at(desk, "tree")))
		syncAll(t, desk)
		both("rm -r", func(d *rig.Device) error {
			if _, err := os.Stat(at(d, "tree")); !os.IsNotExist(err) {
				return fmt.Errorf("the tree is still there: %v", err)
			}
			return nil
		})
	}
	remove()
	var trash []api.Trashed
	must(t, json.Unmarshal([]byte(satchel(t, laptop, "trash", "list", "--json")), &trash))
	if len(trash) != 1 || trash[0].Path != "tree" || trash[0].Type != api.Directory {
		t.Errorf("the trash is %+v", trash)
	}
	satchel(t, laptop, "trash", "restore", "tree")
	both("satchel trash restore", func(d *rig.Device) error { return same(before, d.Mount) })
	remove()
	must(t, json.Unmarshal([]byte(satchel(t, laptop, "trash", "list", "--json")), &trash))
	body, err := json.Marshal(map[string]api.ID{"node": trash[0].Node})
	must(t, err)
	if got := anna.ask(t, "POST", "/v1/drives/home/trash/restore", map[string]string{"Content-Type": "application/json"}, body); got.status != 200 {
		t.Fatalf("restore from the trash over /v1: %v", got)
	}
	both("the trash over /v1", func(d *rig.Device) error { return same(before, d.Mount) })

	// The whole drive, after all kinds of changes.
	ruin := func(d *rig.Device, word string) {
		t.Helper()
		write(t, at(d, "letter.txt"), word)
		must(t, os.Rename(at(d, "tree", "deep"), at(d, word)))
		must(t, os.Rename(at(d, "tree", "a"), at(d, "tree", "b")))
		must(t, os.Remove(at(d, "tree", "c")))
		write(t, at(d, word+".txt"), word)
		syncAll(t, d)
		both(word, func(d *rig.Device) error { return has(at(d, word+".txt"), word) })
	}
	ruin(laptop, "ruined")
	satchel(t, desk, "restore", "--at", fmt.Sprint(point))
	both("satchel restore --at", func(d *rig.Device) error { return same(before, d.Mount) })
	ruin(desk, "again")
	body, err = json.Marshal(map[string]string{"at": fmt.Sprint(point)})
	must(t, err)
	if got := anna.ask(t, "POST", "/v1/drives/home/restore", map[string]string{"Content-Type": "application/json"}, body); got.status != 200 {
		t.Fatalf("restore of the drive over /v1: %v", got)
	}
	both("the drive over /v1", func(d *rig.Device) error { return same(before, d.Mount) })

	// What was written since then is not lost by it.
	must(t, json.Unmarshal([]byte(satchel(t, laptop, "trash", "list", "--json")), &trash))
	paths := ""
	for _, item := range trash {
		paths += string(item.Path) + "\n"
	}
	for _, name := range []string{"ruined.txt", "again.txt"} {
		if !strings.Contains(paths, name) {
			t.Errorf("%s is not in the trash:\n%s", name, paths)
		}
	}
	satchel(t, laptop, "trash", "empty", "--yes")
	if out := satchel(t, desk, "trash"); !strings.Contains(out, "the trash is empty") {
		t.Errorf("after trash empty: %s", out)
	}
	both("trash empty", func(d *rig.Device) error { return same(before, d.Mount) })
}
