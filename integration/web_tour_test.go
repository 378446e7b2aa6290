package integration

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"satchel/api"
	"satchel/integration/rig"
)

// A stop is a page that a tour visits, and what is done on it: a menu opened, say.
type stop struct {
	word, path string
	act        func()
}

// named is an account with the name and the address of a person, on a server of the test's own.
func named(t *testing.T, s *rig.Server, name string) *account {
	t.Helper()
	a := &account{server: s, email: name + "@example.org", password: "a password for " + name}
	must(t, s.AddUser(t.Context(), a.email, a.password, "editor"))
	a.token = a.login(t)
	full := map[string]string{"ada": "Ada Lovelace", "grace": "Grace Hopper", "charles": "Charles Babbage", "linus": "Linus Pauling", "barbara": "Barbara Liskov"}[name]
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	if got := a.ask(t, "POST", "/do/rename-me", form, []byte(url.Values{"name": {full}}.Encode())); got.status >= 400 {
		t.Fatalf("name %s: %v", name, got)
	}
	return a
}

// landscape is a picture of hills, as a camera would take it.
func landscape() []byte {
	m := image.NewRGBA(image.Rect(0, 0, 900, 600))
	for y := range 600 {
		for x := range 900 {
			sky := uint8(120 + y/6)
			c := color.RGBA{sky, uint8(160 + y/10), 235, 255}
			for i, hill := range []color.RGBA{{130, 150, 120, 255}, {90, 120, 80, 255}, {50, 80, 60, 255}} {
				if float64(y) > 300+80*float64(i)+50*math.Sin(float64(x)/float64(120-20*i)+float64(i)) {
					c = hill
				}
			}
			m.SetRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	jpeg.Encode(&b, m, &jpeg.Options{Quality: 85})
	return b.Bytes()
}

// tone is some seconds of sound.
func tone(seconds int) []byte {
	const rate = 8000
	n := seconds * rate
	var b bytes.Buffer
	b.WriteString("RIFF")
	binary.Write(&b, binary.LittleEndian, uint32(36+n))
	b.WriteString("WAVEfmt ")
	binary.Write(&b, binary.LittleEndian, []uint32{16, 1 | 1<<16, rate, rate, 1 | 8<<16}) // PCM, one channel, 8 bits
	b.WriteString("data")
	binary.Write(&b, binary.LittleEndian, uint32(n))
	for i := range n {
		b.WriteByte(uint8(128 + 60*math.Sin(float64(i)*2*math.Pi*440/rate)))
	}
	return b.Bytes()
}

// document is a PDF of one page.
func document() []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var at []int
	stream := "BT /F1 28 Tf 60 720 Td (Notes on the engine) Tj 0 -50 Td /F1 14 Tf (It weaves patterns as the loom weaves flowers and leaves.) Tj ET"
	for i, object := range []string{"<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
		fmt.Sprintf("<</Length %d>>stream\n%s\nendstream", len(stream), stream), "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"} {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj%s endobj\n", i+1, object)
	}
	end := b.Len()
	b.WriteString("xref\n0 6\n0000000000 65535 f \n")
	for _, o := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", end)
	return b.Bytes()
}

// film is half a second of moving picture, which the browser makes.
func (s *surfer) film(path string) {
	s.t.Helper()
	got := s.await(`new Promise((done) => {
		const c = document.createElement("canvas"); c.width = 480; c.height = 270;
		const g = c.getContext("2d"), r = new MediaRecorder(c.captureStream(25), { mimeType: "video/webm" }), parts = [];
		let n = 0;
		const paint = setInterval(() => { g.fillStyle = "#23415e"; g.fillRect(0, 0, 480, 270); g.fillStyle = "#e6a26b"; g.beginPath(); g.arc(60 + 12 * n++, 135, 40, 0, 7); g.fill(); }, 40);
		r.ondataavailable = (e) => parts.push(e.data);
		r.onstop = async () => {
			clearInterval(paint);
			const form = new FormData(); form.append("path", %[1]q); form.append("file", new Blob(parts), "film.webm");
			done(await fetch("/do/upload", { method: "POST", body: form }).then((a) => a.status + " " + a.url));
		};
		r.start();
		setTimeout(() => r.stop(), 1000);
	})`, path)
	if !strings.HasPrefix(got, "200") {
		s.t.Fatalf("upload a film: %s", got)
	}
}

// tour visits every page that people see, signed in where it must be, with something on it, and
// with each menu and dialog open.
func tour(t *testing.T, s *surfer, a, friend *account, visit func(stop)) {
	for path, content := range map[string][]byte{
		"Letters/to-grace.txt": []byte("Dear Grace,\n\nthe moth is in the book.\n"), "Letters/to-charles.txt": []byte("Dear Charles"),
		"Photos/hills.jpg": landscape(), "hills.jpg": landscape(), "Code/engine.go": []byte("package engine\n\n// Notes are what it computes.\nfunc Notes(n int) int {\n\treturn n * (n + 1)\n}\n"),
		"budget.csv": []byte("what,how much\ncards,12\nbrass,340\n"), "report.txt": []byte("The final report."), "notes.pdf": document(), "tone.wav": tone(1),
		"report (conflict, laptop, 2026-11-23 14.02).txt": []byte("The final report, and what it means."), "gone.txt": []byte("x"), "plans.zip": make([]byte, 40_000),
	} {
		a.store(t, path, content)
	}
	a.store(t, "Letters/to-grace.txt", []byte("Dear Grace,\n\nthe moth is in the book, and taped to it.\n"))
	friend.store(t, "Team/plan.txt", []byte("the plan"))
	visit(stop{"sign-in", "/", nil})
	visit(stop{"sign-in-refused", "/", func() {
		s.press("form[action='/signin']", map[string]string{"email": "ada@example.org", "password": "wrong"})
		s.sees("Invalid email or password.")
	}})
	visit(stop{"sign-up", "/signup", nil})
	s.signIn(friend)
	s.await(`fetch("/do/share", {method: "POST", body: new URLSearchParams({path: "Team", email: %q, may: "write"})}).then(r => r.status)`, a.email)
	s.open("/share/Team")
	s.sees("Take it back")
	visit(stop{"trash-empty", "/trash", nil})
	visit(stop{"conflicts-none", "/conflicts", nil})
	visit(stop{"shared-none", "/shared", nil})
	s.press("form[action='/signout']", nil)
	s.sees("You are logged out.")
	s.signIn(a)
	s.sees("budget.csv")
	s.click(row("gone.txt") + " .check input")
	s.click("#selection [formaction='/do/delete-these']")
	s.hasNot(row("gone.txt"))
	s.film("film.webm")
	s.await(`fetch("/do/mkdir", {method: "POST", body: new URLSearchParams({in: "", name: "Empty"})}).then(r => r.status)`)
	s.await(`fetch("/do/metadata", {method: "POST", body: new URLSearchParams([["path", "hills.jpg"], ["key", "camera"], ["value", "box"], ["key", "place"], ["value", "Ockham"]])}).then(r => r.status)`)
	s.open("/share/Photos")
	s.press("form[action='/do/link']", map[string]string{"days": "7"})
	s.sees("Links")
	link := strings.TrimPrefix(s.js(`document.querySelector("[aria-label='Address of the link']").value`), s.url)
	s.open("/share/report.txt")
	s.press("form[action='/do/link']", map[string]string{"days": "1", "password": "a word"})
	s.sees("Links")
	asking := strings.TrimPrefix(s.js(`document.querySelector("[aria-label='Address of the link']").value`), s.url)

	visit(stop{"files", "/browse/", nil})
	visit(stop{"mounting", "/browse/", func() { s.js(`{const m = document.querySelector("#mounting"); m.open = true; m.scrollIntoView(); 1}`) }})
	visit(stop{"empty", "/browse/Empty", nil})
	visit(stop{"search", "/browse/?q=report", nil})
	visit(stop{"search-none", "/browse/?q=zeppelin", nil})
	visit(stop{"menu-upload", "/browse/", func() { s.js(`document.querySelector("#uploading").open = true; 1`) }})
	visit(stop{"menu-folder", "/browse/Letters", func() { s.js(`[...document.querySelectorAll(".menu")].pop().open = true; 1`) }})
	visit(stop{"menu-line", "/browse/", func() { s.click(row("budget.csv") + " a.dots"); s.has("#rowmenu:popover-open") }})
	visit(stop{"rename", "/browse/", func() {
		s.js(`document.querySelector(%q).focus(); 1`, row("budget.csv")+" a.name")
		s.key(kb.F2)
		s.has("dialog[open] input")
	}})
	visit(stop{"keys", "/browse/", func() { s.click("#keys"); s.has("dialog[open]") }})
	visit(stop{"selected", "/browse/", func() {
		s.click(row("Photos") + " .check input")
		s.click(row("budget.csv") + " .check input")
		s.sees("2 selected")
	}})
	forget := func() {
		s.open("/trash") // away from the page that uploads
		s.await(`fetch("/uploads").then((r) => r.json()).then((all) => Promise.all(all.map((u) => fetch("/uploads/" + u.id, { method: "DELETE", headers: { "Tus-Resumable": "1.0.0" } }))))`)
	}
	visit(stop{"uploading", "/browse/", func() {
		forget() // what the screen before left
		s.open("/browse/")
		s.js(`pause(add(new File([new Uint8Array(3e7)], "film.mkv"), "film.mkv")); pause(add(new File([new Uint8Array(2e7)], "concert.flac"), "concert.flac")); 1`)
		s.sees("Paused at")
	}})
	visit(stop{"uploading-another", "/browse/", func() {
		forget()
		s.await(`fetch("/uploads", { method: "POST", headers: { "Tus-Resumable": "1.0.0", "Upload-Length": "1000000", "Upload-Metadata": "path " + btoa("film.mkv") } }).then((r) => r.status)`)
		s.open("/browse/")
		s.has("#transfers li.begun")
		s.give("#transfers li.begun input", "film.mkv", "another film")
		s.sees("This is another file")
	}})
	visit(stop{"uploading-signed-out", "/browse/", func() {
		forget()
		s.open("/browse/")
		s.js(`pause(add(new File([new Uint8Array(3e7)], "film.mkv"), "film.mkv")); ended(); 1`)
		s.sees("Your session has ended")
	}})
	forget()
	visit(stop{"dropping", "/browse/", func() { s.js(`document.body.classList.add("over"); 1`) }})
	visit(stop{"file", "/file/Letters/to-grace.txt", nil})
	visit(stop{"version", "/file/Letters/to-grace.txt", func() { s.click("#versions a[href^='?version']"); s.sees("This is the version of") }})
	visit(stop{"code", "/file/Code/engine.go", nil})
	visit(stop{"picture", "/file/hills.jpg", nil})
	visit(stop{"sound", "/file/tone.wav", nil})
	visit(stop{"film", "/file/film.webm", nil})
	visit(stop{"pdf", "/file/notes.pdf", func() { time.Sleep(time.Second) }}) // the reader is another process
	visit(stop{"no-preview", "/file/plans.zip", nil})
	visit(stop{"share", "/share/Photos", nil})
	visit(stop{"shared", "/shared", nil})
	visit(stop{"conflicts", "/conflicts", nil})
	visit(stop{"trash", "/trash", nil})
	visit(stop{"account", "/account", nil})
	var code api.DeviceCode
	must(t, json.Unmarshal(a.ask(t, "POST", "/v1/device/code", map[string]string{"Content-Type": "application/json"}, []byte(`{"device":"laptop"}`)).body, &code))
	visit(stop{"device", "/device?code=" + url.QueryEscape(code.UserCode), nil})
	visit(stop{"link", link + "/", nil})
	visit(stop{"link-password", asking + "/", nil})
	visit(stop{"error", "/file/nothing/here.txt", nil})
}

// tourOfAdmin visits every page of an admin's, with something on it.
func tourOfAdmin(t *testing.T, b *surfer, s *rig.Server, visit func(stop)) {
	for i, name := range []string{"charles", "linus", "barbara"} {
		a := named(t, s, name)
		for j, file := range []string{"letter.odt", "photo.jpg", "song.flac", "film.mkv", "notes.txt", "backup.tar.gz"} {
			a.store(t, "things/"+file, make([]byte, (i+1)*(j+2)*60_000))
		}
	}
	const email, password = "root@example.org", "a password for the admin"
	must(t, s.AddUser(t.Context(), email, password, "admin"))
	b.open("/")
	b.press("form[action='/signin']", map[string]string{"email": email, "password": password})
	b.sees("Who has an account")
	b.press("form[action='/do/admin/add']", map[string]string{"email": "alan@example.org", "name": "Alan", "quota": "20 GB"})
	b.sees("it is shown this once")
	person := b.js(`location.pathname`)
	if !strings.HasPrefix(person, "/people/") {
		b.open("/people")
		b.sees("alan@example.org")
		person = b.js(`[...document.querySelectorAll("#live a")].find((a) => a.textContent === "linus@example.org").pathname`)
	}
	b.open("/upkeep")
	b.press("form[action='/do/admin/run']:has(input[value='gc'])", nil)
	eventually(t, time.Minute, func() error {
		if text := b.js(`document.querySelector("#live tbody tr")?.innerText ?? ""`); !strings.Contains(text, "done") {
			return fmt.Errorf("the run is told as %q", text)
		}
		return nil
	})
	visit(stop{"admin-people", "/people", nil})
	visit(stop{"admin-person", person, nil})
	visit(stop{"admin-files", "/metadata", nil})
	visit(stop{"admin-files-none", "/metadata?name=zeppelin", nil})
	visit(stop{"admin-usage", "/usage", nil})
	visit(stop{"admin-sessions", "/logins", nil})
	visit(stop{"admin-audit", "/audit", nil})
	visit(stop{"admin-bans", "/bans", nil})
	visit(stop{"admin-upkeep", "/upkeep", nil})
	visit(stop{"admin-account", "/account", nil})
	visit(stop{"admin-error", "/people/nobody", nil})
}
