package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

type restoreCmd struct {
	Path    string `arg:"" optional:"" help:"A file, ${path}." complete:"remote,file"`
	Version string `placeholder:"V" help:"Which of its versions (satchel history PATH) shall be the current one again." complete:"version"`
	DryRun  bool   `help:"With --at: only say what it would change."`
	At      string `placeholder:"TIME" help:"Without PATH: make the whole drive what it was at this time, such as 2006-01-02T15:04 (local), or after the change of this number."`
}

func (cmd *restoreCmd) Run(sh *shell) error {
	switch {
	case cmd.Path == "" && cmd.At != "" && cmd.Version == "":
		return cmd.drive(sh)
	case cmd.DryRun:
		return usageError{"--dry-run goes with --at TIME"}
	case cmd.Path == "" || cmd.Version == "" || cmd.At != "":
		return usageError{"give a PATH and its --version (satchel history PATH shows them), or --at TIME for the whole drive"}
	}
	t, err := sh.openTree()
	if err != nil {
		return err
	}
	defer t.close()
	p, versions, err := t.history(sh.ctx, cmd.Path)
	if err != nil {
		return err
	}
	var found []api.FileVersion
	for _, v := range versions {
		if strings.HasPrefix(v.ID.String(), strings.ToLower(cmd.Version)) {
			found = append(found, v)
		}
	}
	switch {
	case len(found) == 0:
		return api.Errorf(api.NotFound, "%s has no version %s\nsee those it has with: %s", p, cli.Printable(cmd.Version), sh.command("history", api.JoinPath(p.path)))
	case len(found) > 1:
		return api.Errorf(api.Invalid, "%s has several versions that begin with %s: give more of it", p, cli.Printable(cmd.Version))
	case found[0].Current:
		return sh.answer(p.node, "%s is the current version of %s already", found[0].ID, p)
	}
	now, err := t.RestoreVersion(sh.ctx, p.node.Document, found[0].ID)
	if err != nil {
		return err
	}
	t.changed = now.Rev
	return sh.answer(now, "%s is again what it was on %s; what it was until now is in its history", p, found[0].Time.Local().Format("2006-01-02 15:04:05"))
}

// drive restores the whole drive.
func (cmd *restoreCmd) drive(sh *shell) error {
	point, err := parsePoint(cmd.At)
	if err != nil {
		return err
	}
	t, err := sh.openTree()
	if err != nil {
		return err
	}
	defer t.close()
	before, err := t.Info(sh.ctx)
	if err != nil {
		return err
	}
	done, err := t.RestoreAt(sh.ctx, point, cmd.DryRun)
	if err != nil {
		return err
	}
	if done.Changed > 0 && !cmd.DryRun {
		t.changed = done.Seq
	}
	if sh.json {
		return sh.printJSON(done)
	}
	switch {
	case done.Changed == 0:
		fmt.Fprintln(sh.stdout, "nothing has changed since: the drive is left as it is")
	case cmd.DryRun:
		fmt.Fprintf(sh.stdout, "it would take %s to make the drive what it was after the change %d; nothing was changed\n", plural(done.Changed, "change"), done.Point)
		tellEffects(sh.stdout, done)
	default:
		fmt.Fprintf(sh.stdout, "the drive is again what it was after the change %d (%s)\nundo it with: %s %d\n",
			done.Point, plural(done.Changed, "change"), sh.command("restore --at"), before.Seq)
	}
	if done.Missing > 0 {
		fmt.Fprintf(sh.stdout, "%s of then can't come back: their content is not kept any more\n", plural(done.Missing, "file"))
	}
	return nil
}

// toldEffects is how many names are told of; --json has more.
const toldEffects = 20

// effectWords are what becomes of a name, for people.
var effectWords = map[string]string{
	api.EffectBack:       "comes back",
	api.EffectTrashed:    "goes to the trash",
	api.EffectContent:    "gets the content that it had",
	api.EffectAttributes: "gets the permissions and times that it had",
}

// tellEffects says what a restore would do to the first names.
func tellEffects(w io.Writer, done api.Restored) {
	for _, e := range done.Effects[:min(len(done.Effects), toldEffects)] {
		what := effectWords[e.What]
		if e.What == api.EffectMoved {
			what = "moves to " + cli.Printable(string(e.To))
		}
		fmt.Fprintf(w, "  %s %s\n", cli.Printable(cmp.Or(string(e.Path), "/")), what)
	}
	if more := done.Names - toldEffects; more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
}

// parsePoint reads --at: the number of a change, or a time, local without a zone.
func parsePoint(at string) (api.Point, error) {
	if seq, err := strconv.ParseInt(at, 10, 64); err == nil && seq >= 0 {
		return api.Point{Seq: seq}, nil
	}
	if t, err := time.Parse(time.RFC3339, at); err == nil {
		return api.Point{Time: t}, nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, at, time.Local); err == nil {
			return api.Point{Time: t}, nil
		}
	}
	return api.Point{}, usageError{fmt.Sprintf("--at %q: write a time such as 2006-01-02T15:04, or the number of a change", at)}
}
