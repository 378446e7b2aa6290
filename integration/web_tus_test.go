package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// tusHeader is what a request of tus has, with more.
func tusHeader(more ...string) map[string]string {
	h := map[string]string{"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
	for i := 0; i < len(more); i += 2 {
		h[more[i]] = more[i+1]
	}
	return h
}

// begins is an upload's beginning that an earlier visit left, and its address.
func (a *account) begins(t *testing.T, path string, modified time.Time, size int, first string) (at string) {
	t.Helper()
	coded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	got := a.ask(t, "POST", "/uploads", tusHeader("Upload-Length", fmt.Sprint(size),
		"Upload-Metadata", "path "+coded(path)+",modified "+coded(fmt.Sprint(modified.UnixMilli()))), []byte(first))
	got.must(t, 201)
	return got.header.Get("Location")
}

// begun waits until the server has so many uploads that are not complete, and is their ids.
func (a *account) begun(t *testing.T, n int) (ids []string) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		var all []struct{ ID string }
		got := a.ask(t, "GET", "/uploads", nil, nil)
		if err := json.Unmarshal(got.body, &all); err != nil || len(all) != n {
			return fmt.Errorf("not %d uploads but %v, %v", n, got, err)
		}
		ids = nil
		for _, u := range all {
			ids = append(ids, u.ID)
		}
		return nil
	})
	return ids
}

// wholeSecond is a new file of this machine, written at a time that all of its clocks know.
func wholeSecond(t *testing.T, name string, content []byte) (file string, written time.Time) {
	t.Helper()
	file, written = filepath.Join(t.TempDir(), name), time.Now().Add(-time.Hour).Truncate(time.Second)
	must(t, os.WriteFile(file, content, 0o600))
	must(t, os.Chtimes(file, written, written))
	return file, written
}

// again sends a file once more, to a path.
func (s *surfer) again(file, path string) {
	s.t.Helper()
	s.choose("#upload [type=file]", file)
	s.press("#upload", map[string]string{"path": path})
}

// sent waits until the page has nothing more to send.
func (s *surfer) sent() {
	s.t.Helper()
	s.hasNot("#transfers li:not(.begun)")
}

// loses lets the page lose the answer to its next request of a method, and note the methods of all.
func (s *surfer) loses(method string) {
	s.t.Helper()
	s.becomes("complete", "document.readyState")
	s.js(`{
		const { open, send } = XMLHttpRequest.prototype;
		let lose = %q;
		window.methods = [];
		XMLHttpRequest.prototype.open = function (method, url) { methods.push(this.method = method); open.call(this, method, url); };
		XMLHttpRequest.prototype.send = function (body) {
			if (this.method === lose) { lose = ""; this.onload = this.onerror; }
			send.call(this, body);
		};
	} 1`, method)
}

// TestWebUploadOnceMore: a file that is sent once more is sent, and not taken for an upload that is over: what became of that
// may be deleted or overwritten by now.
func TestWebUploadOnceMore(t *testing.T) {
	a := newAccount(t, server(t), "once-more")
	content := []byte("old and old")
	file, written := wholeSecond(t, "notes.txt", content)
	s := newSurfer(t, a.server.URL)
	deleted := func(name string) {
		t.Helper()
		s.has(row(name))
		a.ask(t, "DELETE", "/files?file_path=eq."+name, nil, nil)
		s.hasNot(row(name))
	}
	comes := func(name string) {
		t.Helper()
		s.sent()
		must(t, a.stored(t, name, content))
	}

	a.begins(t, "notes.txt", written, len(content), "old an")
	s.signIn(a)
	s.sees("6 B of 11 B came")
	s.again(file, "notes.txt")
	comes("notes.txt")
	a.nothingLeft(t) // it went on
	if n := s.js(`document.querySelectorAll("#transfers li.begun").length`); n != "0" {
		t.Errorf("what went on is still offered: %s", n)
	}
	deleted("notes.txt")
	s.again(file, "notes.txt")
	comes("notes.txt")
	a.store(t, "notes.txt", []byte("from elsewhere"))
	s.again(file, "notes.txt")
	comes("notes.txt")

	// What the page offers to go on with is completed by another device, and the file deleted.
	for name, choose := range map[string]func(name string){
		"by-form.txt": func(name string) { s.again(file, name) },
		"by-line.txt": func(string) { s.choose("#transfers li.begun input", file) },
	} {
		at := a.begins(t, name, written, len(content), "old an")
		s.open("/browse/")
		s.sees("6 B of 11 B came")
		a.ask(t, "PATCH", at, tusHeader("Upload-Offset", "6"), content[6:]).must(t, 204)
		deleted(name)
		choose(name)
		comes(name)
	}
	a.nothingLeft(t)
}

