package contract

import (
	"encoding/json"
	"testing"

	"satchel/api/route"
	"satchel/api/route/routetest"
)

// TestExamples sends every example of /openapi.json to the server that serves it.
func TestExamples(t *testing.T) {
	w := worldOf(t, "file")
	you, friend := w.newPerson(t), w.newPerson(t)
	you.store(t, "notes/today.txt", "Buy bread.\n")
	var home struct{ ID string }
	must(t, json.Unmarshal(you.get(t, "/v1/drives/home").body, &home))
	routetest.Run(t, routetest.World{
		URL:    w.server.URL,
		Tokens: map[string]string{route.You: you.token, route.Friend: friend.token, route.Admin: w.admin.token},
		Values: map[string]string{"you": you.id, "friend": friend.id, "home": home.ID},
	})
}

// TestEveryOperationHasAnExample: what the description shows of each is run by TestExamples.
func TestEveryOperationHasAnExample(t *testing.T) {
	for _, o := range describedOperations(t, worldOf(t, "file")) {
		if o.example == nil {
			t.Errorf("%s (%s %s) has none", o.id, o.method, o.path)
		}
	}
}
