package serve

import (
	"net/http"
	"strings"
	"time"

	"satchel/api"
)

// Conditions are what a request holds its change of a file to (RFC 9110 section 13.1): If-Match, If-None-Match and
// If-Unmodified-Since.
type Conditions struct {
	match, none string
	since       time.Time
}

// ConditionsOf reads the conditions of a request that changes something.
func ConditionsOf(h http.Header) (c Conditions) {
	c.match, c.none = strings.Join(h.Values("If-Match"), ","), strings.Join(h.Values("If-None-Match"), ",")
	if c.match == "" { // it says more than a date
		c.since, _ = http.ParseTime(h.Get("If-Unmodified-Since"))
	}
	return c
}

// None tells that there are no conditions.
func (c Conditions) None() bool { return c == Conditions{} }

// Dated tells whether one of them is about the time of a change.
func (c Conditions) Dated() bool { return !c.since.IsZero() }

// Present is what is there when a request comes to change it.
type Present struct {
	ETag     string // in quotes; "" if it has none
	Modified time.Time
}

// Hold is [api.Conflict] unless the conditions hold for what is there, which is nil when nothing is.
func (c Conditions) Hold(p *Present) error {
	switch {
	case c.match != "" && !p.is(c.match, func(tag string) string { return tag }),
		c.Dated() && p != nil && p.Modified.Truncate(time.Second).After(c.since):
		return api.Errorf(api.Conflict, "the file is another one by now")
	case c.none != "" && p.is(c.none, func(tag string) string { return strings.TrimPrefix(tag, "W/") }):
		return api.Errorf(api.Conflict, "there is such a file already")
	}
	return nil
}

// is tells whether a list of entity tags has that of what is there, or is for anything. compared is what of a tag
// counts: a weak one is as good as a strong one where something must be another (RFC 9110 section 8.8.3.2).
func (p *Present) is(tags string, compared func(string) string) bool {
	for tag := range strings.SplitSeq(tags, ",") {
		if tag = strings.TrimSpace(tag); p != nil && (tag == "*" || tag != "" && compared(tag) == p.ETag) {
			return true
		}
	}
	return false
}

// Whole refuses a body that is a part of a file (RFC 9110 section 14.5).
func Whole(h http.Header) error {
	if h.Get("Content-Range") != "" {
		return api.Errorf(api.Invalid, "a part of a file can't be written: send all of it, without Content-Range")
	}
	return nil
}
