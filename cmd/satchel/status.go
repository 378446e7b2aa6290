package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"satchel/api"
	"satchel/cache"
	"satchel/cmd/internal/cli"
)

// report is what `status --json` prints: one object, a contract.
type report struct {
	PID         int    `json:"pid"`
	Mountpoint  string `json:"mountpoint"`
	Server      string `json:"server"`
	User        string `json:"user"`                // the account's email
	Device      string `json:"device"`              // its name
	Passthrough bool   `json:"passthrough"`         // the kernel reads and writes local content itself
	Writeback   bool   `json:"writeback"`           // the kernel collects writes
	ReadOnly    bool   `json:"read_only"`           // the folder refuses changes
	PausedBy    string `json:"paused_by,omitempty"` // who wants sending to wait: user, or metered

	DeviceID api.ID `json:"device_id,omitzero"` // of the login with which it is mounted

	PausedUntil time.Time `json:"paused_until,omitzero"` // when that ends by itself
	cache.Status

	Do   string `json:"do,omitempty"`   // what to do about a login that has ended
	Kept []left `json:"kept,omitempty"` // what other caches of the profile keep that are not mounted, and the server lacks
}

// quiet tells that everything has reached the server.
func (r report) quiet() bool {
	return r.PendingMutations == 0 && r.PendingBytes == 0 && r.Undecided == 0
}

// pending says what has not, for people.
func (r report) pending() string {
	if r.quiet() {
		return "everything is on the server"
	}
	return r.unsent() + " not sent yet"
}

// unsent is how much has not, if it is anything.
func (r report) unsent() string {
	var parts []string
	if r.PendingMutations > 0 || r.PendingBytes > 0 {
		parts = append(parts, plural(r.PendingMutations, "change"))
	}
	if r.PendingBytes > 0 {
		parts = append(parts, size(r.PendingBytes).String())
	}
	if r.Undecided > 0 {
		parts = append(parts, plural(r.Undecided, "new name")+" (the .satchelignore is not here yet)")
	}
	return strings.Join(parts, ", ")
}

// offline says why nothing is sent.
func (r report) offline() string {
	if r.Problem != "" {
		return r.Problem
	}
	return r.Server + " cannot be reached"
}

// diskShort says what follows from a disk that is nearly full, and what to do.
func (r report) diskShort() string {
	return fmt.Sprintf("%s are free where content is kept, less than a twentieth: what the server has is fetched each time; make room there, or mount with --cache-dir on another disk", size(r.DiskFreeBytes))
}

// lookAt counts what somebody has to look at.
func (r report) lookAt() (ended, copies, refused int) {
	for _, e := range r.Events {
		switch {
		case e.What == cache.EventEnded:
			ended++
		case e.What == cache.EventRefused: // also of a shared folder's, which says no place
			refused++
		case !e.Dir.IsZero():
			copies++
		}
	}
	return ended, copies, refused
}

// toLookAt says what somebody has to look at; "" when it is nothing.
func (r report) toLookAt() string {
	var parts []string
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, plural(n, what))
		}
	}
	ended, copies, refused := r.lookAt()
	add(ended, "ended share")
	add(copies, "conflict copy")
	add(refused, "refused file")
	text := strings.Join(parts, ", ")
	if refused > 0 {
		text += " in Recovered"
	}
	return text
}

// print says it all for people; goOn is the command that ends a pause.
func (r report) print(w io.Writer, goOn string) {
	connection := cli.Paint(w, cli.Good, "connected")
	if !r.Connected {
		connection = cli.Paint(w, cli.Warn, "offline") + ": the folder goes on working, changes are sent later"
	}
	mode := ""
	if r.ReadOnly {
		mode = ", read-only: it refuses changes"
	}
	fmt.Fprintf(w, "folder:  %s (process %d)%s\n", r.Mountpoint, r.PID, mode)
	fmt.Fprintf(w, "server:  %s as %s, device %q\n", r.Server, r.User, r.Device)
	fmt.Fprintf(w, "state:   %s; %s\n", connection, r.pending())
	if r.Paused != "" {
		fmt.Fprintf(w, "paused:  %s; %s\n", cli.Paint(w, cli.Warn, r.Paused), "go on with: "+goOn)
	}
	if r.Problem != "" {
		fmt.Fprintf(w, "problem: %s\n", cli.Paint(w, cli.Bad, r.Problem))
	}
	if r.Do != "" {
		fmt.Fprintf(w, "do:      %s\n", r.Do)
	}
	if look := r.toLookAt(); look != "" {
		fmt.Fprintf(w, "look at: %s\n", look)
	}
	for i, e := range r.Events {
		head := ""
		if i == 0 && r.toLookAt() == "" {
			head = "news:"
		}
		fmt.Fprintf(w, "%-9s%s %s\n", head, e.Time.Local().Format("2006-01-02 15:04"), cli.Printable(eventLine(e)))
	}
	if _, copies, _ := r.lookAt(); copies > 0 {
		fmt.Fprintln(w, "do:      take from each conflict copy what you want, then delete or rename it; the web page shows both files side by side")
	}
	if here := r.LocalOnly - r.Undecided; here > 0 {
		fmt.Fprintf(w, "here:    %s on this machine only (.satchelignore)\n", plural(here, "name"))
	}
	if r.PinnedMissing > 0 {
		fmt.Fprintf(w, "pinned:  %s\n", cli.Paint(w, cli.Warn, plural(r.PinnedMissing, "name")+" can't be had now, and will not be here without the server"))
	}
	fmt.Fprintf(w, "cache:   %s of %s, %s of memory\n", size(r.CacheBytes), size(r.CacheLimitBytes), size(r.MemoryBytes))
	if r.DiskShort {
		fmt.Fprintf(w, "disk:    %s\n", cli.Paint(w, cli.Warn, r.diskShort()))
	}
	way := "through the daemon"
	if r.Passthrough {
		way = "by the kernel itself (passthrough)"
	} else if r.Writeback {
		way = "through the daemon; the kernel collects writes until a file is closed (writeback)"
	}
	fmt.Fprintf(w, "content: read and written %s\n", way)
	fmt.Fprintln(w, "locks:   between the programs of this machine only")
}

func plural(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(what, "y"))
	}
	return fmt.Sprintf("%d %ss", n, what)
}

type statusCmd struct {
	Dir string `arg:"" optional:"" help:"Which mounted folder, when there are several." complete:"mounted"`
}

func (cmd *statusCmd) Run(sh *shell) error {
	m, err := sh.running(cmd.Dir)
	if err != nil {
		return err
	}
	ctx, cancel := withTimeout(sh.ctx, 10*time.Second)
	defer cancel()
	r, err := m.ask(ctx, controlRequest{Op: opStatus}, nil)
	if errors.Is(err, context.DeadlineExceeded) {
		return api.Errorf(api.Unavailable, "the daemon of %s (pid %d) does not answer\nsee what it does in %s", m.Mountpoint, m.PID, sh.places.log(m.Profile))
	}
	if err != nil {
		return err
	}
	r.Kept = sh.unsentElsewhere()
	r.Do = sh.loginCure(r)
	if sh.json {
		return sh.printJSON(r)
	}
	r.print(sh.stdout, sh.command("resume"))
	for _, l := range r.Kept {
		what, do := l.tell(sh, m.Mountpoint)
		fmt.Fprintf(sh.stdout, "kept:    %s\n         %s\n", cli.Paint(sh.stdout, cli.Warn, what), strings.ReplaceAll(do, "\n", "\n         "))
	}
	return nil
}
