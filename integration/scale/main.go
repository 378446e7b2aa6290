// Command scale measures a server at its limits: how fast one client's new
// files are committed, what a drive of a million nodes still answers at once,
// and what its upkeep takes. It prints a Markdown table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"satchel/api"
	"satchel/api/client"
	"satchel/integration/rig"
	"satchel/storage/postgres/populate"
)

func main() {
	rig.Janitor()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(2)
		}
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var (
		base  = flags.String("base", "", "work below this directory, on the disk to be measured (default: the temporary directory)")
		files = flags.Int("files", 50_000, "how many files to commit")
		nodes = flags.Int("nodes", 1_000_000, "nodes of the large drive")
		wide  = flags.Int("wide", 100_000, "of them, files in one directory")
		read  = flags.Int("read", math.MaxInt, "read at most so many nodes through the mount (its daemon and the kernel remember each)")
		write = flags.String("write", "", "put the table into this Markdown `file`, between its scale markers")
	)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *files < 1 || *wide < 1 || *nodes < *wide+10 {
		return errors.New("-files and -wide must be positive, and -nodes larger than -wide")
	}
	r, err := rig.New(*base)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := r.Programs(ctx); err != nil {
		return err
	}
	server, err := r.NewServer("server")
	if err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	l := &lab{server: server, log: stderr}
	for _, measure := range []func() error{
		func() error { return l.commits(ctx, *files) },
		func() error { return l.largeDrive(ctx, *nodes, *wide) },
		func() error { return l.searches(ctx, l.made) },
		func() error { return l.largeMount(ctx, r, *wide, *read) },
		func() error { return l.upkeep(ctx, l.made) },
	} {
		if err := measure(); err != nil {
			return fmt.Errorf("%w\n%s", err, rig.Tail(server.Log, 20))
		}
	}
	table := l.markdown()
	fmt.Fprint(stdout, table)
	if *write != "" {
		return rig.ReplaceSection(*write, "scale", rig.Machine(r.Dir)+"\n\n"+table)
	}
	return nil
}

// lab is one server and what was measured.
type lab struct {
	server *rig.Server
	log    io.Writer
	rows   [][2]string

	drive *client.Drive // the large one
	made  populate.Made
	token string // of its owner
}

func (l *lab) note(what, format string, args ...any) {
	row := [2]string{what, fmt.Sprintf(format, args...)}
	l.rows = append(l.rows, row)
	fmt.Fprintf(l.log, "%s: %s\n", row[0], row[1])
}

func (l *lab) markdown() string {
	var b strings.Builder
	b.WriteString("| what | measured |\n|---|---|\n")
	for _, row := range l.rows {
		fmt.Fprintf(&b, "| %s | %s |\n", row[0], row[1])
	}
	return b.String()
}

const password = "a password for measuring"

// user makes an account and returns its drive as a device of it sees it.
func (l *lab) user(ctx context.Context, name string) (*client.Drive, api.DriveInfo, error) {
	email := name + "@example.org"
	if err := l.server.AddUser(ctx, email, password, "editor"); err != nil {
		return nil, api.DriveInfo{}, err
	}
	cred, err := client.Login(ctx, l.server.URL, email, password, "scale")
	if err != nil {
		return nil, api.DriveInfo{}, err
	}
	c, err := client.New(l.server.URL, cred, nil)
	if err != nil {
		return nil, api.DriveInfo{}, err
	}
	d := c.Drive("home")
	info, err := d.Info(ctx)
	return d, info, err
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }
