package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"satchel/api"
)

type syncCmd struct {
	Dir     string        `arg:"" optional:"" help:"Which mounted folder, when there are several." complete:"mounted"`
	Wait    bool          `help:"Return when the server has everything."`
	Timeout time.Duration `placeholder:"D" help:"With --wait: give up after this long, such as 30s or 5m."`
}

func (cmd *syncCmd) Run(sh *shell) error {
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
	if err != nil {
		return err
	}
	if sh.json {
		return sh.printJSON(r)
	}
	if !cmd.Wait {
		fmt.Fprintln(sh.stdout, r.pending())
	}
	if look := r.toLookAt(); look != "" {
		fmt.Fprintln(sh.stdout, "look at: "+look+"; see: "+sh.command("status"))
	}
	return nil
}

// withTimeout is without a deadline for d = 0.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}
