package server

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/admin"
	"satchel/storage/postgres"
)

// A figure is a list that an admin sees on a page and takes home whole. It is
// read page by page and written as it comes, so that a million lines need no more
// memory than a page.
type figure struct {
	line any // of what type lines are; its JSON names are the columns
	each func(ctx context.Context, s *server, d *admin.Desk, filter url.Values, emit func(any) error) error
}

var figures = map[string]figure{
	"users": {admin.User{}, func(ctx context.Context, s *server, d *admin.Desk, _ url.Values, emit func(any) error) error {
		users, err := d.Users(ctx)
		return emitAll(users, err, emit)
	}},
	"files": {postgres.Metadata{}, func(ctx context.Context, s *server, d *admin.Desk, filter url.Values, emit func(any) error) error {
		q, err := s.metadataQuery(filter)
		q.Limit = maxAdminPage
		for err == nil {
			files, readErr := d.Metadata(ctx, q)
			if err = emitAll(files, readErr, emit); err != nil || nextMetadata(files, q.Limit) == "" {
				break
			}
			last := files[len(files)-1]
			q.AfterDrive, q.AfterNode = last.Drive, last.Node
		}
		return err
	}},
	"events": {postgres.Event{}, func(ctx context.Context, s *server, d *admin.Desk, filter url.Values, emit func(any) error) error {
		q, err := eventQuery(filter)
		q.Limit = maxAdminPage
		for err == nil {
			events, readErr := d.Events(ctx, q)
			if err = emitAll(events, readErr, emit); err != nil || nextEvent(events, q.Limit) == "" {
				break
			}
			last := events[len(events)-1]
			q.Before, q.After = last.Time, last.ID
		}
		return err
	}},
	"sessions": {postgres.LiveSession{}, func(ctx context.Context, s *server, d *admin.Desk, filter url.Values, emit func(any) error) error {
		user, kind, _, _, err := loginFilter(filter)
		if err != nil {
			return err
		}
		logins, err := d.Logins(ctx, user, kind, 1<<30, 0) // in one list: a page's place moves with every request
		return emitAll(logins, err, emit)
	}},
	"bans": {Ban{}, func(ctx context.Context, s *server, d *admin.Desk, _ url.Values, emit func(any) error) error {
		bans, err := d.Bans(ctx)
		for _, b := range bans {
			if err = emit(Ban(b)); err != nil {
				break
			}
		}
		return err
	}},
	"runs": {postgres.Run{}, func(ctx context.Context, s *server, d *admin.Desk, _ url.Values, emit func(any) error) error {
		runs, err := d.Runs(ctx, 1<<30, 0)
		return emitAll(runs, err, emit)
	}},
	"days": {admin.DayUse{}, func(ctx context.Context, s *server, d *admin.Desk, filter url.Values, emit func(any) error) error {
		n, user, err := daysFilter(filter)
		if err != nil {
			return err
		}
		days, err := d.Days(ctx, n, user)
		return emitAll(days, err, emit)
	}},
	"kinds": {admin.KindUse{}, func(ctx context.Context, s *server, d *admin.Desk, filter url.Values, emit func(any) error) error {
		_, user, err := daysFilter(filter)
		if err != nil {
			return err
		}
		kinds, _, err := d.Kinds(ctx, user)
		return emitAll(kinds, err, emit)
	}},
}

func emitAll[T any](lines []T, err error, emit func(any) error) error {
	if err != nil {
		return err
	}
	for _, l := range lines {
		if err := emit(l); err != nil {
			return err
		}
	}
	return nil
}

// exportV1 writes all of a figure.
func (s *server) exportV1(w http.ResponseWriter, r *http.Request) {
	desk, err := s.desk(r)
	if err == nil {
		err = s.export(w, r, desk)
	}
	if err != nil {
		s.problemError(w, r, err)
	}
}

// export writes a figure as the request wants it. An error after the first line
// ends the connection, so that nobody takes a part for the whole.
func (s *server) export(w http.ResponseWriter, r *http.Request, desk *admin.Desk) error {
	name := r.PathValue("figure")
	f, ok := figures[name]
	if !ok {
		return api.Errorf(api.NotFound, "there is no such list")
	}
	format := r.URL.Query().Get("format")
	var out lines
	switch format {
	case "", "csv":
		format, out = "csv", newCSVLines(w, f.line)
		w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	case "json":
		out = &jsonLines{w: w}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	default:
		return api.Errorf(api.Invalid, "the format must be csv or json")
	}
	w.Header().Set("Content-Disposition", contentDisposition("attachment", fmt.Sprintf("satchel-%s-%s.%s", name, time.Now().UTC().Format(time.DateOnly), format)))
	n := 0
	err := f.each(r.Context(), s, desk, r.URL.Query(), func(line any) error {
		n++
		return out.line(line)
	})
	switch {
	case err == nil:
		err = out.end()
	case n == 0:
		return err // nothing is sent yet
	}
	if err != nil {
		s.log.Warn("an export broke off", "figure", name, "lines", n, "err", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// lines writes a list line by line; nothing before the first.
type lines interface {
	line(any) error
	end() error
}

type jsonLines struct {
	w io.Writer
	n int
}

func (j *jsonLines) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	before := ",\n"
	if j.n == 0 {
		before = "[\n"
	}
	j.n++
	_, err = j.w.Write(append([]byte(before), b...))
	return err
}

func (j *jsonLines) end() error {
	text := "\n]\n"
	if j.n == 0 {
		text = "[]\n"
	}
	_, err := io.WriteString(j.w, text)
	return err
}

// csvLines writes RFC 4180's CSV.
type csvLines struct {
	w      *csv.Writer
	fields []int // of the line's type
	header []string
	began  bool
}

func newCSVLines(w io.Writer, like any) *csvLines {
	c := &csvLines{w: csv.NewWriter(w)}
	c.w.UseCRLF = true
	t := reflect.TypeOf(like)
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "-" && name != "" {
			c.fields, c.header = append(c.fields, i), append(c.header, name)
		}
	}
	return c
}

func (c *csvLines) line(v any) error {
	if err := c.begin(); err != nil {
		return err
	}
	value := reflect.ValueOf(v)
	cells := make([]string, len(c.fields))
	for i, f := range c.fields {
		cells[i] = cell(value.Field(f))
	}
	return c.w.Write(cells)
}

func (c *csvLines) begin() error {
	if c.began {
		return nil
	}
	c.began = true
	return c.w.Write(c.header)
}

func (c *csvLines) end() error {
	if err := c.begin(); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

// cell is a value as text. Text that a spreadsheet would take for a formula gets an
// apostrophe before it, which makes it text there (OWASP, CSV Injection): names of files
// are chosen by people whom whoever opens the list need not trust.
func cell(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case time.Time:
		return x.UTC().Format(time.RFC3339)
	case json.RawMessage:
		return string(x) // an object, so it begins with a brace
	case fmt.Stringer:
		return x.String()
	}
	if v.Kind() != reflect.String {
		return fmt.Sprint(v.Interface())
	}
	text := v.String()
	if trimmed := strings.TrimLeft(text, " \u00a0\ufeff"); trimmed != "" && strings.ContainsRune("=+-@\t\r\n|%＝＋－＠", []rune(trimmed)[0]) {
		return "'" + text
	}
	return text
}
