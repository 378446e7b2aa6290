package chunk

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"satchel/api"
)

func version(content string) api.Version {
	return api.Version{ID: api.NewID(), Size: int64(len(content)), SHA256: sha256.Sum256([]byte(content))}
}

// sample is the stream for four questions: 2 is whole in two parts, 0 is
// missing, 3 breaks off and 1 is empty.
func sample(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewContentsWriter(&b)
	w.Content(2, version("hello world"))
	w.Part([]byte("hello "))
	w.Part([]byte("world"))
	w.Failed(0, api.NotFound, "there is no such content")
	w.Content(3, version("a lost end"))
	w.Part([]byte("a lost"))
	w.Fail(api.Internal, "the pack is damaged")
	w.Content(1, version(""))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// told is what a reader heard of each index.
func told(r io.Reader, n int) (map[int]string, error) {
	heard := map[int]string{}
	err := ReadContents(r, n, func(i int, v api.Version, body io.Reader) error {
		b, err := io.ReadAll(body)
		heard[i] = fmt.Sprintf("%d %q %s", v.Size, b, api.KindOf(err))
		if err == nil && v.SHA256 != sha256.Sum256(b) {
			heard[i] += " of another hash"
		}
		return nil
	})
	return heard, err
}

func TestContents(t *testing.T) {
	stream := sample(t)
	for name, r := range map[string]io.Reader{
		"at once": bytes.NewReader(stream), "by bytes": iotest.OneByteReader(bytes.NewReader(stream)), "with the end": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		heard, err := told(r, 4)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i, want := range []string{`0 "" not_found`, `0 "" `, `11 "hello world" `, `10 "a lost" internal`} {
			if heard[i] != want {
				t.Errorf("%s: %d is %s, not %s", name, i, heard[i], want)
			}
		}
	}
	// What is not read is skipped.
	var seen []int
	err := ReadContents(bytes.NewReader(stream), 4, func(i int, _ api.Version, body io.Reader) error {
		seen = append(seen, i)
		if i == 2 {
			io.CopyN(io.Discard, body, 3)
		}
		return nil
	})
	if err != nil || fmt.Sprint(seen) != "[2 0 3 1]" {
		t.Errorf("skipping: %v, %v", seen, err)
	}
	stop := errors.New("enough")
	if err := ReadContents(bytes.NewReader(stream), 4, func(int, api.Version, io.Reader) error { return stop }); err != stop {
		t.Errorf("fn's error: %v", err)
	}
	broken := errors.New("the line broke")
	if _, err := told(io.MultiReader(bytes.NewReader(stream[:100]), iotest.ErrReader(broken)), 4); !errors.Is(err, broken) {
		t.Errorf("the reader's error: %v", err)
	}
}

// A stream that was cut anywhere, even between records, is never taken for whole.
func TestTornContents(t *testing.T) {
	stream := sample(t)
	for n := range stream {
		if _, err := told(bytes.NewReader(stream[:n]), 4); api.KindOf(err) != api.Unavailable || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d of %d bytes: %v", n, len(stream), err)
		}
		err := ReadContents(bytes.NewReader(stream[:n]), 4, func(int, api.Version, io.Reader) error { return nil })
		if api.KindOf(err) != api.Unavailable {
			t.Errorf("cut after %d of %d bytes and skipped: %v", n, len(stream), err)
		}
	}
}

func TestMalformedContents(t *testing.T) {
	stream := sample(t)
	with := func(write func(w *ContentsWriter)) []byte {
		var b bytes.Buffer
		w := NewContentsWriter(&b)
		write(w)
		w.Close()
		return b.Bytes()
	}
	for name, test := range map[string]struct {
		stream []byte
		n      int
	}{
		"another beginning":    {append([]byte("SPK1"), stream[4:]...), 4},
		"more after the end":   {append(bytes.Clone(stream), 0), 4},
		"an unknown record":    {append(bytes.Clone(stream[:4]), 'X', 0, 0, 0, 0), 0},
		"fewer than asked for": {stream, 5},
		"more than asked for":  {stream, 3},
		"one answered twice": {with(func(w *ContentsWriter) {
			w.Failed(0, api.NotFound, "")
			w.Failed(0, api.NotFound, "")
		}), 2},
		"a part that is too long": {with(func(w *ContentsWriter) {
			w.Content(0, version("ab"))
			w.Part([]byte("abc"))
		}), 1},
		"a failure without a kind": {with(func(w *ContentsWriter) { w.Failed(0, "", "what") }), 1},
	} {
		if _, err := told(bytes.NewReader(test.stream), test.n); api.KindOf(err) != api.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadContents(f *testing.F) {
	stream := sample(f)
	f.Add(stream, uint8(4))
	f.Add(stream[:len(stream)-3], uint8(4))
	f.Add([]byte(contentsMagic+"E\x00\x00\x00\x00"), uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		seen := make([]int, n)
		err := ReadContents(bytes.NewReader(b), int(n), func(i int, v api.Version, body io.Reader) error {
			seen[i]++
			got, err := io.Copy(io.Discard, body)
			if err == nil && got != v.Size || got > v.Size {
				t.Fatalf("%d of %d bytes, %v", got, v.Size, err)
			}
			return nil
		})
		for i, times := range seen {
			if times > 1 || err == nil && times != 1 {
				t.Fatalf("content %d came %d times, %v", i, times, err)
			}
		}
		if err != nil && api.KindOf(err) != api.Unavailable {
			t.Fatal(err)
		}
	})
}
