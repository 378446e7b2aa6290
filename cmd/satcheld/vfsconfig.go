package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"satchel/storage"
)

// mounts is the system drives that --vfs-config names: a file, or its text.
func (cmd *serveCmd) mounts() ([]storage.Mount, error) {
	text, dir := []byte(cmd.VFSConfig), "."
	switch {
	case cmd.VFSConfig == "":
		return nil, nil
	case !strings.HasPrefix(strings.TrimSpace(cmd.VFSConfig), "["):
		var err error
		if text, err = os.ReadFile(cmd.VFSConfig); err != nil {
			return nil, fmt.Errorf("--vfs-config: %w", err)
		}
		dir = filepath.Dir(cmd.VFSConfig)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	mounts, err := storage.ParseMounts(text, dir)
	if err != nil {
		return nil, usageError{fmt.Sprintf("--vfs-config: %v", err)}
	}
	return mounts, nil
}
