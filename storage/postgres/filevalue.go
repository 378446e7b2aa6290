package postgres

import (
	"strconv"
	"strings"
	"time"

	"satchel/api"
)

// The parsers turn a filter's value, as it stands in a URL, into a parameter.
// Their errors are of kind [api.Invalid].

func parseID(s string) (any, error) {
	id, err := api.ParseID(s)
	return id, err
}

func parseText(s string) (any, error) {
	if strings.ContainsRune(s, 0) || s != strings.ToValidUTF8(s, "") {
		return nil, api.Errorf(api.Invalid, "%q is not text", s)
	}
	return s, nil
}

func parseSize(s string) (any, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil, api.Errorf(api.Invalid, "%q is not a number of bytes", s)
	}
	return n, nil
}

func parseTime(s string) (any, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return nil, api.Errorf(api.Invalid, "%q is not a time", s)
}

func parseNanoseconds(s string) (any, error) {
	t, err := parseTime(s)
	if err != nil {
		return nil, err
	}
	return t.(time.Time).UnixNano(), nil
}
