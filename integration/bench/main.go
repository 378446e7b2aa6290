// Command bench does a day's ordinary work (many small files, a big one, git,
// grep, an editor's saves, a database) on a plain folder, go-fuse's loopback
// with passthrough, a Satchel mount and rclone mount, in one run on one disk,
// and prints what each takes in relation to the others as a Markdown table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"satchel/fusefs/everyday"
	"satchel/integration/rig"
)

func main() {
	rig.Janitor()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(2)
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var (
		base    = flags.String("base", "", "work below this directory, on the disk to be measured (default: the temporary directory)")
		rounds  = flags.Int("rounds", 3, "how often to do everything; the median counts")
		systems = flags.String("systems", strings.Join(systemNames, ","), "which systems; besides: "+strings.Join(userSystems[2:], ","))
		users   = flags.Bool("user", false, "the table of an ordinary user: -systems "+strings.Join(userSystems, ","))
		only    = flags.String("rows", "", "which rows, by the words of `-list` (default: all)")
		list    = flags.Bool("list", false, "print the rows and end")
		quick   = flags.Bool("quick", false, "tiny sizes: shows that everything works, measures nothing")
		write   = flags.String("write", "", "put the table into this Markdown `file`, between its bench markers (-user: bench-user)")
	)
	if err := flags.Parse(args); err != nil {
		return err
	}
	section := "bench"
	if *users {
		*systems, section = strings.Join(userSystems, ","), "bench-user"
	}
	size := everyday.Full
	if *quick {
		size = everyday.Tiny
	}
	if *list {
		for _, r := range size.Rows() {
			fmt.Fprintf(stdout, "%-8s %s\n", r.Word, r.Name)
		}
		return nil
	}
	if _, err := everyday.Choose(size.Rows(), *only); err != nil {
		return err
	}

	r, err := rig.New(*base)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	l := &lab{rig: r, log: stderr}
	defer func() { err = errors.Join(err, l.close()) }()
	if err := l.start(ctx, strings.Split(*systems, ",")); err != nil {
		return err
	}
	if err := size.PrepareGo(ctx, filepath.Join(r.Dir, "tree.tar")); err != nil {
		return err
	}

	every := size.Rows() // their names say which tree it is
	rows, err := everyday.Choose(every, *only)
	if err != nil {
		return err
	}
	result, err := everyday.Measure(ctx, l.systems, every, rows, *rounds, stderr)
	if err != nil {
		return err
	}
	table := result.Markdown()
	fmt.Fprint(stdout, table)
	if *write != "" {
		if err := rig.ReplaceSection(*write, section, rig.Machine(r.Dir)+"\n\n"+table); err != nil {
			return err
		}
	}
	return result.Failed()
}