// TestWebUploadOfLostAnswers: a job whose last answer was lost asks what came of it, and sends nothing twice.
func TestWebUploadOfLostAnswers(t *testing.T) {
	a := newAccount(t, server(t), "lost-answers")
	s := newSurfer(t, a.server.URL)
	s.signIn(a)
	for _, c := range []struct{ name, content, begun, lost, methods string }{
		{"whole.txt", "old and old", "", "POST", "POST HEAD"},
		{"empty.txt", "", "", "POST", "POST HEAD PATCH"}, // an empty upload that is not over looks like one that is
		{"rest.txt", "old and old", "old an", "PATCH", "HEAD PATCH HEAD"},
	} {
		file, written := wholeSecond(t, c.name, []byte(c.content))
		if c.begun != "" {
			a.begins(t, c.name, written, len(c.content), c.begun)
		}
		s.open("/browse/")
		s.loses(c.lost)
		s.again(file, c.name)
		s.sees("Uploaded " + c.name + ".")
		if got := s.js(`methods.join(" ")`); got != c.methods {
			t.Errorf("%s: %s, not %s", c.name, got, c.methods)
		}
		must(t, a.stored(t, c.name, []byte(c.content)))
	}
	a.nothingLeft(t)
}

// twice begins two uploads of one file to one path over a slow network, of which the first is far along, and is their ids.
func (s *surfer) twice(a *account, name string) (content []byte, first, second string) {
	s.t.Helper()
	content = randomBytes(1_200_000)
	file, _ := wholeSecond(s.t, name, content)
	s.uplink(20e3)
	s.again(file, name)
	first = a.begun(s.t, 1)[0]
	s.further(100_000) // more than what is on its way
	s.again(file, name)
	both := a.begun(s.t, 2)
	return content, first, both[1-slices.Index(both, first)]
}

// TestWebUploadTwicePaused: of two uploads of one file to one path each goes on with what it sent itself.
func TestWebUploadTwicePaused(t *testing.T) {
	a := newAccount(t, server(t), "twice-paused")
	s := newSurfer(t, a.server.URL)
	s.signIn(a)
	content, first, _ := s.twice(a, "both.bin")
	s.click("#transfers li button") // Pause
	eventually(t, time.Minute, func() error {
		if got := a.ask(t, "HEAD", "/uploads/"+first, tusHeader(), nil); got.header.Get("Upload-Offset") == "0" {
			return fmt.Errorf("what came is not there: %v", got.header)
		}
		return nil
	})
	s.click("#transfers li button") // Resume
	s.further(1)
	s.uplink(-1)
	s.sent()
	must(t, a.stored(t, "both.bin", content))
	a.nothingLeft(t)
}

// TestWebUploadTwiceCancelled: of two uploads of one file to one path one that is given up takes nothing of the other along.
func TestWebUploadTwiceCancelled(t *testing.T) {
	a := newAccount(t, server(t), "twice-cancelled")
	s := newSurfer(t, a.server.URL)
	s.signIn(a)
	content, _, second := s.twice(a, "one.bin")
	s.click("#transfers li button:nth-of-type(2)") // Cancel
	if left := a.begun(t, 1); left[0] != second {
		t.Errorf("left is %s, not the other one, %s", left[0], second)
	}
	s.uplink(-1)
	s.sent()
	must(t, a.stored(t, "one.bin", content))
	a.nothingLeft(t)
}
