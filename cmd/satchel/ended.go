package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"satchel/api"
	"satchel/cache"
)

// endedFile is in the cache of a shared folder that is shown no more and had changes that were not sent. They are kept
// there, and sent if the folder comes back.
const endedFile = "ended.json"

// endedFolder is what it says.
type endedFolder struct {
	Time    time.Time `json:"time"`
	Changes int       `json:"changes"`
}

// noteEnded notes that a folder with unsent changes is shown no more.
func (b *boundFolders) noteEnded(bind api.Bind, changes int) error {
	text, err := json.Marshal(endedFolder{time.Now().UTC(), changes})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.cacheOf(bind.ID), endedFile), text, 0o600)
}

// ended is what was noted so, for people.
func (b *boundFolders) ended() (all []cache.Event) {
	notes, _ := filepath.Glob(filepath.Join(b.dir(), "*", endedFile))
	for _, note := range notes {
		var e endedFolder
		text, err := os.ReadFile(note)
		if err != nil || json.Unmarshal(text, &e) != nil {
			continue
		}
		all = append(all, cache.Event{Time: e.Time, What: cache.EventEnded, Path: "a shared folder", Now: api.Name(filepath.Dir(note)),
			Why: plural(e.Changes, "change") + " in it not sent"})
	}
	return all
}
