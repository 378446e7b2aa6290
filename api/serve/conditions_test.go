package serve_test

import (
	"net/http"
	"testing"
	"time"

	"satchel/api"
	"satchel/api/serve"
)

func TestConditions(t *testing.T) {
	at := time.Date(2026, 11, 30, 8, 0, 0, 5e8, time.UTC)
	date := func(d time.Duration) string { return at.Add(d).Format(http.TimeFormat) }
	file := &serve.Present{ETag: `"a"`, Modified: at}
	directory := &serve.Present{Modified: at}
	for _, tt := range []struct {
		header  http.Header
		present *serve.Present
		holds   bool
	}{
		{http.Header{}, nil, true},
		{http.Header{"If-Match": {`"a"`}}, file, true},
		{http.Header{"If-Match": {`"b" ,"a"`}}, file, true},
		{http.Header{"If-Match": {`"b"`, `"a"`}}, file, true},
		{http.Header{"If-Match": {`"b"`}}, file, false},
		{http.Header{"If-Match": {`W/"a"`}}, file, false}, // weak tags are of no use here
		{http.Header{"If-Match": {`*`}}, file, true},
		{http.Header{"If-Match": {`*`}}, nil, false},
		{http.Header{"If-Match": {`"a"`}}, nil, false},
		{http.Header{"If-Match": {`*`}}, directory, true},
		{http.Header{"If-Match": {`"b",`}}, directory, false},
		{http.Header{"If-None-Match": {`*`}}, nil, true},
		{http.Header{"If-None-Match": {`*`}}, file, false},
		{http.Header{"If-None-Match": {`"b"`}}, file, true},
		{http.Header{"If-None-Match": {`"b", W/"a"`}}, file, false},
		{http.Header{"If-Unmodified-Since": {date(0)}}, file, true}, // a date has no fractions
		{http.Header{"If-Unmodified-Since": {date(-time.Second)}}, file, false},
		{http.Header{"If-Unmodified-Since": {date(-time.Second)}}, nil, true},
		{http.Header{"If-Unmodified-Since": {"yesterday"}}, file, true},
		{http.Header{"If-Unmodified-Since": {date(-time.Second)}, "If-Match": {`"a"`}}, file, true},
	} {
		c := serve.ConditionsOf(tt.header)
		if err := c.Hold(tt.present); (err == nil) != tt.holds || err != nil && api.KindOf(err) != api.Conflict {
			t.Errorf("%v of %v: %v", tt.header, tt.present, err)
		}
		if sent := len(tt.header) > 0 && tt.header.Get("If-Unmodified-Since") != "yesterday"; c.None() == sent {
			t.Errorf("%v is taken for none: %t", tt.header, c.None())
		}
	}
}
