package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

// noteNewer tells of what put is about to write beside: files that were changed in the mounted folder and not sent yet.
// The server keeps both, since neither was made of the other.
func (p *putter) noteNewer(local, remote string) {
	if p.sh.json {
		return
	}
	ctx, cancel := context.WithTimeout(p.sh.ctx, unsentPatience)
	defer cancel()
	for _, m := range p.sh.places.registered() {
		if m.Profile != p.sh.profile || !m.alive() {
			continue
		}
		reply, err := m.askAll(ctx, controlRequest{Op: opUnsent}, nil)
		if err != nil {
			continue // it is only a note
		}
		for _, unsent := range reply.Unsent {
			if puts(local, remote, unsent) {
				fmt.Fprintf(p.sh.stderr, "note: %s was changed in %s, and that is not sent yet: both will be kept, one as a conflict copy\nsend it before another time with: %s\n",
					cli.Printable(string(unsent)), m.Mountpoint, p.sh.command("sync --wait"))
			}
		}
	}
}

// puts tells whether a file or directory of this machine that is put to a path of the drive has a file for another path.
func puts(local, remote string, path api.Name) bool {
	rest, below := strings.CutPrefix(string(path), remote)
	if !below || rest != "" && rest[0] != '/' {
		return false
	}
	if rest == "" {
		return true
	}
	_, err := os.Lstat(filepath.Join(local, rest))
	return err == nil
}
