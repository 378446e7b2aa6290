package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"satchel/integration/require"
	"satchel/storage/blob/s3/s3test"
)

// Backups don't go where content is kept, however that is written; blobs copy has two stores.
func TestTheStoreItselfIsNoPlace(t *testing.T) {
	data := dataDir(t)
	blobs := filepath.Join(data, "blobs")
	if err := os.MkdirAll(blobs, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(data, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(data)
	for _, test := range [][2]string{ // --blobs, and another name of it
		{"", "file:" + blobs},
		{"", "file:blobs"},
		{"", "file:" + link + "/blobs/"},
		{"file:" + link + "/blobs", "file:" + blobs},
		{"file:" + data + "/not/there/yet", "file:" + data + "/not/there/../there/yet"},
		{"s3://bucket/p?endpoint=https://s3.example.org&region=eu-north-1", "s3://bucket/p/?region=eu-north-1&endpoint=https://S3.example.org:443/"},
		{"s3://bucket", "s3://bucket/?endpoint=https://s3.eu-north-1.amazonaws.com&region=eu-north-1"},
	} {
		flags := []string{"--data", data}
		here := test[0]
		if here != "" {
			flags = append(flags, "--blobs", here)
		} else {
			here = "file:" + blobs
		}
		for _, command := range [][]string{{"backup", test[1]}, {"restore", test[1]}} {
			if code, out, errs := satcheld(t, "", append(command, flags...)...); code != 2 || !strings.Contains(errs, "content is kept there") {
				t.Errorf("%v with %q: %d %s%s", command, here, code, out, errs)
			}
		}
		if code, _, errs := satcheld(t, "", append([]string{"blobs", "copy", here, test[1]}, flags...)...); code != 2 || !strings.Contains(errs, "the same") {
			t.Errorf("copied from %s to %s: %d %s", here, test[1], code, errs)
		}
	}
}

// A store that has two names is found out by its mark, before anything is done there.
func TestBackupIntoTheStoreByAnotherName(t *testing.T) {
	t.Cleanup(s3test.Stop)
	bucket := s3test.Bucket(t)
	alias := strings.Replace(bucket.URL, "127.0.0.1", "localhost", 1)
	if alias == bucket.URL {
		t.Fatalf("%s has no other name", bucket.URL)
	}
	s, _, _ := filled(t, bucket.URL)
	objects := func() (keys []string) {
		out, err := bucket.Client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket.Name})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out.Contents {
			keys = append(keys, *o.Key)
		}
		return keys
	}
	before := objects()
	for _, more := range []string{"--content", "--no-content"} {
		if code, out, errs := s.run("backup", alias, "--keep", "1", more); code != 1 || !strings.Contains(errs, "content is kept there") {
			t.Errorf("backup into %s %s: %d %s%s", alias, more, code, out, errs)
		}
		if after := objects(); !slices.Equal(after, before) {
			t.Errorf("%s: the store had %v, and has %v", more, before, after)
		}
	}
	s.must("backup", "file:"+filepath.Join(t.TempDir(), "backups"), "--no-content")
}

// Rows are saved while the store of content is away. Of an installation that has no store yet nothing is removed then: it may be
// the same one by another name.
func TestRowsWhileContentIsAway(t *testing.T) {
	s3test.Credentials(t, "none", "none")
	nowhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere.Close()
	s := newSite(t, "away", fmt.Sprintf("s3://bucket?endpoint=http://%s&region=eu-north-1", nowhere.Addr()))
	store := "file:" + filepath.Join(t.TempDir(), "backups")
	s.must("migrate")
	s.must("backup", store, "--no-content")
	code, out, errs := s.run("backup", store, "--no-content", "--keep", "1")
	if code != 0 || !strings.Contains(errs, "no older backup was removed") {
		t.Errorf("rows while content is away: %d %s%s", code, out, errs)
	}
	if names := listed(t, store); len(names) != 2 {
		t.Errorf("there were two backups, and there are %v", names)
	}
	if code, out, errs := s.run("backup", store); code == 0 {
		t.Errorf("content was saved that is away: %s%s", out, errs)
	}
}

// sickAtClose is a directory in which no file can be closed, as where a quota or a server has the last word.
type sickAtClose struct{ *fs.LoopbackNode }

func (*sickAtClose) WrapChild(_ context.Context, node fs.InodeEmbedder) fs.InodeEmbedder {
	return &sickAtClose{node.(*fs.LoopbackNode)}
}

func (*sickAtClose) Flush(context.Context, fs.FileHandle) syscall.Errno { return syscall.EIO }

// A backup that can't be closed does not take the place of the one before.
func TestBackupThatCannotBeClosed(t *testing.T) {
	require.Fuse(t)
	s, _, _ := keyed(t, "closed")
	below, above := t.TempDir(), t.TempDir()
	root, err := fs.NewLoopbackRoot(below)
	if err != nil {
		t.Fatal(err)
	}
	mounted, err := fs.Mount(above, &sickAtClose{root.(*fs.LoopbackNode)}, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mounted.Unmount(); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(below, "backup"), []byte("the one before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := s.run("backup", filepath.Join(above, "backup")); code != 1 || !strings.Contains(errs, "input/output error") {
		t.Errorf("a backup that can't be closed: %d %s%s", code, out, errs)
	}
	if b, err := os.ReadFile(filepath.Join(below, "backup")); err != nil || string(b) != "the one before" {
		t.Errorf("it took the place of the one before: %d bytes, %v", len(b), err)
	}
	if left, err := os.ReadDir(below); err != nil || len(left) != 1 {
		t.Errorf("it left %v, %v", left, err)
	}
}

// A backup goes into a pipe or a device, and does not take its place.
func TestBackupIntoAPipe(t *testing.T) {
	s, _, _ := keyed(t, "piped")
	dir := t.TempDir()
	pipe, null, saved := filepath.Join(dir, "pipe"), filepath.Join(dir, "null"), filepath.Join(dir, "saved")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Symlink(os.DevNull, null)); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		b, err := os.ReadFile(pipe)
		read <- errors.Join(err, os.WriteFile(saved, b, 0o600))
	}()
	s.must("backup", pipe)
	s.must("backup", null)
	if info, err := os.Lstat(pipe); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Fatalf("the pipe is %v, %v", info, err)
	}
	if to, err := os.Readlink(null); err != nil || to != os.DevNull {
		t.Errorf("the name of the device leads to %q, %v", to, err)
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	must(t, "", "restore", saved, "--check")
}
