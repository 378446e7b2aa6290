package server

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/admin"
	"satchel/storage/postgres"
)

// adminPage is how many lines a page of an admin's list has, unless it is asked for others.
const (
	adminPage    = 200
	maxAdminPage = 1000
)

// filter reads what a request's query says. The first thing that is wrong with it stays.
type filter struct {
	values url.Values
	err    error
}

func (f *filter) fail(name, want string) {
	if f.err == nil {
		f.err = api.Errorf(api.Invalid, "%s must be %s", name, want)
	}
}

func (f *filter) text(name string) string {
	s := strings.TrimSpace(f.values.Get(name))
	if strings.ContainsRune(s, 0) || len(s) > 1000 {
		f.fail(name, "text of at most 1000 bytes")
		return ""
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

func (f *filter) id(name string) (id api.ID) {
	if s := f.text(name); s != "" {
		var err error
		if id, err = api.ParseID(s); err != nil {
			f.fail(name, "an id")
		}
	}
	return id
}

func (f *filter) number(name string, least, most int64) int64 {
	s := f.text(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < least || n > most {
		f.fail(name, "a number from "+strconv.FormatInt(least, 10)+" to "+strconv.FormatInt(most, 10))
	}
	return n
}

// size reads bytes, or a number with a unit as people write it: 20 MB, 1.5G.
func (f *filter) size(name string) int64 {
	s := strings.ToUpper(strings.ReplaceAll(f.text(name), " ", ""))
	n, err := parseSize(s)
	if err != nil {
		f.fail(name, "a size, such as 500 or 20 MB")
	}
	return n
}

// parseSize reads what [web.Bytes] writes; "" is 0.
func parseSize(s string) (int64, error) {
	s = strings.TrimSuffix(strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(s), " ", "")), "B")
	if s == "" {
		return 0, nil
	}
	unit := 1.0
	if i := strings.IndexByte("KMGTPE", s[len(s)-1]); i >= 0 {
		unit = math.Pow(1000, float64(i+1))
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0 && n*unit < math.MaxInt64) {
		return 0, api.Errorf(api.Invalid, "%.50q is not a size: use a number of bytes, or one such as 20 MB", s)
	}
	return int64(n * unit), nil
}

// time reads a day (of which it is the begin) or a time (RFC 3339).
func (f *filter) time(name string) time.Time {
	s := f.text(name)
	if s == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 1 && t.Year() < 2200 {
			return t
		}
	}
	f.fail(name, "a day such as 2006-01-02, or a time such as 2006-01-02T15:04:05Z")
	return time.Time{}
}

// until is time, but a day's end.
func (f *filter) until(name string) time.Time {
	t := f.time(name)
	if !t.IsZero() && len(f.text(name)) == len(time.DateOnly) {
		t = t.AddDate(0, 0, 1)
	}
	return t
}

func (f *filter) limit() int {
	if n := int(f.number("limit", 1, maxAdminPage)); n > 0 {
		return n
	}
	return adminPage
}

// cursor splits what nextMetadata and nextEvent wrote.
func (f *filter) cursor() (before, after string) {
	s := f.text("after")
	if s == "" {
		return "", ""
	}
	before, after, ok := strings.Cut(s, "~")
	if !ok {
		f.fail("after", "what the page before said")
	}
	return before, after
}

func (s *server) metadataQuery(values url.Values) (q postgres.MetadataQuery, err error) {
	f := &filter{values: values}
	q = postgres.MetadataQuery{
		Owner: f.id("owner"), Name: f.text("name"), MinSize: f.size("min"), MaxSize: f.size("max"),
		Since: f.time("since"), Until: f.until("until"), Limit: f.limit(),
	}
	if kind := f.text("kind"); kind != "" {
		if q.Extensions = s.admin.ExtensionsOf(kind); q.Extensions == nil {
			f.fail("kind", "one of those that there are")
		}
	}
	if drive, node := f.cursor(); drive != "" {
		if q.AfterDrive, err = api.ParseID(drive); err == nil {
			q.AfterNode, err = api.ParseID(node)
		}
		if err != nil {
			f.fail("after", "what the page before said")
		}
	}
	return q, f.err
}

// nextMetadata is the cursor of the page after some files; "" when there can be none.
func nextMetadata(files []postgres.Metadata, limit int) string {
	if len(files) < limit {
		return ""
	}
	last := files[len(files)-1]
	return last.Drive.String() + "~" + last.Node.String()
}

func eventQuery(values url.Values) (q postgres.EventQuery, err error) {
	f := &filter{values: values}
	q = postgres.EventQuery{Action: f.text("action"), Actor: f.text("actor"), Text: f.text("subject"), Since: f.time("since"), Until: f.until("until"), Limit: f.limit()}
	if before, after := f.cursor(); before != "" {
		q.Before, err = time.Parse(time.RFC3339Nano, before)
		if err == nil {
			q.After, err = api.ParseID(after)
		}
		if err != nil {
			f.fail("after", "what the page before said")
		}
	}
	return q, f.err
}

func nextEvent(events []postgres.Event, limit int) string {
	if len(events) < limit {
		return ""
	}
	last := events[len(events)-1]
	return last.Time.UTC().Format(time.RFC3339Nano) + "~" + last.ID.String()
}

// loginKinds are those of sessions.
var loginKinds = map[string]bool{"": true, "device": true, "browser": true, "app": true, "key": true}

func loginFilter(values url.Values) (user api.ID, kind string, limit, offset int, err error) {
	f := &filter{values: values}
	user, kind, limit, offset = f.id("user"), f.text("kind"), f.limit(), int(f.number("from", 0, 1<<30))
	if !loginKinds[kind] {
		f.fail("kind", "device, browser, app or key")
	}
	return user, kind, limit, offset, f.err
}

// figureDays is how many days a chart has unless it is asked for others.
const figureDays = 30

func daysFilter(values url.Values) (days int, user api.ID, err error) {
	f := &filter{values: values}
	days, user = int(f.number("days", 1, admin.MaxDays)), f.id("user")
	if days == 0 {
		days = figureDays
	}
	return days, user, f.err
}
