// Package thumbnail makes small pictures of images, with bounds: an image that
// says that it is huge is refused before a pixel of it is decoded.
package thumbnail

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	_ "image/gif" // formats that are read
	"image/jpeg"
	_ "image/png"

	_ "golang.org/x/image/bmp"
	"golang.org/x/image/draw"
	_ "golang.org/x/image/tiff"
	_ "golang.org/x/image/webp"
)

// Bounds of what is looked at.
const (
	MaxBytes  = 64 << 20
	maxPixels = 64_000_000
	maxSide   = 60_000
)

// Side is the longest side of a picture in pixels.
const Side = 256

// ErrRefused is wrapped by the errors of images beyond the bounds.
var ErrRefused = errors.New("the image is too large for a thumbnail")

// Make is a JPEG picture of an image (JPEG, PNG, GIF, WebP, BMP or TIFF), the
// right way up. Transparent parts are white.
func Make(content []byte) (picture []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // decoders of foreign formats panic
			picture, err = nil, fmt.Errorf("the decoder gave up: %v", p)
		}
	}()
	if len(content) > MaxBytes {
		return nil, ErrRefused
	}
	config, format, err := image.DecodeConfig(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	w, h := config.Width, config.Height
	if w <= 0 || h <= 0 || w > maxSide || h > maxSide || w*h > maxPixels {
		return nil, fmt.Errorf("%w: %d×%d pixels", ErrRefused, w, h)
	}
	source, _, err := image.Decode(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	turn := 1
	if format == "jpeg" {
		turn = orientation(content)
	}
	small := turned(shrink(source), turn)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, small, &jpeg.Options{Quality: 80}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func shrink(source image.Image) *image.RGBA {
	r := source.Bounds()
	w, h := r.Dx(), r.Dy()
	if longest := max(w, h); longest > Side {
		w, h = max(1, w*Side/longest), max(1, h*Side/longest)
	}
	small := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(small, small.Bounds(), image.White, image.Point{}, draw.Src)
	draw.ApproxBiLinear.Scale(small, small.Bounds(), source, r, draw.Over, nil)
	return small
}

// turned puts a picture the right way up, by its EXIF orientation (1 to 8).
func turned(m *image.RGBA, orientation int) *image.RGBA {
	if orientation < 2 || orientation > 8 {
		return m
	}
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	if orientation >= 5 {
		out = image.NewRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		for x := range w {
			u, v := x, y
			switch orientation {
			case 2:
				u = w - 1 - x
			case 3:
				u, v = w-1-x, h-1-y
			case 4:
				v = h - 1 - y
			case 5:
				u, v = y, x
			case 6:
				u, v = h-1-y, x
			case 7:
				u, v = h-1-y, w-1-x
			case 8:
				u, v = y, w-1-x
			}
			out.SetRGBA(u, v, m.RGBAAt(x, y))
		}
	}
	return out
}

// orientation is what a JPEG file's EXIF part says (tag 0x0112 of the first
// directory), 1 if it says nothing.
func orientation(content []byte) int {
	for at := 2; at+4 <= len(content) && content[at] == 0xff; {
		marker, n := content[at+1], int(binary.BigEndian.Uint16(content[at+2:]))
		if marker == 0xda || n < 2 || at+2+n > len(content) {
			break // the picture begins
		}
		part := content[at+4 : at+2+n]
		if marker == 0xe1 && bytes.HasPrefix(part, []byte("Exif\x00\x00")) {
			return tiffOrientation(part[6:])
		}
		at += 2 + n
	}
	return 1
}

func tiffOrientation(b []byte) int {
	if len(b) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.BigEndian
	if b[0] == 'I' {
		order = binary.LittleEndian
	}
	at := int64(order.Uint32(b[4:]))
	if at+2 > int64(len(b)) {
		return 1
	}
	entries := int(order.Uint16(b[at:]))
	for i := range entries {
		e := at + 2 + int64(i)*12
		if e+12 > int64(len(b)) {
			break
		}
		if order.Uint16(b[e:]) == 0x0112 {
			return int(order.Uint16(b[e+8:]))
		}
	}
	return 1
}
