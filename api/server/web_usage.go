package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"satchel/api"
	"satchel/api/admin"
	"satchel/api/auth"
	"satchel/api/web"
)

var dayOptions = []web.Option{{Value: "7", Label: "a week"}, {Value: "30", Label: "30 days"}, {Value: "90", Label: "90 days"}, {Value: "365", Label: "a year"}, {Value: "730", Label: "two years"}}

// mostBars is how many accounts a drawing shows; the table has all.
const mostBars = 20

func (s *server) webUsage(w http.ResponseWriter, r *http.Request, id auth.Identity, desk *admin.Desk) error {
	days, user, err := daysFilter(r.URL.Query())
	if err != nil {
		return err
	}
	users, err := desk.Users(r.Context())
	if err != nil {
		return err
	}
	charts, err := s.charts(r, desk, days, user)
	if err != nil {
		return err
	}
	chosen := ""
	if !user.IsZero() {
		chosen = user.String()
	}
	v := web.UsagePage{
		Page:   pageOf(id, "Usage", "usage"),
		Filter: []web.Field{{Name: "days", Label: "Time", Type: "select", Value: strconv.Itoa(days), Options: dayOptions}, {Name: "user", Label: "Whose", Type: "select", Value: chosen, Options: people(users, true)}},
		Charts: charts,
	}
	sum := admin.User{}
	for _, u := range users {
		sum.Files, sum.Bytes, sum.Stored = sum.Files+u.Files, sum.Bytes+u.Bytes, sum.Stored+u.Stored
	}
	v.Facts = []web.Option{{Label: "Accounts", Value: strconv.Itoa(len(users))}, {Label: "Files", Value: fmt.Sprintf("%d, %s", sum.Files, web.Bytes(sum.Bytes))},
		{Label: "With history and trash", Value: web.Bytes(sum.Stored)}}
	if user.IsZero() {
		v.Charts = append([]web.Chart{perUser(users)}, charts...)
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}

func plainNumber(n int64) string { return strconv.FormatInt(n, 10) }

// perUser shows who stores how much.
func perUser(users []admin.User) web.Chart {
	users = slices.Clone(users)
	slices.SortStableFunc(users, func(a, b admin.User) int { return int(min(max(b.Stored-a.Stored, -1), 1)) })
	c := web.Chart{ID: "per-user", Title: "Stored per account", Exports: exports("users", nil),
		Columns: []web.Column{{Label: "Account"}, {Label: "Files", Number: true}, {Label: "Current", Number: true}, {Label: "With history and trash", Number: true}}}
	var bars []web.Bar
	for _, u := range users {
		if u.Role != auth.Editor && u.Stored == 0 {
			continue
		}
		c.Rows = append(c.Rows, []string{u.Email, plainNumber(u.Files), web.Bytes(u.Bytes), web.Bytes(u.Stored)})
		if len(bars) < mostBars {
			bars = append(bars, web.Bar{Label: u.Email, Value: u.Stored, Text: web.Bytes(u.Stored)})
		}
	}
	if len(bars) == 0 {
		c.Empty = "There is no account with a drive yet."
		return c
	}
	c.Summary = fmt.Sprintf("%s stores the most: %s, with history and trash.", bars[0].Label, bars[0].Text)
	if len(c.Rows) > len(bars) {
		c.Summary += fmt.Sprintf(" The %d who store most are drawn; the table has all %d.", len(bars), len(c.Rows))
	}
	c.SVG = web.Bars(c.ID, c.Title, c.Summary, bars)
	return c
}

// charts are what days and kinds show, of one account or of all.
func (s *server) charts(r *http.Request, desk *admin.Desk, days int, user api.ID) ([]web.Chart, error) {
	use, err := desk.Days(r.Context(), days, user)
	if err != nil {
		return nil, err
	}
	filter := url.Values{"days": {strconv.Itoa(days)}}
	if !user.IsZero() {
		filter.Set("user", user.String())
	}
	var added, stored, changes []web.Bar
	var sumAdded, sumChanges int64
	rows := make([][]string, len(use))
	for i, d := range use {
		added = append(added, web.Bar{Label: d.Day, Value: d.Added, Text: web.Bytes(d.Added)})
		stored = append(stored, web.Bar{Label: d.Day, Value: d.Stored, Text: web.Bytes(d.Stored)})
		changes = append(changes, web.Bar{Label: d.Day, Value: d.Changes, Text: plainNumber(d.Changes)})
		rows[len(use)-1-i] = []string{d.Day, plainNumber(d.Changes), web.Bytes(d.Added), web.Bytes(d.Removed), web.Bytes(d.Stored)}
		sumAdded, sumChanges = sumAdded+d.Added, sumChanges+d.Changes
	}
	columns := []web.Column{{Label: "Day"}, {Label: "Changes", Number: true}, {Label: "Added", Number: true}, {Label: "Let go", Number: true}, {Label: "Stored", Number: true}}
	figure := func(id, title, summary string) web.Chart {
		return web.Chart{ID: id, Title: title, Summary: summary, Columns: columns, Rows: rows, Exports: exports("days", filter)}
	}
	span := fmt.Sprintf("from %s to %s (UTC)", use[0].Day, use[len(use)-1].Day)
	over := figure("stored", "Stored over time", fmt.Sprintf("%s at the beginning and %s now, with history and trash, %s.", stored[0].Text, stored[len(stored)-1].Text, span))
	over.SVG = web.Area(over.ID, over.Title, over.Summary, stored, web.Bytes)
	daily := figure("added", "Added per day", fmt.Sprintf("%s of new versions in all, %s.", web.Bytes(sumAdded), span))
	daily.SVG = web.Columns(daily.ID, daily.Title, daily.Summary, added, web.Bytes)
	activity := figure("changes", "Changes per day", fmt.Sprintf("%d changes in all, %s.", sumChanges, span))
	activity.SVG = web.Columns(activity.ID, activity.Title, activity.Summary, changes, plainNumber)
	kinds, err := s.perKind(r, desk, user, filter)
	return []web.Chart{over, daily, activity, kinds}, err
}

// perKind shows what kinds of files there are.
func (s *server) perKind(r *http.Request, desk *admin.Desk, user api.ID, filter url.Values) (web.Chart, error) {
	kinds, at, err := desk.Kinds(r.Context(), user)
	if err != nil {
		return web.Chart{}, err
	}
	c := web.Chart{ID: "kinds", Title: "Kinds of files", Exports: exports("kinds", filter),
		Columns: []web.Column{{Label: "Kind"}, {Label: "Files", Number: true}, {Label: "Bytes", Number: true}}}
	switch {
	case at.IsZero():
		c.Empty, c.Exports = "The files are not counted yet: that is done when the server starts, and whenever garbage is collected.", nil
		return c, nil
	case len(kinds) == 0:
		c.Empty = "There were no files when they were counted, " + at.UTC().Format("2006-01-02 15:04") + " UTC."
		return c, nil
	}
	var bars []web.Bar
	for _, k := range kinds {
		c.Rows = append(c.Rows, []string{k.Kind, plainNumber(k.Files), web.Bytes(k.Bytes)})
		bars = append(bars, web.Bar{Label: k.Kind, Value: k.Bytes, Text: web.Bytes(k.Bytes)})
	}
	c.Summary = fmt.Sprintf("%s take the most: %s. Counted %s UTC.", kinds[0].Kind, bars[0].Text, at.UTC().Format("2006-01-02 15:04"))
	c.SVG = web.Bars(c.ID, c.Title, c.Summary, bars)
	return c, nil
}
