package storage

import (
	"regexp"
	"slices"
	"strings"

	"satchel/api"
)

// decidedActions are the actions that policies decide about here.
var decidedActions = []string{
	"AbortMultipartUpload", "DeleteObject", "GetBucketAcl", "GetBucketLocation", "GetBucketVersioning", "GetObject", "GetObjectAcl",
	"ListBucket", "ListBucketMultipartUploads", "ListMultipartUploadParts", "PutObject",
}

// absentActions are actions of S3 that nobody can do here. Policies made for S3 name them beside
// those above, and whatever is said of them is true.
var absentActions = []string{
	"BypassGovernanceRetention", "DeleteObjectTagging", "DeleteObjectVersion", "DeleteObjectVersionTagging", "GetObjectAttributes", "GetObjectLegalHold",
	"GetObjectRetention", "GetObjectTagging", "GetObjectTorrent", "GetObjectVersion", "GetObjectVersionAcl", "GetObjectVersionAttributes",
	"GetObjectVersionTagging", "GetObjectVersionTorrent", "ListBucketVersions", "PutBucketAcl", "PutObjectAcl", "PutObjectLegalHold", "PutObjectRetention",
	"PutObjectTagging", "PutObjectVersionAcl", "PutObjectVersionTagging", "RestoreObject",
}

// actionPatterns are the patterns that an action of a policy is in the database, which tells
// upper case from lower, as S3 does not: a known action as S3 writes it, and beside what has * or ? the
// known ones that it means and, as it is written, does not match.
func actionPatterns(action string) ([]string, error) {
	if action == "*" {
		return []string{like(action)}, nil
	}
	service, name, _ := strings.Cut(action, ":")
	if !strings.EqualFold(service, "s3") {
		return nil, api.Errorf(api.Invalid, "the policy's action %q is not of s3", action)
	}
	known := slices.Concat(decidedActions, absentActions)
	if !strings.ContainsAny(name, "*?") {
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, name) })
		if i < 0 {
			return nil, api.Errorf(api.Invalid, "no policy decides about the action %q here, but about %s", action, strings.Join(decidedActions, ", "))
		}
		return []string{like("s3:" + known[i])}, nil
	}
	patterns := []string{like("s3:" + name)}
	written, meant := glob("", name), glob("(?i)", name)
	for _, k := range known {
		if meant.MatchString(k) && !written.MatchString(k) {
			patterns = append(patterns, like("s3:"+k))
		}
	}
	return patterns, nil
}

// glob matches what a policy's pattern (* and ?) does.
func glob(flags, pattern string) *regexp.Regexp {
	return regexp.MustCompile(flags + "^" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern)) + "$")
}
