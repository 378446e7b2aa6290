package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"satchel/api"
	"satchel/cache"
	"satchel/cmd/internal/cli"
)

type syncCmd struct {
	Dir     string        `arg:"" optional:"" help:"Which mounted folder, when there are several." complete:"mounted"`
	Wait    bool          `help:"Return when the server has everything, or has refused it; what it refused waits in the folder Recovered."`
	Strict  bool          `help:"With --wait: end with exit code 3 while something that the server refused waits in Recovered, or in the cache of an ended share."`
	Timeout time.Duration `placeholder:"D" help:"With --wait: give up after this long, such as 30s or 5m."`
}

func (cmd *syncCmd) Run(sh *shell) error {
	if cmd.Strict && !cmd.Wait {
		return usageError{"--strict goes with --wait"}
	}
	m, err := sh.running(cmd.Dir)
	if err != nil {
		return err
	}
	ctx, cancel := withTimeout(sh.ctx, cmd.Timeout)
	defer cancel()
	var last report
	bar := newProgress(sh.stderr, "sending", 0)
	said, start := false, time.Now()
	r, err := m.ask(ctx, controlRequest{Op: opSync, Wait: cmd.Wait}, func(now report) {
		last = now
		if !said && !now.Connected && time.Since(start) > offlineGrace {
			said = true
			fmt.Fprintf(sh.stderr, "waiting: %s\n", now.offline())
		}
		bar.remain(unsent(now))
	})
	bar.close()
	if errors.Is(err, context.DeadlineExceeded) {
		why := ""
		if !last.Connected {
			why = "; " + last.offline()
		}
		return api.Errorf(api.Unavailable, "not done within %v: %s%s", cmd.Timeout, last.pending(), why)
	}
	if api.KindOf(err) == api.Unauthenticated {
		if now, e := m.ask(ctx, controlRequest{Op: opStatus}, nil); e == nil && now.LoginEnded {
			err = fmt.Errorf("%w\n%s", err, sh.loginCure(now))
		}
	}
	if err != nil {
		return err
	}
	if sh.json {
		if err := sh.printJSON(r); err != nil {
			return err
		}
	}
	if withheld := r.withheld(sh.command("status", m.Mountpoint)); withheld != nil && cmd.Wait {
		if cmd.Strict {
			return withheld
		}
		if !sh.json {
			fmt.Fprintf(sh.stderr, "note: %v\n", withheld)
		}
	}
	if sh.json {
		return nil
	}
	if !cmd.Wait {
		fmt.Fprintln(sh.stdout, r.pending())
	}
	if look := r.toLookAt(); look != "" {
		fmt.Fprintln(sh.stdout, "look at: "+look+"; see: "+sh.command("status"))
	}
	return nil
}

// toldRefusals is how many refused files are named; status names the others.
const toldRefusals = 5

// withheld is that not all is on the server although nothing is to be sent any more: what the server refused waits
// in Recovered, until somebody moves it, and what was not sent of an ended share in its cache. status is the command that tells of it.
func (r report) withheld(status string) error {
	var lines, what []string
	refusals, ended := 0, 0
	for _, e := range r.Events {
		switch {
		case e.What == cache.EventRefused:
			refusals++
		case e.What == cache.EventEnded && e.Now != "":
			ended++
		default:
			continue
		}
		if len(lines) < toldRefusals {
			lines = append(lines, cli.Printable(eventLine(e)))
		}
	}
	if refusals > 0 {
		what = append(what, "the server refused "+plural(refusals, "file"))
	}
	if ended > 0 {
		what = append(what, plural(ended, "ended share")+" took no more")
	}
	if more := refusals + ended - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	if refusals > 0 {
		lines = append(lines, "move what is in Recovered to where it shall be once the server may take it, or remove it; see: "+status)
	}
	if len(what) == 0 {
		return nil
	}
	return remainsError{api.Errorf(refused, "%s; all else is sent\n%s", strings.Join(what, ", and "), strings.Join(lines, "\n"))}
}

// withTimeout is without a deadline for d = 0.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}
