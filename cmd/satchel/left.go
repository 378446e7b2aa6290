package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// left is what a drive that was unmounted keeps on this machine until its next mount: a file for each cache, which the daemon
// writes at its end. After a daemon that was killed there is none, and nothing is said.
type left struct {
	Profile  string `json:"profile"`
	CacheDir string `json:"cache_dir"`
	Changes  int    `json:"pending_mutations"` // that the server lacks
	Bytes    int64  `json:"pending_bytes"`     // of content that it lacks
	Pinned   int    `json:"pinned"`

	Undecided int `json:"undecided"` // names that it may lack
}

func (p places) leftFile(cacheDir string) string {
	sum := sha256.Sum256([]byte(cacheDir))
	return filepath.Join(p.state, "left", hex.EncodeToString(sum[:8])+".json")
}

// leave writes down what a drive keeps.
func (r report) leave(file string, m mounted) error {
	b, err := json.Marshal(left{m.Profile, m.CacheDir, r.PendingMutations, r.PendingBytes, r.Pinned, r.Undecided})
	if err != nil {
		return err
	}
	return writeFile(file, b)
}

// left are the profile's drives that are not mounted, and whose caches are there.
func (sh *shell) left() (all []left) {
	files, _ := filepath.Glob(filepath.Join(sh.places.state, "left", "*.json"))
	for _, file := range files {
		var l left
		b, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(b, &l) != nil || l.Profile != sh.profile {
			continue
		}
		if _, err := os.Stat(l.CacheDir); err == nil { // else somebody removed it, and with it what was kept
			all = append(all, l)
		}
	}
	return all
}

// report is what of it a report says, too.
func (l left) report() (r report) {
	r.PendingMutations, r.PendingBytes, r.Pinned, r.Undecided = l.Changes, l.Bytes, l.Pinned, l.Undecided
	return r
}

// unsentElsewhere are the profile's caches that are not mounted and have what the server lacks.
func (sh *shell) unsentElsewhere() (all []left) {
	for _, l := range sh.left() {
		if !l.report().quiet() {
			all = append(all, l)
		}
	}
	return all
}

// tell says what it keeps while the drive is mounted with another cache, and how that gets to the server. What is another account's, or
// may be, this login can't send.
func (l left) tell(sh *shell, mountpoint string) (what, do string) {
	what = l.report().pending() + ", in " + l.CacheDir + ", which is not mounted"
	export := "copy it out with: " + sh.command("export-unsent DIR --cache-dir", l.CacheDir)
	was, noted := whoseIn(l.CacheDir)
	if now, err := sh.login(); err != nil || !noted || was.User != now.User {
		return what, export
	}
	return what, fmt.Sprintf("send it with: %s && %s\nor %s", sh.command("umount", mountpoint), sh.command("mount --cache-dir", l.CacheDir, mountpoint), export)
}

// keptHere says what the profile's drives that are not mounted keep on this machine, for people; "" when it is nothing.
func (sh *shell) keptHere() string {
	var all report
	pause := ""
	for _, l := range sh.left() {
		all.PendingMutations += l.Changes
		all.PendingBytes += l.Bytes
		all.Pinned += l.Pinned
		all.Undecided += l.Undecided
		if until, paused := pauseIn(l.CacheDir); paused {
			pause = "a pause"
			if !until.IsZero() {
				pause += " until " + clock(until)
			}
		}
	}
	var parts []string
	if !all.quiet() {
		parts = append(parts, all.unsent()+" not sent yet")
	}
	if all.Pinned > 0 {
		parts = append(parts, plural(all.Pinned, "pin"))
	}
	if pause != "" {
		parts = append(parts, pause)
	}
	return strings.Join(parts, ", ")
}

// pauseIn is the pause that the next mount of a cache goes on with, as [daemon.stayPaused] does.
func pauseIn(cacheDir string) (until time.Time, paused bool) {
	b, err := os.ReadFile(pauseFile(cacheDir))
	if errors.Is(err, fs.ErrNotExist) {
		return until, false
	}
	var k kept
	if err != nil || json.Unmarshal(b, &k) != nil {
		return until, true
	}
	return k.Until, k.Until.IsZero() || time.Now().Before(k.Until)
}
