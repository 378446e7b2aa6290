package server

import (
	"encoding/json"
	"testing"

	"satchel/api/route"
	"satchel/api/route/routetest"
)

// Every example of the description, against this server.
func TestExamples(t *testing.T) {
	f := newFixture(t)
	f.store(alice, "notes/today.txt", "Buy bread.\n")
	var you, friend struct{ User string }
	var home struct{ ID string }
	for path, into := range map[string]any{"/v1/whoami": &you, "/v1/drives/home": &home} {
		if err := json.Unmarshal([]byte(f.do(request{path: path, as: alice}).body), into); err != nil {
			t.Fatal(err)
		}
	}
	if err := json.Unmarshal([]byte(f.do(request{path: "/v1/whoami", as: bob}).body), &friend); err != nil {
		t.Fatal(err)
	}
	routetest.Run(t, routetest.World{
		URL:    f.url,
		Tokens: map[string]string{route.You: f.token(alice), route.Friend: f.token(bob), route.Admin: f.token(root)},
		Values: map[string]string{"you": you.User, "friend": friend.User, "home": home.ID},
	})
}
