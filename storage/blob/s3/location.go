package s3

import (
	"net/url"
	"strings"

	"satchel/api"
)

// Location is where objects are kept:
//
//	s3://BUCKET/PREFIX?endpoint=URL&region=NAME
//
// Prefix, endpoint and region may be left out. Without an endpoint it is AWS,
// or what AWS's own configuration names.
type Location struct {
	Bucket   string
	Prefix   string // "" or ends in "/"
	Endpoint string // http or https URL; buckets are then part of the path
	Region   string
}

// Parse reads a location. What is wrong with it is [api.Invalid].
func Parse(s string) (Location, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return Location{}, api.Errorf(api.Invalid, "it can't be read: %w", err)
	case u.Scheme != "s3" || u.Opaque != "" || u.Fragment != "":
		return Location{}, api.Errorf(api.Invalid, "it is not of the form s3://BUCKET/PREFIX?endpoint=URL&region=NAME")
	case u.User != nil:
		return Location{}, api.Errorf(api.Invalid, "credentials don't belong here: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile")
	case len(u.Host) < 3 || u.Port() != "":
		return Location{}, api.Errorf(api.Invalid, "%q is not a bucket's name", u.Host)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Location{}, api.Errorf(api.Invalid, "it can't be read: %w", err)
	}
	l := Location{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	if l.Prefix != "" {
		l.Prefix += "/"
	}
	for name, values := range query {
		switch {
		case len(values) != 1 || values[0] == "":
			return Location{}, api.Errorf(api.Invalid, "%s must be given once, with a value", name)
		case name == "region":
			l.Region = values[0]
		case name == "endpoint":
			e, err := url.Parse(values[0])
			if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.RawQuery != "" || e.User != nil {
				return Location{}, api.Errorf(api.Invalid, "endpoint=%s is not a URL like https://s3.example.org", values[0])
			}
			l.Endpoint = values[0]
		default:
			return Location{}, api.Errorf(api.Invalid, "it has no parameter %q; there are endpoint and region", name)
		}
	}
	return l, nil
}

// Same tells whether two locations are one place, however they are written.
// Names of a host that only the network knows to be one's are not found out.
func (l Location) Same(other Location) bool {
	return l.Bucket == other.Bucket && l.Prefix == other.Prefix && l.host() == other.host()
}

// host is the endpoint as far as it tells of a place; "" is AWS, whose buckets'
// names are good for all regions.
func (l Location) host() string {
	e, err := url.Parse(l.Endpoint)
	if err != nil || strings.HasSuffix(strings.ToLower(e.Hostname()), ".amazonaws.com") {
		return ""
	}
	host := strings.ToLower(e.Host)
	host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[e.Scheme])
	return host + strings.TrimRight(e.Path, "/")
}

// String is the location for messages.
func (l Location) String() string {
	s := "s3://" + l.Bucket + "/" + l.Prefix
	if l.Endpoint != "" {
		s += " at " + l.Endpoint
	}
	return s
}
