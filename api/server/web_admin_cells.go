package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/web"
	"satchel/storage/postgres"
)

// What admins' lists have in their cells.

// when is a cell with a time.
func when(t time.Time) web.Cell {
	return web.Cell{Text: t.UTC().Format("2006-01-02 15:04"), Time: t.UTC().Format(time.RFC3339)}
}

func text(s string) web.Cell { return web.Cell{Text: s} }

func count(n int64) web.Cell { return web.Cell{Text: strconv.FormatInt(n, 10)} }

// detail is a JSON object as names and values for people, in the order of the names.
// Ids, and what is nothing, are for the exports.
func detail(object json.RawMessage) []web.Option {
	var values map[string]any
	if json.Unmarshal(object, &values) != nil {
		return nil
	}
	var all []web.Option
	for name, v := range values {
		said := ""
		switch x := v.(type) {
		case []any:
			said = strconv.Itoa(len(x))
		case float64:
			said = quantity(name, x)
		case string:
			if _, err := api.ParseID(x); err != nil {
				said = x
			}
			if name == "name" {
				said = loginName(fmt.Sprint(values["kind"]), x)
			}
		case bool:
			if x {
				said = "yes"
			}
		}
		if said != "" && said != "0" {
			all = append(all, web.Option{Label: strings.ReplaceAll(name, "_", " "), Value: said})
		}
	}
	slices.SortFunc(all, func(a, b web.Option) int { return strings.Compare(a.Label, b.Label) })
	return all
}

// loginName is what a session is called: a browser says more of itself than its name.
func loginName(kind, name string) string {
	if kind == "browser" {
		return auth.BrowserName(name)
	}
	return name
}

// quantity is a number of the log or of a report, as what its name says that it is.
func quantity(name string, n float64) string {
	quota := name == "quota" || name == "from" || name == "to"
	switch {
	case n == 0 && quota:
		return "none"
	case n == 0:
		return ""
	case name == "seconds":
		return strconv.FormatFloat(n, 'f', 1, 64)
	case quota || strings.HasSuffix(name, "bytes"):
		return web.Bytes(int64(n))
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}

// retentionText says how long the past is kept.
func retentionText(told []postgres.ToldRetention) string {
	r, known := postgres.InForce(told)
	if !known {
		return ""
	}
	text := fmt.Sprintf("Every version of a file is kept %s, then the last of each day %s, what was deleted %s, the audit log %s.",
		keptFor(r.Versions), keptFor(r.Daily), keptFor(r.Trash), keptFor(r.EventsKept()))
	if len(told) > 1 {
		text += " The servers were told different times, now or within the last day: these are the longest of each."
	}
	return text
}

func keptFor(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == postgres.Forever:
		return "for ever"
	case d == day:
		return "for a day"
	case d%day == 0:
		return fmt.Sprintf("for %d days", d/day)
	}
	return "for " + d.String()
}

func runCells(run postgres.Run) []web.Cell {
	name := text(run.Kind)
	switch {
	case run.Deep:
		name.Badge = "deep"
	case run.Repair:
		name.Badge = "repair"
	}
	by := run.Actor
	if by == "" {
		by = map[string]string{"command": "a command", "server": "the server", "request": "an admin who is gone"}[run.Via]
	}
	result, ended := web.Cell{}, web.Cell{}
	switch {
	case run.Finished != nil && run.Failure != "":
		result, ended = web.Cell{Text: run.Failure, Badge: "failed", Detail: detail(run.Report)}, when(*run.Finished)
	case run.Finished != nil:
		result, ended = web.Cell{Text: "done", Detail: detail(run.Report)}, when(*run.Finished)
	case run.Live():
		result = web.Cell{Text: run.Step, Done: run.Done, Total: run.Total, Badge: "at work"}
	default:
		result = web.Cell{Text: "told nothing since " + run.Touched.UTC().Format("2006-01-02 15:04"), Badge: "died"}
	}
	return []web.Cell{name, result, text(by), text(run.Host), when(run.Started), ended}
}
