package storage

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"satchel/api"
)

// A policy that is accepted can be stored as it is, and its rules are about its
// bucket only.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte(`{"Version":"2012-10-17","Statement":[{"Sid":"s","Effect":"Allow","Principal":{"AWS":["arn:aws:iam:::user/A@b.c","k"]},"Action":["s3:GetObject","s3:*"],"Resource":"arn:aws:s3:::b/*"}]}`))
	f.Add([]byte(`{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/x?%_\\"]}}`))
	f.Add([]byte(`{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"arn:aws:s3:::b"}} behind`))
	f.Add([]byte(`{"Id":"\u0000","Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"arn:aws:s3:::b"}}`))
	f.Add([]byte(`{"Statement":[{"Condition":{}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		rules, err := parsePolicy(b, "b")
		if err != nil {
			if api.KindOf(err) != api.Invalid {
				t.Fatalf("refused with kind %s: %v", api.KindOf(err), err)
			}
			return
		}
		if !json.Valid(b) || len(b) > maxPolicy || len(rules) == 0 {
			t.Fatalf("%q is accepted", b)
		}
		n := 0
		for _, r := range rules {
			if r.Effect != "Allow" && r.Effect != "Deny" || len(r.Principals) == 0 || len(r.Actions) == 0 {
				t.Fatalf("%q has the rule %+v", b, r)
			}
			for _, like := range r.Resources {
				if like != "arn:aws:s3:::b" && !strings.HasPrefix(like, "arn:aws:s3:::b/") {
					t.Fatalf("%q is about %q", b, like)
				}
			}
			for _, list := range [][]string{r.Principals, r.Actions, r.Resources} {
				n += len(list)
				for _, s := range list {
					if strings.ContainsRune(s, 0) {
						t.Fatalf("%q has a NUL in %q, which PostgreSQL can't store", b, s)
					}
				}
			}
		}
		if n > len(b) {
			t.Fatalf("%d bytes have %d parts", len(b), n)
		}
	})
}

// A pattern of a policy matches as LIKE what it matches with its own signs.
func FuzzPattern(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Add(`50%_\*`, `50%_\x`)
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 12 || len(s) > 12 {
			return // the plain way takes too long
		}
		if got, want := liked(like(pattern), s), globbed(pattern, s); got != want {
			t.Errorf("%q as %q matches %q: %v, want %v", pattern, like(pattern), s, got, want)
		}
	})
}

func globbed(p, s string) bool {
	switch {
	case p == "":
		return s == ""
	case p[0] == '*':
		return globbed(p[1:], s) || s != "" && globbed(p, s[1:])
	}
	return s != "" && (p[0] == '?' || p[0] == s[0]) && globbed(p[1:], s[1:])
}

// liked is SQL's LIKE with a backslash as its escape.
func liked(p, s string) bool {
	switch {
	case p == "":
		return s == ""
	case p[0] == '%':
		return liked(p[1:], s) || s != "" && liked(p, s[1:])
	case p[0] == '\\':
		return len(p) > 1 && s != "" && p[1] == s[0] && liked(p[2:], s[1:])
	}
	return s != "" && (p[0] == '_' || p[0] == s[0]) && liked(p[1:], s[1:])
}

// Mounts that are accepted have names of their own, and places.
func FuzzMounts(f *testing.F) {
	f.Add([]byte(`[{"name":"docs","type":"local","path":"x"},{"name":"team"}]`))
	f.Add([]byte(`[{"name":"home"},{"name":"user:x"}]`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		mounts, err := ParseMounts(b, "/etc/satchel")
		if err != nil {
			if kind := api.KindOf(err); kind != api.Invalid && kind != api.NameTooLong {
				t.Fatalf("refused with kind %s: %v", kind, err)
			}
			return
		}
		seen := map[string]bool{}
		for _, m := range mounts {
			if _, err := api.ParsePath(m.Name); err != nil || strings.Contains(m.Name, "/") || seen[m.Name] || m.Name == "home" {
				t.Fatalf("%s has the mount %q: %v", b, m.Name, err)
			}
			if m.Type == Local && !filepath.IsAbs(m.Path) {
				t.Fatalf("%s has the mount %+v", b, m)
			}
			seen[m.Name] = true
		}
	})
}
