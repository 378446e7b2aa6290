package storage

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"satchel/api"
)

// maxPolicy is the largest policy in bytes, as with S3.
const maxPolicy = 20 << 10

// statement is one of a policy's. Members that it does not have (Condition,
// NotAction and the like) would change what it means, so they are refused.
type statement struct {
	Sid       string          `json:"Sid"`
	Effect    string          `json:"Effect"`
	Principal json.RawMessage `json:"Principal"`
	Action    oneOrMore       `json:"Action"`
	Resource  oneOrMore       `json:"Resource"`
}

// oneOrMore is a string or a list of them.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(o))
	}
	*o = make([]string, 1)
	return json.Unmarshal(b, &(*o)[0])
}

// parsePolicy turns a bucket's policy into rules that the database can match.
// Principals are "*", or users by id, address or access key, also as
// arn:aws:iam:::user/NAME.
func parsePolicy(policy json.RawMessage, bucket string) ([]Rule, error) {
	var doc struct {
		Version   string
		ID        string `json:"Id"`
		Statement json.RawMessage
	}
	if len(policy) > maxPolicy {
		return nil, api.Errorf(api.Invalid, "the policy has more than %d bytes", maxPolicy)
	}
	if err := strict(policy, &doc); err != nil {
		return nil, err
	}
	var statements []statement
	if s := bytes.TrimSpace(doc.Statement); len(s) > 0 && s[0] == '{' {
		statements = make([]statement, 1)
		if err := strict(s, &statements[0]); err != nil {
			return nil, err
		}
	} else if err := strict(s, &statements); err != nil {
		return nil, err
	}
	var rules []Rule
	for _, s := range statements {
		r := Rule{Effect: s.Effect}
		if s.Effect != "Allow" && s.Effect != "Deny" {
			return nil, api.Errorf(api.Invalid, "the policy's effect %q is neither Allow nor Deny", s.Effect)
		}
		names, err := principals(s.Principal)
		if err != nil {
			return nil, err
		}
		r.Principals = names
		for _, a := range s.Action {
			patterns, err := actionPatterns(a)
			if err != nil {
				return nil, err
			}
			r.Actions = append(r.Actions, patterns...)
		}
		slices.Sort(r.Actions)
		r.Actions = slices.Compact(r.Actions)
		arn := "arn:aws:s3:::" + bucket
		for _, res := range s.Resource {
			if res != arn && !strings.HasPrefix(res, arn+"/") {
				return nil, api.Errorf(api.Invalid, "the policy's resource %q is neither %s nor in it", res, arn)
			}
			if strings.Contains(res, "${") {
				return nil, api.Errorf(api.Invalid, "the policy's resource %q has a variable, which nothing is put in the place of here", res)
			}
			r.Resources = append(r.Resources, like(res))
		}
		if len(r.Principals) == 0 || len(r.Actions) == 0 || len(r.Resources) == 0 {
			return nil, api.Errorf(api.Invalid, "a statement of the policy lacks a principal, an action or a resource")
		}
		rules = append(rules, r)
	}
	if len(rules) == 0 {
		return nil, api.Errorf(api.Invalid, "the policy has no statement")
	}
	return rules, nil
}

func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil && !json.Valid(b) {
		err = errors.New("there is something behind its end")
	}
	if err != nil {
		return api.Errorf(api.Invalid, "the policy is not JSON of the form that is enforced here: %w", err)
	}
	return nil
}

func principals(b json.RawMessage) ([]string, error) {
	var by struct{ AWS oneOrMore }
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] == '"' {
		by.AWS = make(oneOrMore, 1)
		if err := json.Unmarshal(b, &by.AWS[0]); err != nil || by.AWS[0] != "*" {
			return nil, api.Errorf(api.Invalid, `the policy's principal must be "*" or {"AWS": …}`)
		}
	} else if err := strict(b, &by); err != nil {
		return nil, err
	}
	names := make([]string, len(by.AWS))
	for i, p := range by.AWS {
		if strings.HasPrefix(p, "arn:") {
			if _, p, _ = strings.Cut(p, ":user/"); p == "*" {
				p = "" // no user, and not everyone
			}
		}
		if strings.Contains(p, "@") || strings.Contains(p, "-") {
			p = strings.ToLower(p) // an address, or an id
		}
		if names[i] = p; p == "" {
			return nil, api.Errorf(api.Invalid, "the policy's principal %q names no user", by.AWS[i])
		}
	}
	return names, nil
}

// like turns a policy's pattern (* and ?) into one of SQL's LIKE.
func like(pattern string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, `*`, `%`, `?`, `_`).Replace(pattern)
}
