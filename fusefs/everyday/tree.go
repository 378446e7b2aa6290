package everyday

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// PrepareGo packs a part of Go's source tree for the tree rows. It needs Go.
func (s *Sizes) PrepareGo(ctx context.Context, tar string) error {
	goroot, err := output(ctx, "", "go", "env", "GOROOT")
	if err != nil {
		return err
	}
	src := filepath.Join(strings.TrimSpace(goroot), "src")
	s.tar, s.count, s.tree = tar, 0, "Go's "+strings.Join(s.folders, ", ")
	for _, folder := range s.folders {
		err := filepath.WalkDir(filepath.Join(src, folder), func(_ string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				s.count++
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	_, err = output(ctx, src, append([]string{"tar", "cf", tar}, s.folders...)...)
	return err
}

// Prepare packs a tree that is made up for the tree rows: like a program's
// source in the number of its files and how large they are.
func (s *Sizes) Prepare(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s.tar, s.count, s.tree = path, s.files, fmt.Sprintf("a tree of %d files", s.files)
	w := tar.NewWriter(f)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range s.files {
		dir := fmt.Sprintf("source/part%02d/", i/20)
		if i%20 == 0 {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: time.Unix(1e9, 0)}); err != nil {
				return err
			}
		}
		var text strings.Builder
		fmt.Fprintf(&text, "package part%02d\n", i/20)
		for range 20 + random.IntN(500) {
			fmt.Fprintf(&text, "\tx%d = %x\n", random.IntN(100), random.Uint64())
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%sfile%04d.go", dir, i), Mode: 0o644, Size: int64(text.Len()), ModTime: time.Unix(1e9, 0)}); err != nil {
			return err
		}
		if _, err := w.Write([]byte(text.String())); err != nil {
			return err
		}
	}
	return w.Close()
}
