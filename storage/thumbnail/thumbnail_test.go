package thumbnail

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"
)

// corner is a picture that is red at its top left and blue elsewhere.
func corner(w, h int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetRGBA(x, y, color.RGBA{B: 255, A: 255})
			if x < w/2 && y < h/2 {
				m.SetRGBA(x, y, color.RGBA{R: 255, A: 255})
			}
		}
	}
	return m
}

func made(t *testing.T, content []byte) image.Image {
	t.Helper()
	b, err := Make(content)
	if err != nil {
		t.Fatal(err)
	}
	m, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// red tells where a picture is red: at its top left, top right, bottom left or bottom right.
func red(m image.Image) string {
	b := m.Bounds()
	for name, p := range map[string]image.Point{"top left": {b.Dx() / 4, b.Dy() / 4}, "top right": {b.Dx() * 3 / 4, b.Dy() / 4},
		"bottom left": {b.Dx() / 4, b.Dy() * 3 / 4}, "bottom right": {b.Dx() * 3 / 4, b.Dy() * 3 / 4}} {
		if r, _, _, _ := m.At(p.X, p.Y).RGBA(); r > 0x8000 {
			return name
		}
	}
	return "nowhere"
}

func TestMake(t *testing.T) {
	var b bytes.Buffer
	if err := png.Encode(&b, corner(1000, 500)); err != nil {
		t.Fatal(err)
	}
	m := made(t, b.Bytes())
	if got := m.Bounds().Size(); got != (image.Point{Side, Side / 2}) || red(m) != "top left" {
		t.Errorf("the picture has %v and is red %s", got, red(m))
	}
	for _, bad := range [][]byte{nil, []byte("no image"), b.Bytes()[:100]} {
		if _, err := Make(bad); err == nil {
			t.Errorf("%.10q became a picture", bad)
		}
	}
}

// TestMakeTurns: a camera held on its side says so in EXIF.
func TestMakeTurns(t *testing.T) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, corner(200, 100), nil); err != nil {
		t.Fatal(err)
	}
	for turn, want := range map[uint16]string{1: "top left", 2: "top right", 3: "bottom right", 4: "bottom left", 5: "top left", 6: "top right", 7: "bottom right", 8: "bottom left", 99: "top left"} {
		exif := []byte("Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01")
		exif = binary.BigEndian.AppendUint16(exif, turn)
		exif = append(exif, 0, 0, 0, 0, 0, 0)
		part := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(exif)+2))
		content := append(append(append([]byte{}, b.Bytes()[:2]...), append(part, exif...)...), b.Bytes()[2:]...)
		m := made(t, content)
		upright := m.Bounds().Dx() > m.Bounds().Dy()
		if got := red(m); got != want || upright != (turn < 5 || turn > 8) {
			t.Errorf("orientation %d: red is %s, not %s; %v", turn, got, want, m.Bounds())
		}
	}
}

// TestBomb: a few bytes that claim to be a huge picture cost nothing.
func TestBomb(t *testing.T) {
	head := binary.BigEndian.AppendUint32(nil, 50_000)
	head = binary.BigEndian.AppendUint32(head, 50_000)
	head = append(head, 8, 2, 0, 0, 0)
	chunk := append([]byte("IHDR"), head...)
	b := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	b = append(b, chunk...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(chunk))
	allocated := testing.AllocsPerRun(1, func() {
		if _, err := Make(b); !errors.Is(err, ErrRefused) {
			t.Errorf("a picture of 2.5 gigapixels: %v", err)
		}
	})
	if allocated > 1000 {
		t.Errorf("it took %.0f allocations", allocated)
	}
	if _, err := Make(make([]byte, MaxBytes+1)); !errors.Is(err, ErrRefused) {
		t.Errorf("a file over the limit: %v", err)
	}
}

func FuzzMake(f *testing.F) {
	var b bytes.Buffer
	png.Encode(&b, corner(20, 10))
	f.Add(b.Bytes())
	b.Reset()
	jpeg.Encode(&b, corner(20, 10), nil)
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) < 1<<16 {
			Make(content)
		}
	})
}
