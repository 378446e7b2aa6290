package integration

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"satchel/integration/require"
	"satchel/integration/rig"
)

// desktop is an X display with a window manager and a session bus, where
// programs of the desktop run.
type desktop struct {
	t     *testing.T
	env   []string
	shots string // directory of the screenshots
}

func newDesktop(t *testing.T, shots string) *desktop {
	t.Helper()
	for _, tool := range []string{"Xvfb", "openbox", "xdotool", "import", "dbus-daemon"} {
		require.Tool(t, tool)
	}
	home := t.TempDir()
	s := &desktop{t: t, shots: shots}
	display := fmt.Sprintf(":%d", 90+os.Getpid()%900)
	s.env = append(os.Environ(), "DISPLAY="+display, "HOME="+home, "XDG_RUNTIME_DIR="+home, "LC_ALL=C.UTF-8", "GTK_USE_PORTAL=0",
		"DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(home, "bus"), "SAL_USE_VCLPLUGIN=gtk3", "GIO_USE_VOLUME_MONITOR=unix")
	s.start("Xvfb", display, "-screen", "0", "1100x750x24", "-nolisten", "tcp")
	s.until("the display answers", func() bool { return s.xdo("getdisplaygeometry") != "" })
	s.start("dbus-daemon", "--session", "--nofork", "--nopidfile", "--address=unix:path="+filepath.Join(home, "bus"))
	s.start("openbox")
	return s
}

// start runs a program until the test ends.
func (s *desktop) start(args ...string) *rig.Child {
	s.t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = s.env
	child, err := rig.StartChild(cmd)
	must(s.t, err)
	s.t.Cleanup(func() { child.End(syscall.SIGTERM) })
	return child
}

// xdo is what a person does with mouse and keyboard; it returns what xdotool(1) says.
func (s *desktop) xdo(args ...string) string {
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "xdotool", args...)
	cmd.Env = s.env
	out, _ := cmd.Output()
	return strings.TrimSpace(string(out))
}

func (s *desktop) until(what string, fn func() bool) {
	s.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !fn(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			s.shot("late")
			s.t.Fatalf("it never came that %s", what)
		}
	}
}

// window waits for a window whose title has a word, puts it where it is told and gives it the keyboard.
func (s *desktop) window(title string, at image.Rectangle) {
	s.t.Helper()
	id := ""
	s.until("there is a window "+title, func() bool {
		id, _, _ = strings.Cut(s.xdo("search", "--onlyvisible", "--name", title), "\n")
		return id != ""
	})
	s.xdo("windowsize", "--sync", id, fmt.Sprint(at.Dx()), fmt.Sprint(at.Dy()))
	s.xdo("windowmove", id, fmt.Sprint(at.Min.X), fmt.Sprint(at.Min.Y))
	s.xdo("windowactivate", "--sync", id)
	s.settle()
}

// settle waits until the screen is still: what was asked for is drawn.
func (s *desktop) settle() {
	s.t.Helper()
	before := s.screen()
	s.until("the screen is still", func() bool {
		time.Sleep(700 * time.Millisecond)
		now := s.screen()
		still := bytes.Equal(before, now)
		before = now
		return still
	})
}

// screen is a picture of the screen, as PNG.
func (s *desktop) screen() []byte {
	s.t.Helper()
	cmd := exec.Command("import", "-window", "root", "png:-")
	cmd.Env = s.env
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("screenshot: %v", err)
	}
	return out
}

// picture is the screen, decoded.
func (s *desktop) picture() image.Image {
	s.t.Helper()
	img, err := png.Decode(bytes.NewReader(s.screen()))
	must(s.t, err)
	return img
}

// appears is the middle of what comes into a part of the screen, which showed before.
func (s *desktop) appears(before image.Image, in image.Rectangle) image.Point {
	s.t.Helper()
	var found image.Rectangle
	s.until("something new is shown", func() bool {
		s.settle()
		now := s.picture()
		found = image.Rectangle{}
		for x := in.Min.X; x < in.Max.X; x++ {
			for y := in.Min.Y; y < in.Max.Y; y++ {
				if now.At(x, y) != before.At(x, y) {
					found = found.Union(image.Rect(x, y, x+1, y+1))
				}
			}
		}
		return found.Dx() > 10 && found.Dy() > 10
	})
	return found.Min.Add(found.Size().Div(2))
}

// drag moves the mouse from one point to another with its button down.
func (s *desktop) drag(from, to image.Point) {
	move := func(p image.Point) {
		s.xdo("mousemove", "--sync", fmt.Sprint(p.X), fmt.Sprint(p.Y))
		time.Sleep(100 * time.Millisecond)
	}
	move(from)
	s.xdo("mousedown", "1")
	for i := range 11 {
		move(from.Add(to.Sub(from).Mul(i).Div(10)))
	}
	s.xdo("mouseup", "1")
}

// shot keeps a picture of the screen, and wants more than one colour in it.
func (s *desktop) shot(name string) {
	s.t.Helper()
	path := filepath.Join(s.shots, name+".png")
	screen := s.screen()
	must(s.t, os.WriteFile(path, screen, 0o644))
	img, err := png.Decode(bytes.NewReader(screen))
	must(s.t, err)
	seen := map[color.Color]bool{}
	for x := 0; x < img.Bounds().Dx(); x += 7 {
		for y := 0; y < img.Bounds().Dy(); y += 7 {
			seen[img.At(x, y)] = true
		}
	}
	if len(seen) < 8 {
		s.t.Errorf("%s shows nothing: %d colours", path, len(seen))
	}
}

// TestDesktop lets programs of the desktop work in the folder as a person
// would: `make desktop`. Its screenshots are to be looked at.
func TestDesktop(t *testing.T) {
	shots := os.Getenv("SATCHEL_DESKTOP")
	if shots == "" {
		t.Skip("only for make desktop, which installs a desktop's programs: SATCHEL_DESKTOP is not set")
	}
	require.Fuse(t)
	for _, tool := range []string{"soffice", "thunar", "viewnior", "unzip"} {
		require.Tool(t, tool)
	}
	anna := newAccount(t, server(t), "anna")
	d, other := anna.mountNew(t, "desk"), anna.mountNew(t, "laptop")
	s := newDesktop(t, shots)
	in := func(name string) string { return filepath.Join(d.Mount, name) }

	t.Run("office", func(t *testing.T) {
		s.t = t
		write(t, filepath.Join(shots, "letter.txt"), "Dear Ada,")
		defer os.Remove(filepath.Join(shots, "letter.txt"))
		// With a profile of its own: what has no screen leaves windows of no size in it.
		convert := exec.Command("soffice", "-env:UserInstallation=file://"+t.TempDir(), "--headless", "--convert-to", "odt", "--outdir", d.Mount, filepath.Join(shots, "letter.txt"))
		convert.Env = s.env
		if out, err := convert.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		office := s.start("soffice", "--norestore", "--nologo", "--nofirststartwizard", in("letter.odt"))
		s.window("letter.odt", image.Rect(20, 40, 1080, 720))
		s.xdo("key", "ctrl+End")
		s.xdo("type", "--delay", "40", " this was typed on the desk.")
		// Office's lock file says on the other machine who has it open.
		eventually(t, time.Minute, func() error { _, err := os.Stat(filepath.Join(other.Mount, ".~lock.letter.odt#")); return err })
		s.xdo("key", "ctrl+s")
		s.until("the document is saved", func() bool { return strings.Contains(odtText(in("letter.odt")), "typed on the desk") })
		s.shot("office")
		s.xdo("key", "ctrl+q")
		s.until("the lock file is gone", func() bool { _, err := os.Stat(in(".~lock.letter.odt#")); return err != nil })
		office.End(syscall.SIGTERM)
		syncAll(t, d)
		eventually(t, time.Minute, func() error {
			if text := odtText(filepath.Join(other.Mount, "letter.odt")); !strings.Contains(text, "typed on the desk") {
				return fmt.Errorf("the other machine has %.200q", text)
			}
			return nil
		})
	})

	t.Run("files", func(t *testing.T) {
		s.t = t
		for _, dir := range []string{"Pictures", "Album"} {
			must(t, os.Mkdir(in(dir), 0o755))
		}
		left, right := image.Rect(10, 30, 540, 700), image.Rect(560, 30, 1090, 700)
		folder := s.start("thunar", in("Pictures"))
		defer folder.End(syscall.SIGTERM)
		s.window("Pictures", left)
		before := s.picture()
		picture(t, in("Pictures/picture.png"))
		icon := s.appears(before, image.Rect(left.Min.X, left.Min.Y, left.Max.X, left.Max.Y-100))
		s.shot("files")
		// Chosen by its name, then F2: rename.
		s.choose("picture")
		s.xdo("key", "F2")
		s.settle()
		s.xdo("key", "ctrl+a")
		s.xdo("type", "--delay", "40", "scenery.png")
		s.xdo("key", "Return")
		s.until("the picture has its new name", func() bool { return exists(in("Pictures/scenery.png")) && !exists(in("Pictures/picture.png")) })
		s.shot("files-renamed")
		// By the mouse, into the album's window.
		album := s.start("thunar", in("Album"))
		defer album.End(syscall.SIGTERM)
		s.window("Album", right)
		s.drag(icon, right.Min.Add(image.Pt(right.Dx()*3/5, right.Dy()/2)))
		s.until("the picture is in the album", func() bool { return exists(in("Album/scenery.png")) && !exists(in("Pictures/scenery.png")) })
		s.settle()
		s.shot("files-moved")
		eventually(t, time.Minute, func() error { _, err := os.Stat(filepath.Join(other.Mount, "Album/scenery.png")); return err })
	})

	t.Run("pictures", func(t *testing.T) {
		s.t = t
		picture(t, in("view.png"))
		syncAll(t, d)
		there := filepath.Join(other.Mount, "view.png")
		eventually(t, time.Minute, func() error { _, err := os.Stat(there); return err })
		viewer := s.start("viewnior", there)
		defer viewer.End(syscall.SIGTERM)
		s.window("view.png", image.Rect(100, 60, 900, 660))
		s.shot("picture")
		s.xdo("key", "ctrl+r") // turned to the right
		s.settle()
		s.xdo("key", "ctrl+s")
		s.until("the turned picture is saved, and is here", func() bool {
			f, err := os.Open(in("view.png"))
			if err != nil {
				return false
			}
			defer f.Close()
			img, err := png.DecodeConfig(f)
			return err == nil && img.Width == 400 && img.Height == 600
		})
		s.shot("picture-turned")
	})
}

// choose picks the file whose name begins so, in the file manager's window that has the keyboard.
func (s *desktop) choose(name string) {
	s.xdo("key", "Escape")
	s.xdo("type", "--delay", "40", name)
	s.settle()
	s.xdo("key", "Escape")
	s.settle()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// picture makes one, wider than high.
func picture(t *testing.T, path string) {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 600, 400))
	for x := range 600 {
		for y := range 400 {
			img.Set(x, y, color.RGBA{uint8(x * 255 / 600), uint8(y * 255 / 400), 120, 255})
		}
	}
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	must(t, png.Encode(f, img))
}

// odtText is a document's text, with its tags; "" while it is being saved.
func odtText(path string) string {
	out, err := exec.Command("unzip", "-p", path, "content.xml").Output()
	if err != nil {
		return ""
	}
	return string(out)
}
