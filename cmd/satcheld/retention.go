package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"satchel/storage"
)

// retention is how long the past is kept, as the commands that let it go are
// told.
type retention struct {
	KeepVersions span `setting:"" default:"30d" placeholder:"TIME" help:"Keep every version of a file for so long, such as 12h or 30d (${default})."`
	KeepDaily    span `setting:"" default:"365d" placeholder:"TIME" help:"Then keep the last version of each day for so long, counted from today (${default})."`
	KeepTrash    span `setting:"" default:"30d" placeholder:"TIME" help:"Keep what was deleted for so long (${default})."`
	KeepEvents   span `setting:"" default:"365d" placeholder:"TIME" help:"Keep lines of the audit log for so long; 0 = for ever (${default})."`
}

func (r *retention) policy() storage.Retention {
	return storage.Retention{All: time.Duration(r.KeepVersions), Daily: time.Duration(r.KeepDaily), Trash: time.Duration(r.KeepTrash)}
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
