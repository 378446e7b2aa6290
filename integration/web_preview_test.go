package integration

import (
	"fmt"
	"testing"
	"time"
)

// becomes waits until a script in the page says so.
func (s *surfer) becomes(want, format string, args ...any) {
	s.t.Helper()
	eventually(s.t, 30*time.Second, func() error {
		if got := s.js(format, args...); got != want {
			return fmt.Errorf("%s is %s, not %s", format, got, want)
		}
		return nil
	})
}

// TestWebPreviews: a file's page shows what is in it, of each kind that a browser can show; sound
// and film go on from where one points, by a request for the bytes from there.
func TestWebPreviews(t *testing.T) {
	a := newAccount(t, server(t), "previews")
	for path, content := range map[string][]byte{"hills.jpg": landscape(), "tone.wav": tone(300), "notes.pdf": document(), "plain.txt": []byte("a wide valley"),
		"engine.go": []byte("package engine"), "plans.zip": make([]byte, 40_000)} {
		a.store(t, path, content)
	}
	s := newSurfer(t, a.server.URL)
	s.signIn(a)
	s.film("film.webm")

	s.open("/file/hills.jpg")
	s.becomes("900 600", `{const i = document.querySelector(".preview img"); i.naturalWidth + " " + i.naturalHeight}`)
	for name, content := range map[string]string{"plain.txt": "a wide valley", "engine.go": "package engine"} {
		s.open("/file/" + name)
		s.becomes(content, `document.querySelector(".preview pre").textContent`)
	}
	s.open("/file/notes.pdf")
	s.has(".preview iframe")
	if got := s.await(`fetch(document.querySelector(".preview iframe").src).then(async (r) => r.status + " " + r.headers.get("Content-Type") + " " + r.headers.get("Content-Disposition").split(";")[0] + " " + (await r.text()).slice(0, 8))`); got != "200 application/pdf inline %PDF-1.4" {
		t.Errorf("the PDF's reader gets %s", got)
	}
	s.open("/file/plans.zip")
	s.sees("There is no preview of this kind of file.")

	s.open("/file/tone.wav")
	s.becomes("300", `document.querySelector(".preview audio").duration`)
	s.js(`{const a = document.querySelector(".preview audio"); a.onseeked = () => { document.body.dataset.at = a.currentTime + " " + (a.readyState >= 2); }; a.currentTime = 250; 1}`)
	s.becomes("250 true", `document.body.dataset.at ?? ""`)
	s.open("/file/film.webm")
	s.becomes("480 270", `{const v = document.querySelector(".preview video"); v.videoWidth + " " + v.videoHeight}`)
	s.js(`{const v = document.querySelector(".preview video"); v.onseeked = () => { document.body.dataset.at = v.currentTime.toFixed(1); }; v.currentTime = 0.4; 1}`)
	s.becomes("0.4", `document.body.dataset.at ?? ""`)
	if got := s.await(`fetch("/open/tone.wav", { headers: { Range: "bytes=2000000-2000003" } }).then(async (r) => r.status + " " + r.headers.get("Content-Range") + " " + (await r.arrayBuffer()).byteLength)`); got != "206 bytes 2000000-2000003/2400044 4" {
		t.Errorf("bytes from the middle: %s", got)
	}
}
