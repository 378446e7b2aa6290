package contract

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"satchel/api/route"
)

// TestForeignIDs puts the victim's ids, in every mixture with one's own, into
// every path and query of the description: the answers must be those that ids
// of nothing get, so that they do not even tell what there is.
func TestForeignIDs(t *testing.T) {
	w := worldOf(t, "siege")
	s := newSiege(t, w)
	nowhere := map[string]string{}
	for i, name := range slices.Sorted(maps.Keys(s.theirs)) {
		nowhere[name] = "0190aaaa-0000-7000-8000-00000000000" + string(rune('0'+i))
	}
	neutral := func(body string) string { // what differs by what was sent
		for _, ids := range []map[string]string{s.theirs, nowhere} {
			for _, id := range ids {
				body = strings.ReplaceAll(body, id, "ID")
			}
		}
		return body
	}
	n := 0
	for _, o := range describedOperations(t, w) {
		if o.id == "rpc-logout" || o.id == "logout" {
			continue
		}
		base := o.baseline(s.values)
		compare := func(what string, foreign, absent call) {
			n++
			status, header, body := s.send(t, foreign, nil)
			if err := s.holds(o.id+" with foreign "+what, status, header, body, ""); err != nil {
				t.Error(err)
			}
			noStatus, _, noBody := s.send(t, absent, nil)
			if status != noStatus || neutral(body) != neutral(noBody) {
				t.Errorf("%s %s with foreign %s: %d %.200s; with what is not there: %d %.200s", o.method, o.path, what, status, body, noStatus, noBody)
			}
		}
		var ids []string
		for _, p := range o.params {
			if p.in == route.Path && s.theirs[p.name] != "" {
				ids = append(ids, p.name)
			}
		}
		for mix := 1; mix < 1<<len(ids); mix++ {
			foreign, absent := base.clone(), base.clone()
			var names []string
			for i, name := range ids {
				if mix&(1<<i) != 0 {
					names = append(names, name)
					foreign.in[name], absent.in[name] = s.theirs[name], nowhere[name]
				}
			}
			compare(strings.Join(names, "+"), foreign, absent)
		}
		for _, p := range o.params {
			if p.in != route.Query {
				continue
			}
			for _, kind := range []string{"document", "node", "version", "drive"} {
				for _, form := range []string{"", "eq."} {
					foreign, absent := base.clone(), base.clone()
					foreign.query.Set(p.name, form+s.theirs[kind])
					absent.query.Set(p.name, form+nowhere[kind])
					compare("query "+p.name, foreign, absent)
				}
			}
		}
	}
	t.Logf("%d pairs of requests", n)
	s.victim.retrieve(t, s.canary+"/secret.txt").is(t, 200, s.canary)
	s.victim.get(t, "/rpc/current_user").is(t, 200, s.victim.email)
}

// TestStrangers: what needs an identity gives none to a stranger, and to every
// forged token, whatever else is in the request.
func TestStrangers(t *testing.T) {
	w := worldOf(t, "siege")
	s := newSiege(t, w)
	forged := forgeries(t, s.you)
	forged["nobody"] = ""
	for _, o := range describedOperations(t, w) {
		if !o.secured {
			continue
		}
		for what, token := range forged {
			if strings.ContainsAny(token, "\r\n\x00") {
				continue
			}
			thief := *s
			thief.you, thief.connection = &person{w: w, token: token}, nil
			status, header, body := thief.send(t, o.baseline(s.values), nil)
			if thief.connection != nil {
				thief.connection.Close()
			}
			if err := s.holds(o.id, status, header, body, ""); err != nil || status != 401 {
				t.Errorf("%s %s with a token, %s: %d %.200s %v", o.method, o.path, what, status, body, err)
			}
		}
	}
}

// TestCrossSiteForgery: a page of another site changes nothing with a browser's
// cookie, by any operation.
func TestCrossSiteForgery(t *testing.T) {
	w := worldOf(t, "siege")
	s := newSiege(t, w)
	for _, o := range describedOperations(t, w) {
		if o.method == "GET" || o.method == "HEAD" || o.method == "OPTIONS" { // which change nothing
			continue
		}
		c := o.baseline(s.values)
		for _, header := range []object{{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site", "Origin": w.server.URL}} {
			header["Cookie"] = s.you.cookie
			if got := s.you.send(t, o.method, c.url(nil), header, c.body); got.status != 403 {
				t.Errorf("%s from elsewhere (%v): %v", o.id, header, got)
			}
		}
	}
	s.you.send(t, "GET", "/rpc/current_user", object{"Cookie": s.you.cookie}, nil).is(t, 200, s.you.email)
}
