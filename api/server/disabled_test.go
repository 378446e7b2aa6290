package server

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"satchel/api"
	"satchel/storage"
	"satchel/storage/postgres/pgtest"
)

// When an account is disabled nobody comes in as it any more, and its links are closed until it is enabled; what it granted, to users
// and to everybody, and the policies of its buckets, stay, until an operator ends them, too, as docs/operations.md says.
func TestWhatStaysOfADisabledAccount(t *testing.T) {
	f := boundFixture(t) // bob has a folder of alice's
	hers := f.userID(alice)
	f.store(alice, "pictures/one.txt", "one")
	if a := f.setPublic(alice, hers, "pictures", true); a.status/100 != 2 {
		t.Fatalf("%+v", a)
	}
	owner, err := api.ParseID(hers)
	if err != nil {
		t.Fatal(err)
	}
	c := storage.Caller{User: owner}
	policy := json.RawMessage(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:PutObject"],"Resource":["arn:aws:s3:::hers/*"]}]}`)
	if err = f.drives.CreateBucket(t.Context(), c, "hers"); err == nil {
		err = f.drives.SetBucketPolicy(t.Context(), c, "hers", policy)
	}
	if err != nil {
		t.Fatal(err)
	}
	her := f.browser()
	her.signIn(alice)
	link := her.link(t, "pictures/one.txt", "", "")
	id, err := f.auth.ByToken(t.Context(), f.token(alice))
	if err != nil {
		t.Fatal(err)
	}
	app, err := f.auth.AddAppPassword(t.Context(), id, "calendar")
	if err != nil {
		t.Fatal(err)
	}
	key, err := f.auth.AddAccessKey(t.Context(), id, "backups")
	if err != nil {
		t.Fatal(err)
	}

	status := func(r request) func() bool { return func() bool { return f.do(r).status/100 == 2 } }
	bucket := func(action string) func() bool {
		return func() bool {
			_, err := f.drives.Bucket(t.Context(), storage.Caller{}, "hers", action, "k")
			return err == nil
		}
	}
	sessions := map[string]func() bool{
		"her token":  status(request{path: "/rpc/current_user", header: map[string]string{"Authorization": "Bearer " + f.token(alice)}}),
		"her cookie": func() bool { return her.get("/browse/").path == "/browse/" },
		"her app password": func() bool {
			_, err := f.auth.ByAppPassword(t.Context(), alice, app.Password)
			return err == nil
		},
		"her access key": func() bool {
			_, _, err := f.auth.ByAccessKey(t.Context(), key.Key)
			return err == nil
		},
	}
	login := map[string]func() bool{"her password": func() bool { return f.login(alice, password).status == 200 }}
	links := map[string]func() bool{
		"a link":                  func() bool { return f.browser().get(link+"/?open").body == "one" },
		"her name among people's": func() bool { return len(f.rows(f.do(request{path: "/users?id=eq." + hers, as: bob}))) == 1 },
		"her folder among those shared with him": func() bool {
			var all []api.Theirs
			err := json.Unmarshal([]byte(f.do(request{path: "/v1/shared", as: bob}).body), &all)
			return err == nil && slices.ContainsFunc(all, func(s api.Theirs) bool { return !s.Ended })
		},
	}
	grants := map[string]func() bool{
		"a public file":                     status(request{path: getFile(hers+"/pictures", "one.txt")}),
		"a public file's place":             status(request{path: "/api/vfs/get/user:" + hers + "/pictures/one.txt"}),
		"a shared file":                     status(request{path: "/api/vfs/get/home/fa/sub/c.txt", as: bob}),
		"writing a shared file":             status(request{method: "PUT", path: "/api/vfs/write/home/fa/w.txt", body: "w", as: bob}),
		"reading a bucket by its policy":    bucket("s3:GetObject"),
		"writing to a bucket by its policy": bucket("s3:PutObject"),
	}
	look := func(when string, want bool, ways ...map[string]func() bool) {
		t.Helper()
		for _, some := range ways {
			for what, open := range some {
				if open() != want {
					t.Errorf("%s: %s: %t", when, what, !want)
				}
			}
		}
	}
	do := func(change func(context.Context, string) error) {
		t.Helper()
		if err := change(t.Context(), alice); err != nil {
			t.Fatal(err)
		}
	}
	look("before", true, sessions, login, links, grants)
	do(f.operator.DisableUser)
	look("disabled", false, sessions, login, links)
	look("disabled", true, grants)
	do(f.operator.EnableUser)
	look("enabled", false, sessions)
	look("enabled", true, login, links, grants)
	do(f.operator.DisableUser)

	pgtest.EndShares(t, f.app, hers)
	look("ended", false, grants, links)
	do(f.operator.EnableUser)
	look("ended, and enabled", false, grants, map[string]func() bool{"a link": links["a link"]})
}
