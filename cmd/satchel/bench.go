package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"satchel/fusefs/everyday"
)

type benchCmd struct {
	Dirs   []string `arg:"" name:"dir" help:"Where to work: a folder of the mounted drive, and others to compare it with. What is made there is removed again." complete:"dir"`
	Rounds int      `default:"1" help:"How often to do everything; the median counts (${default})."`
	Quick  bool     `help:"Tiny sizes: shows that everything works, measures nothing."`
}

func (cmd *benchCmd) Run(sh *shell) (err error) {
	if cmd.Rounds < 1 {
		return usageError{"--rounds must be at least 1"}
	}
	scratch, err := os.MkdirTemp("", "satchel-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	var systems []*everyday.System
	for _, dir := range cmd.Dirs {
		abs, err := filepath.Abs(dir) // programs work elsewhere
		if err != nil {
			return err
		}
		work, err := os.MkdirTemp(abs, ".satchel-bench-")
		if err != nil {
			return fmt.Errorf("%s cannot be worked in: %w", dir, cause(err))
		}
		defer os.RemoveAll(work)
		systems = append(systems, &everyday.System{Name: dir, Dir: work, About: folderKind(dir)})
	}
	size := *everyday.Full
	if cmd.Quick {
		size = *everyday.Tiny
	}
	if err := size.Prepare(filepath.Join(scratch, "tree.tar")); err != nil {
		return err
	}
	var rows []everyday.Row
	for _, row := range size.Rows() {
		if row.Tool != "" {
			if _, err := exec.LookPath(row.Tool); err != nil {
				fmt.Fprintf(sh.stderr, "left out: %s: %s is not installed\n", row.Name, row.Tool)
				continue
			}
		}
		rows = append(rows, row)
	}
	var log io.Writer = sh.stderr
	if sh.json {
		log = io.Discard
	}
	result, err := everyday.Measure(sh.ctx, systems, size.Rows(), rows, cmd.Rounds, log)
	if err != nil {
		return err
	}
	if sh.json {
		err = sh.printJSON(benchRows(result, rows, systems))
	} else {
		_, err = io.WriteString(sh.stdout, result.Markdown())
	}
	return errors.Join(err, result.Failed())
}

// benchRow is what a kind of work took, as JSON.
type benchRow struct {
	Work    string             `json:"work"`
	Seconds map[string]float64 `json:"seconds"` // by folder
}

func benchRows(r *everyday.Results, rows []everyday.Row, systems []*everyday.System) []benchRow {
	all := []benchRow{}
	for _, row := range rows {
		b := benchRow{Work: row.Name, Seconds: map[string]float64{}}
		for _, s := range systems {
			if d := r.Median(row.Word, s.Name); d > 0 {
				b.Seconds[s.Name] = d.Round(time.Microsecond).Seconds()
			}
		}
		all = append(all, b)
	}
	return all
}

// folderKind says in a few words on what a folder is.
func folderKind(dir string) string {
	abs, err := resolve(dir)
	for err == nil && abs != "/" {
		kind, e := mountedType(abs)
		if e == nil && kind == fsType {
			return "a Satchel drive"
		} else if e == nil && kind != "" {
			return "a folder on " + kind
		}
		abs = filepath.Dir(abs)
	}
	return "a folder"
}
