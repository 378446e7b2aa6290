package main

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
)

var shownCode = regexp.MustCompile(`open (\S+)/device\?code=(\S+)`)

// confirm is the scenario's command for what a person does on the page that
// `satchel login` names in a file: confirm yes|no FILE.
func confirm(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: confirm yes|no FILE")
	}
	said := shownCode.FindStringSubmatch(ts.ReadFile(args[1]))
	if said == nil {
		ts.Fatalf("there is no page and code in it")
	}
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	browser := http.Client{Jar: jar}
	post := func(path string, form url.Values) {
		resp, err := browser.PostForm(said[1]+path, form)
		ts.Check(err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			ts.Fatalf("%s: %s", path, resp.Status)
		}
	}
	post("/signin", url.Values{"email": {"ada@example.org"}, "password": {"correct horse"}, "device": {said[2]}})
	post("/do/device", url.Values{"code": {said[2]}, "allow": {fmt.Sprint(args[0] == "yes")}})
}
