package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestWebQueueOfMany: what the page draws for each of many uploads does not grow with their number.
func TestWebQueueOfMany(t *testing.T) {
	const files = 150
	a := newAccount(t, server(t), "many")
	s := newSurfer(t, a.server.URL)
	s.signIn(a)
	s.has("#transfers")
	s.becomes("complete", "document.readyState")
	s.js(`window.drawn = 0;
		new MutationObserver((all) => { drawn += all.length; }).observe(document.querySelector("#transfers"), { subtree: true, childList: true, attributes: true, characterData: true });
		const chosen150 = new DataTransfer();
		for (let i = 0; i < %d; i++) chosen150.items.add(new File(["note " + i], i + ".txt"));
		document.querySelector("#upload [type=file]").files = chosen150.files; 1`, files)
	s.press("#upload", nil)
	s.sees(fmt.Sprintf("Uploaded %d files.", files))
	must(t, a.stored(t, "149.txt", []byte("note 149")))
	if n, err := strconv.Atoi(s.js("drawn")); err != nil || n == 0 || n > 100*files {
		t.Errorf("the panel was changed %d times for %d files, %v", n, files, err)
	}
	s.becomes("true", `document.querySelector("#transfers").hidden`)
}

// TestWebUploadOfTheChanged: what was changed, moved or deleted after it was chosen is named, and keeps nothing else from
// coming, though it is as many as are sent at once.
func TestWebUploadOfTheChanged(t *testing.T) {
	a := newAccount(t, server(t), "changed")
	dir := t.TempDir()
	var files []string
	for name, content := range map[string]string{"1-written": "what was chosen", "2-deleted": "what was chosen", "3-moved": "what was chosen", "4-deleted": "", "5-as-it-was": "what was chosen", "6-as-it-was": ""} {
		f := filepath.Join(dir, name)
		must(t, os.WriteFile(f, []byte(content), 0o600))
		files = append(files, f)
	}
	slices.Sort(files)
	s := newSurfer(t, a.server.URL)
	s.signIn(a)
	s.choose("#upload [type=file]", files...)
	s.js(`[...document.querySelector("#upload [type=file]").files].map((f) => f.size + f.lastModified).length`) // the browser notes what was chosen
	must(t, os.WriteFile(files[0], []byte("what it is by now: written"), 0o600))
	later := time.Now().Add(time.Hour)
	must(t, os.Chtimes(files[0], later, later))
	must(t, os.Remove(files[1]))
	must(t, os.Rename(files[2], filepath.Join(dir, "elsewhere")))
	must(t, os.Remove(files[3]))
	s.press("#upload", nil)
	eventually(t, time.Minute, func() error { return a.stored(t, "5-as-it-was", []byte("what was chosen")) })
	eventually(t, time.Minute, func() error { return a.stored(t, "6-as-it-was", nil) })
	s.becomes("4", `document.querySelectorAll("#transfers li.failed").length`)
	s.becomes("4", `[...document.querySelectorAll("#transfers li.failed .state")].filter((e) => e.textContent.startsWith("It can't be read")).length`)
	for range 4 {
		s.click("#transfers li.failed button:nth-of-type(2)") // Cancel
	}
	s.sees("Uploaded 2 files.")
	if n := len(a.files(t, "select=file_path")); n != 2 {
		t.Errorf("%d files came", n)
	}
}
