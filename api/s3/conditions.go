package s3

import (
	"net/http"
	"strings"
	"time"

	"satchel/api"
	"satchel/storage"
)

// conditions are what a change asks of the object that its key has by then: If-Match and
// If-None-Match, "" where nothing is asked.
type conditions struct{ match, none string }

func (q *request) conditions() conditions {
	h := q.r.Header
	return conditions{strings.Join(h.Values("If-Match"), ","), strings.Join(h.Values("If-None-Match"), ",")}
}

// check holds a change to the conditions where nobody else can come in between; it is nil
// if there are none.
func (c conditions) check() func(*api.Node, storage.Object) error {
	if c == (conditions{}) {
		return nil
	}
	return c.hold
}

// hold is an error unless the conditions are true of a key's object, of which the node is nil if there is none.
func (c conditions) hold(old *api.Node, object storage.Object) error {
	tag := ""
	if old != nil {
		tag = etag(old, object)
	}
	if c.match != "" && (old == nil || !lists(c.match, tag)) || c.none != "" && old != nil && lists(c.none, tag) {
		return refuse(http.StatusPreconditionFailed, "PreconditionFailed", "the key has another object, or none")
	}
	return nil
}

// lists tells whether a list of entity tags, with or without quotes, has a tag; * stands for any.
func lists(tags, tag string) bool {
	for t := range strings.SplitSeq(tags, ",") {
		if t = strings.TrimSpace(t); t == "*" || strings.Trim(t, `"`) == strings.Trim(tag, `"`) {
			return true
		}
	}
	return false
}

// sourceHolds holds the source of a copy to the conditions of the request, of which
// those by tag decide over those by time, as with GET (RFC 9110 section 13.2.2).
func (q *request) sourceHolds(n *api.Node, object storage.Object) error {
	const prefix = "X-Amz-Copy-Source-If-"
	tagged := func(name string) (given, same bool) {
		tag := q.r.Header.Get(prefix + name)
		return tag != "", lists(tag, object.ETag)
	}
	changedSince := func(name string) (given, changed bool) {
		at, err := http.ParseTime(q.r.Header.Get(prefix + name))
		return err == nil, time.Unix(0, n.Mtime).Truncate(time.Second).After(at)
	}
	match, same := tagged("Match")
	none, unwanted := tagged("None-Match")
	until, late := changedSince("Unmodified-Since")
	since, changed := changedSince("Modified-Since")
	if match && !same || none && unwanted || !match && until && late || !none && since && !changed {
		return refuse(http.StatusPreconditionFailed, "PreconditionFailed", "the source is not the object that is wanted")
	}
	return nil
}
