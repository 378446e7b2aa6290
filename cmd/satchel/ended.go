package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"satchel/api"
	"satchel/cache"
)

// endedFile is in the cache of a shared folder that is shown no more: as long as its empty directory is in the drive, and as
// long as there are changes in it that were not sent, or things that stay on this machine (.satchelignore). They are kept there, and come
// back if the folder does.
const endedFile = "ended.json"

// endedFolder is what it says.
type endedFolder struct {
	Time    time.Time `json:"time"`
	Path    api.Name  `json:"path,omitempty"` // where it was in the drive, if that is known
	Changes int       `json:"changes"`
}

// noteEnded notes that a folder is shown no more.
func (b *boundFolders) noteEnded(bind api.Bind, changes int) error {
	text, err := json.Marshal(endedFolder{time.Now().UTC(), bind.Path, changes})
	if err == nil {
		err = os.MkdirAll(b.cacheOf(bind.ID), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(b.cacheOf(bind.ID), endedFile), text, 0o600)
	}
	return err
}

// noteOver notes the folders that are shown no more and have left their directories, and forgets those of which nothing is left.
func (b *boundFolders) noteOver(binds []api.Bind) (err error) {
	notes := b.notes()
	for _, bind := range binds {
		if _, noted := notes[bind.ID]; bind.Ended && !noted {
			err = errors.Join(err, b.noteEnded(bind, 0))
		}
	}
	for id, e := range notes {
		if e.Changes == 0 && !slices.ContainsFunc(binds, func(b api.Bind) bool { return b.ID == id }) {
			err = errors.Join(err, forgetEnded(b.cacheOf(id)), os.Remove(b.cacheOf(id)))
		}
	}
	return err
}

// isEnded tells whether a cache is that of a folder that is shown no more.
func isEnded(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, endedFile))
	return err == nil
}

// endedIn is what was noted in a cache, if it can be read.
func endedIn(dir string) (e endedFolder, noted bool) {
	text, err := os.ReadFile(filepath.Join(dir, endedFile))
	noted = err == nil && json.Unmarshal(text, &e) == nil
	return e, noted
}

// forgetEnded removes the note from a cache.
func forgetEnded(dir string) error {
	if err := os.Remove(filepath.Join(dir, endedFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// notes are what was noted, by the bind.
func (b *boundFolders) notes() map[api.ID]endedFolder {
	all := map[api.ID]endedFolder{}
	files, _ := filepath.Glob(filepath.Join(b.dir(), "*", endedFile))
	for _, file := range files {
		id, err := api.ParseID(filepath.Base(filepath.Dir(file)))
		if e, noted := endedIn(filepath.Dir(file)); err == nil && noted {
			all[id] = e
		}
	}
	return all
}

// refusedFile says what of folders that are shown no more was refused and is in Recovered: their own caches, which told of it, are gone.
const refusedFile = "refused.json"

// noteRefused keeps what is to be told of a folder when it is shown no more.
func (b *boundFolders) noteRefused(bind api.Bind, events []cache.Event) error {
	all := b.refused()
	for _, e := range events {
		if e.What == cache.EventRefused && !b.settled(e) {
			e.Path = api.Name(path.Join(string(bind.Path), string(e.Path)))
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(b.dir(), refusedFile), text)
}

// refused is what of that is still in Recovered.
func (b *boundFolders) refused() (all []cache.Event) {
	text, err := os.ReadFile(filepath.Join(b.dir(), refusedFile))
	if err != nil || json.Unmarshal(text, &all) != nil {
		return nil
	}
	return slices.DeleteFunc(all, b.settled)
}

// ended is what was noted, for people.
func (b *boundFolders) ended() (all []cache.Event) {
	b.mu.Lock()
	over := b.over
	b.mu.Unlock()
	for id, note := range b.notes() {
		e := cache.Event{Time: note.Time, What: cache.EventEnded, Path: cmp.Or(note.Path, "a shared folder")}
		e.Why = "not in your drive any more"
		if over[id] {
			e.Why = "not shared with you any more"
		}
		switch {
		case note.Changes > 0:
			e.Why += ", " + plural(note.Changes, "change") + " in it not sent"
			e.Now = api.Name(b.cacheOf(id))
		case over[id]:
			e.Why += "; it is empty and takes nothing; take it out of your drive with: " + commandLine(b.profile, "shared remove", string(e.Path))
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b cache.Event) int { return a.Time.Compare(b.Time) })
	return all
}
