package main

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"satchel/storage/postgres"
)

// retention is how long the past is kept, as a server is told.
type retention struct {
	KeepVersions span `setting:"" default:"30d" placeholder:"TIME" help:"Keep every version of a file for so long, such as 12h or 30d (${default})."`
	KeepDaily    span `setting:"" default:"365d" placeholder:"TIME" help:"Then keep the last version of each day for so long, counted from today (${default})."`
	KeepTrash    span `setting:"" default:"30d" placeholder:"TIME" help:"Keep what was deleted for so long (${default})."`
	KeepEvents   span `setting:"" default:"365d" placeholder:"TIME" help:"Keep lines of the audit log for so long; 0 = for ever (${default})."`
}

func (r *retention) told() postgres.Retention {
	return postgres.Retention{Versions: time.Duration(r.KeepVersions), Daily: time.Duration(r.KeepDaily), Trash: time.Duration(r.KeepTrash), Events: time.Duration(r.KeepEvents)}
}

// otherRetention is what a command is told to do otherwise than the servers, in so many words: a configuration is for servers, and its times
// count when one has told them.
type otherRetention struct {
	KeepVersions *span `placeholder:"TIME" help:"Keep every version of a file for so long, such as 12h or 30d; without it as the servers were told."`
	KeepDaily    *span `placeholder:"TIME" help:"Then keep the last version of each day for so long, counted from today; without it as the servers were told."`
	KeepTrash    *span `placeholder:"TIME" help:"Keep what was deleted for so long; without it as the servers were told."`
	KeepEvents   *span `placeholder:"TIME" help:"Keep lines of the audit log for so long; 0 = for ever; without it as the servers were told."`
}

// instead changes what is otherwise than the servers were told, and names it.
func (o *otherRetention) instead(r postgres.Retention) (_ postgres.Retention, given []string) {
	for _, f := range []struct {
		flag string
		to   *span
		of   *time.Duration
	}{
		{"--keep-versions", o.KeepVersions, &r.Versions}, {"--keep-daily", o.KeepDaily, &r.Daily},
		{"--keep-trash", o.KeepTrash, &r.Trash}, {"--keep-events", o.KeepEvents, &r.Events},
	} {
		if f.to != nil {
			*f.of = time.Duration(*f.to)
			given = append(given, f.flag)
		}
	}
	return r, given
}

// choose is how long a run of gc keeps the past, and why, for people. What no server has told, and no flag
// says, is kept for ever: nobody knows for how long it was meant to be.
func (o *otherRetention) choose(told []postgres.ToldRetention) (r postgres.Retention, why string) {
	r, known := postgres.InForce(told)
	others := "as the servers were told"
	switch {
	case !known:
		r, others = postgres.KeepAll, "since no server of this release has run yet, and said how long"
	case len(told) > 1:
		others = "the longest of what the servers were told"
	}
	r, given := o.instead(r)
	switch len(given) {
	case 0:
		return r, others
	case 4:
		return r, "as " + strings.Join(given, ", ") + " say"
	}
	return r, "as " + strings.Join(given, ", ") + " said; else " + others
}

// announcer tells the database what a server was told to keep, so that commands and other servers know.
type announcer struct {
	ownerURL string
	told     postgres.Retention
	show     func(postgres.Retention) // is told what is in force; may be nil
	log      *slog.Logger

	inForce postgres.Retention // when it was told last
}

// announce tells it, and warns where the servers were told different things.
func (a *announcer) announce(ctx context.Context) error {
	return asKeeper(ctx, a.ownerURL, func(k *postgres.Keeper) error {
		if err := k.TellRetention(ctx, a.told, hostname()); err != nil {
			return err
		}
		all, err := k.Retentions(ctx)
		if err != nil {
			return err
		}
		longest, _ := postgres.InForce(all)
		if longest != a.inForce && len(all) > 1 {
			var others []string
			for _, t := range all {
				others = append(others, fmt.Sprintf("%s (%s, %s)", t.Retention, t.Host, t.Told.UTC().Format(time.RFC3339)))
			}
			a.log.Warn("the servers of this database were told, now or within the last day, to keep the past for different times: the longest of each counts",
				"this", a.told.String(), "in_force", longest.String(), "all", strings.Join(others, "; "))
		}
		a.inForce = longest
		if a.show != nil {
			a.show(longest)
		}
		return nil
	})
}

// every announces about this often until ctx ends.
func (a *announcer) every(ctx context.Context, interval time.Duration) {
	for wait(ctx, interval) {
		if err := a.announce(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("how long the past is kept can't be told", "err", err)
		}
	}
}

// span is a time that may be given in days.
type span time.Duration

const day = 24 * time.Hour

// UnmarshalText reads a number of days, such as 30d, or what
// [time.ParseDuration] reads.
func (s *span) UnmarshalText(b []byte) error {
	text := string(b)
	if number, found := strings.CutSuffix(text, "d"); found {
		if n, err := strconv.ParseUint(number, 10, 16); err == nil {
			*s = span(time.Duration(n) * day)
			return nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a time: use days or hours, such as 30d or 12h", text)
	}
	*s = span(d)
	return nil
}
